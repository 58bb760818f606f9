//! Running other programs: each step says what it runs, and a failed one says what to do.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::failure::Failure;

/// The cargo that started us, or the one on the path.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    // Ours describe xtask; left in place they would make cargo build dependants of these variables again.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    command
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program()).to_string_lossy();
    let arguments = command.get_args().map(|a| a.to_string_lossy());
    std::iter::once(name).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// Prints the command and runs it with our own input and output.
pub(crate) fn run(command: &mut Command) -> Result<ExitStatus, Failure> {
    say(&format!("$ {}", shown(command)));
    command.status().map_err(|e| Failure::new(format!("cannot start `{}`: {e}", shown(command))))
}

/// Like [`run`], but anything except success is a failure that ends with the advice.
pub(crate) fn require(command: &mut Command, advice: &str) -> Result<(), Failure> {
    let status = run(command)?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("`{}` failed ({status}): {advice}", shown(command))))
}

/// Prints the command, runs it, passes each line of its output on as it comes and hands it to `each`.
pub(crate) fn run_reading(command: &mut Command, mut each: impl FnMut(&str)) -> Result<ExitStatus, Failure> {
    say(&format!("$ {}", shown(command)));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| Failure::new(format!("cannot start `{}`: {e}", shown(command))))?;
    let output = child.stdout.take().expect("stdout was piped just above");
    let mut terminal = std::io::stdout();
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        terminal.write_all(&line)?;
        terminal.flush()?;
        each(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    Ok(child.wait()?)
}

/// The trimmed output of a command that succeeded; `None` when it cannot start or fails.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Prints one line at once, so that it stands before what the next program prints.
pub(crate) fn say(line: &str) {
    println!("{line}");
    // A closed terminal is no reason to stop the work.
    let _ = std::io::stdout().flush();
}
