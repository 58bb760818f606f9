//! The `doorward` program.

use std::process::ExitCode;

/// Smaller and steadier memory than the system's allocator under many short requests.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    doorward::cli::run(std::env::args_os())
}
