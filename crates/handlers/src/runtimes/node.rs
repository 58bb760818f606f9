//! Node 20 or newer: a shell puts its socket where user code and what it starts do not look, since Node itself cannot.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use super::{Runtime, Sockets};
use crate::settings::Settings;

/// The row of the table.
pub(super) static RUNTIME: Runtime = Runtime {
    name: "Node",
    key: "node",
    program: "node",
    endings: &[".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"],
    sockets: Sockets::One,
    modules: MODULES,
    plan,
    // A promise that never settles holds no thread, only memory.
    most_stuck: |settings| settings.queue,
    held: "memory",
};

/// What the interpreter is started with.
const BOOT: &str = include_str!("../../node/boot.mjs");

/// The socket becomes the fourth descriptor, which Node hands on to nobody; standard input is empty.
const SHELL: &str = "exec \"$@\" 3<&0 </dev/null";

/// Modules by the names they are imported by, behind `doorward:`.
const MODULES: &[(&str, &str)] = &[
    ("hooks", include_str!("../../node/hooks.mjs")),
    ("watch", include_str!("../../node/watch.cjs")),
    ("runner", include_str!("../../node/runner.mjs")),
    ("frames", include_str!("../../node/frames.mjs")),
    ("loading", include_str!("../../node/loading.mjs")),
    ("typescript", include_str!("../../node/typescript.mjs")),
    ("refusals", include_str!("../../node/refusals.mjs")),
    ("asking", include_str!("../../node/asking.mjs")),
    ("langgraph", include_str!("../../node/langgraph.mjs")),
    ("doorward", include_str!("../../node/shims/doorward.mjs")),
    ("langgraph_sdk_auth", include_str!("../../node/shims/langgraph_sdk_auth.mjs")),
];

fn plan(settings: &Settings) -> Result<Command, String> {
    if settings.kind != "langgraph" {
        return Err(format!("there are no {} handlers in JavaScript; write them in Python", settings.kind));
    }
    let node = &settings.interpreter;
    // The shell would say so too, but to the log alone.
    if !is_there(node, settings) {
        return Err(format!(
            "there is no {}; install Node 20 or newer, or say where it is: [handlers] node",
            node.display()
        ));
    }
    let mut plan = Command::new("/bin/sh");
    plan.args(["-c", SHELL, "sh"]).arg(node);
    if settings.memory_bytes > 0 {
        plan.arg(format!("--max-old-space-size={}", (settings.memory_bytes >> 20).max(1)));
    }
    plan.args(["--input-type=module", "-e", BOOT]);
    Ok(plan)
}

fn is_there(program: &Path, settings: &Settings) -> bool {
    if program.components().count() > 1 {
        return settings.directory.join(program).is_file();
    }
    let path = settings.environment.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path);
    let places = path.map(|path| std::env::split_paths(OsStr::new(path)).collect::<Vec<_>>());
    places.unwrap_or_default().iter().any(|place| place.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_sent() {
        let count = |directory: &str| {
            let files =
                std::fs::read_dir(format!("{}/{directory}", env!("CARGO_MANIFEST_DIR"))).expect("there");
            files.filter(|file| file.as_ref().is_ok_and(|file| file.path().is_file())).count()
        };
        let files: usize = ["node", "node/shims"].map(count).iter().sum();
        assert_eq!(files, MODULES.len() + 1, "and the boot");
    }

    #[test]
    fn what_is_not_there_is_named_with_what_to_do() {
        let settings = Settings {
            interpreter: "no-such-node".into(),
            environment: vec![("PATH".to_owned(), "/bin".to_owned())],
            ..Settings::new("x", "langgraph", "./auth.mjs:auth", "/".into())
        };
        let why = plan(&settings).expect_err("it is not there");
        assert!(why.contains("no-such-node") && why.contains("[handlers] node"), "{why}");
    }
}
