//! Passwords come from a terminal or standard input, never from the command line, where every process sees them.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::{Command, Stdio};

use clap::Args;
use doorward_core::secret::SecretText;
use zeroize::Zeroizing;

use super::Failure;

/// Longest password that is read, in bytes; the policy's own limit is lower.
const MAX_BYTES: u64 = 8 << 10;

/// Where a password comes from.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct PasswordSource {
    /// Read the password from the first line of standard input instead of asking for it
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordSource {
    /// Reads a new password; on a terminal it is asked for twice and not shown.
    pub(crate) fn read(self) -> Result<SecretText, Failure> {
        if self.password_stdin {
            return one_line(io::stdin().lock());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::usage(
                "there is no terminal to ask for the password",
                "give it on standard input, with --password-stdin",
            ));
        }
        let first = asked("Password: ")?;
        let second = asked("Once more: ")?;
        if first.matches(second.expose().as_bytes()) {
            Ok(first)
        } else {
            Err(Failure::refused("the two passwords differ", "type it again"))
        }
    }
}

fn one_line(input: impl BufRead) -> Result<SecretText, Failure> {
    let mut line = Zeroizing::new(Vec::new());
    input.take(MAX_BYTES + 1).read_until(b'\n', &mut line)?;
    let too_long = line.len() as u64 > MAX_BYTES;
    let text = std::str::from_utf8(&line).ok().filter(|_| !too_long);
    match text.map(|text| text.trim_end_matches(['\r', '\n'])) {
        Some("") => {
            Err(Failure::usage("the password is empty", "give it on the first line of standard input"))
        }
        Some(text) => Ok(SecretText::from(text)),
        None => {
            Err(Failure::usage("the password is not a line of UTF-8 text below 8 KiB", "give another one"))
        }
    }
}

fn asked(prompt: &str) -> Result<SecretText, Failure> {
    let mut out = io::stderr();
    write!(out, "{prompt}").and_then(|()| out.flush())?;
    let _quiet = Quiet::begin();
    let answer = one_line(io::stdin().lock());
    writeln!(out)?;
    answer
}

/// While it lives, the terminal does not show what is typed.
struct Quiet(bool);

impl Quiet {
    fn begin() -> Self {
        Self(stty("-echo"))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if self.0 {
            stty("echo");
        }
    }
}

fn stty(mode: &str) -> bool {
    let done = Command::new("stty").arg(mode).stdin(Stdio::inherit()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_password_without_its_end() {
        for (input, expected) in [("a b\n", "a b"), ("a\r\nrest", "a"), (" a ", " a ")] {
            let read = one_line(input.as_bytes()).expect("good");
            assert_eq!(read.expose(), expected);
        }
        for bad in [&b""[..], b"\nsecond\n", b"\xff\n", &[b'a'; 9000]] {
            assert!(one_line(bad).is_err());
        }
    }
}
