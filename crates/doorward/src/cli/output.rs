//! What a command answers: a table for people, JSON for programs.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::Failure;

/// How a command answers.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Output {
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Output {
    /// Answers: `value` as JSON, or `text` for people.
    pub(crate) fn answer(self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let shown = if self.json {
            serde_json::to_string_pretty(value).expect("answers are plain data and always JSON")
        } else {
            text()
        };
        print(format!("{}\n", shown.trim_end_matches('\n')).as_bytes())
    }
}

/// Writes to standard output.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // `doorward user list | head` ends early on purpose.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// A file that is not there yet, for its owner alone: what commands write into files names people.
pub(crate) fn new_file(path: &Path) -> Result<BufWriter<File>, Failure> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(BufWriter::new).map_err(|error| {
        Failure::refused(
            format!("{}: {error}", path.display()),
            "name a file that is not there yet, in a directory that can be written",
        )
    })
}

/// Columns that line up. Control characters of foreign texts are shown, not obeyed.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let shown = |text: &str| -> String {
        text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
    };
    let mut all: Vec<Vec<String>> = vec![head.iter().map(|&text| text.to_owned()).collect()];
    all.extend(rows.iter().map(|row| row.iter().map(|cell| shown(cell)).collect()));
    let width = |column: usize| {
        all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut out = String::new();
    for row in &all {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_control_characters_are_not_obeyed() {
        let rows = [vec!["a".to_owned(), "x".to_owned()], vec!["long\u{1b}[31m".to_owned(), "y".to_owned()]];
        assert_eq!(table(&["id", "name"], &rows), "id         name\na          x\nlong\u{fffd}[31m  y\n");
    }
}
