//! `cargo xtask <command>`: the entry point; the commands stand in [`xtask::COMMANDS`].

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match xtask::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // An empty text means that everything worth saying was already printed.
            if !failure.to_string().is_empty() {
                eprintln!("xtask: {failure}");
            }
            ExitCode::FAILURE
        }
    }
}
