//! Lines of bounded length out of a pipe.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line without its end.
    Whole(Vec<u8>),
    /// The beginning of one that is too long; the rest of it is passed over.
    Cut(Vec<u8>),
    /// Nothing more.
    End,
}

/// Reads lines.
pub struct Lines<R> {
    from: BufReader<R>,
    longest: usize,
    taken: usize,
    line: Vec<u8>,
    /// Inside a line whose beginning was given out.
    passing: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Lines of at most `longest` bytes.
    pub fn new(from: R, longest: usize) -> Self {
        Self { from: BufReader::new(from), longest, taken: 0, line: Vec::new(), passing: false }
    }

    /// How many bytes were read.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// The next line.
    pub async fn next(&mut self) -> io::Result<Line> {
        loop {
            let bytes = self.from.fill_buf().await?;
            if bytes.is_empty() {
                let left = std::mem::take(&mut self.line);
                return Ok(if left.is_empty() { Line::End } else { Line::Whole(left) });
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            let used = part.len() + usize::from(end.is_some());
            let room = self.longest - self.line.len();
            let is_cut = !self.passing && part.len() > room;
            if !self.passing {
                self.line.extend_from_slice(&part[..part.len().min(room)]);
            }
            let was_passing = self.passing;
            self.passing = (self.passing || is_cut) && end.is_none();
            self.from.consume(used);
            self.taken = self.taken.saturating_add(used);
            if is_cut {
                return Ok(Line::Cut(std::mem::take(&mut self.line)));
            }
            if end.is_some() && !was_passing {
                return Ok(Line::Whole(std::mem::take(&mut self.line)));
            }
        }
    }
}

/// A foreign text for a log: control characters are shown, not obeyed.
pub fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_end_matches('\r').chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_whole_cut_or_over() {
        let text: &[u8] = b"one\n\n12345\n123456789\nlast";
        let mut lines = Lines::new(text, 5);
        let mut found = Vec::new();
        loop {
            match lines.next().await.expect("readable") {
                Line::End => break,
                line => found.push(line),
            }
        }
        let whole = |text: &[u8]| Line::Whole(text.to_vec());
        let expected =
            [whole(b"one"), whole(b""), whole(b"12345"), Line::Cut(b"12345".to_vec()), whole(b"last")];
        assert_eq!((found.as_slice(), lines.taken()), (expected.as_slice(), text.len()));
    }

    #[test]
    fn control_characters_are_not_obeyed() {
        assert_eq!(shown(b"a\x1b[31mb\x00\xffc\r"), "a\u{fffd}[31mb\u{fffd}\u{fffd}c");
    }
}
