//! `[agents]`: the embedded agent server.

use std::path::PathBuf;
use std::time::Duration;

use doorward_core::agents::runner;

use super::section::{Key, Section};
use crate::command_runner::{CommandSettings, NAME};
use crate::openai_runner;

/// The embedded agent server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agents {
    /// What answers, as named in core's table, or `command` or `openai`.
    pub runner: &'static str,
    /// What `command` runs; its environment is still empty.
    pub command: Option<CommandSettings>,
    /// Variables of the server's environment that it finds in its own.
    pub pass_environment: Vec<String>,
}

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "runner",
        "\"echo\"",
        "What answers: echo says again what it was told; config says what an agent learns of its caller; command runs \
         a program; openai asks a model, see [model]. Without a word here, a project whose .env holds a model's key is answered by that model.",
    ),
    Key::optional(
        "command",
        "[\"python3\", \"agent.py\"]",
        "For command: the program and its arguments; no shell reads them. It speaks the runner protocol.",
    ),
    Key::optional(
        "directory",
        "\"agent\"",
        "Where the program works; without it, the server's own directory.",
    ),
    Key::new(
        "pass_environment",
        "[]",
        "Variables of the server's environment that the program finds in its own, beside PATH and LANG.",
    ),
    Key::new("time_limit_s", "120", "Longest time of one run of the program, in seconds, 1 to 600."),
    Key::new("max_output_bytes", "1048576", "Most bytes the program writes in a run, 1024 to 67108864."),
    Key::new("max_line_bytes", "65536", "Longest line of it, in bytes, 1024 to 1048576."),
    Key::new("processes", "4", "Most processes at once, 1 to 1024; each run is one."),
    Key::new(
        "queue",
        "16",
        "Most runs that wait for a process, 0 to 10000; the next is answered 429, as is who has a quarter of all.",
    ),
];

impl Agents {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let mut known: Vec<_> = runner::BUILTIN.iter().map(|row| (row.name, row.name)).collect();
        known.extend([NAME, openai_runner::NAME].map(|name| (name, name)));
        let runner = section.word("runner", &known);
        let is_given = section.is_given("command");
        let command = section.list("command");
        if runner == Some(NAME) && !is_given {
            section.refuse(
                "command",
                "there is no program to run",
                "give it, like [\"python3\", \"agent.py\"]",
            );
        }
        let is_program = |list: &Vec<String>| {
            list.first().is_some_and(|program| !program.is_empty())
                && list.iter().all(|word| !word.contains('\0'))
        };
        if command.as_ref().is_some_and(|list| !is_program(list)) {
            section.refuse("command", "it names no program", "give a program and its arguments, without NUL");
        }
        let directory: Option<PathBuf> =
            if section.is_given("directory") { section.path("directory") } else { None };
        let pass_environment = section.variables("pass_environment");
        let time_limit_s = section.integer("time_limit_s", 1..=600);
        let max_output_bytes = section.integer("max_output_bytes", 1 << 10..=64 << 20);
        let max_line_bytes = section.integer("max_line_bytes", 1 << 10..=1 << 20);
        let processes = section.integer("processes", 1..=1024);
        let queue = section.integer("queue", 0..=10_000);
        section.finish();
        let size = |number: i64| usize::try_from(number).expect("the range begins at 0");
        let limits =
            (time_limit_s?, size(max_output_bytes?), size(max_line_bytes?), size(processes?), size(queue?));
        let (time_limit_s, max_output_bytes, max_line_bytes, processes, queue) = limits;
        let command = command.filter(is_program).map(|command| CommandSettings {
            command,
            directory,
            environment: Vec::new(),
            time_limit: Duration::from_secs(time_limit_s.unsigned_abs()),
            max_output_bytes,
            max_line_bytes,
            processes,
            queue,
        });
        Some(Self { runner: runner?, command, pass_environment: pass_environment? })
    }
}
