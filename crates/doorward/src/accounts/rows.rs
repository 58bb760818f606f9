//! Cuts a file into rows without having it in memory: an array of objects, or a line for each. A row that is too long is passed over, so that
//! what is in memory is bounded by the longest row that is read.

use std::io::{self, BufRead};

use super::members::MAX_ROW_BYTES;

/// A row, not read yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Its bytes.
    Row(Vec<u8>),
    /// More than are read.
    TooLong,
}

/// Why the rest of a file cannot be cut into rows.
#[derive(Debug)]
pub(super) enum Broken {
    /// It cannot be read.
    Io(io::Error),
    /// It is neither an array nor lines of objects.
    NotRows,
    /// Its rows are objects that span lines, outside of an array.
    Spread,
    /// It ends inside of the array.
    CutShort,
    /// Something stands behind the array.
    Trailing,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Unknown,
    Lines,
    Array,
    Ended,
}

/// The rows of a file.
pub(super) struct Rows<R> {
    input: R,
    shape: Shape,
    /// The line that is read, from 1.
    line: u64,
    first: bool,
}

impl<R: BufRead> Rows<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, shape: Shape::Unknown, line: 1, first: true }
    }

    /// The next row and the line it begins in.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Piece)>, Broken> {
        if self.shape == Shape::Unknown {
            self.look()?;
        }
        match self.shape {
            Shape::Unknown | Shape::Ended => Ok(None),
            Shape::Lines => self.next_line(),
            Shape::Array => self.next_of_array(),
        }
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.input.fill_buf() {
                Ok(bytes) => return Ok(bytes.first().copied()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn skip(&mut self, byte: u8) {
        self.line += u64::from(byte == b'\n');
        self.input.consume(1);
    }

    /// Passes spaces over, and says what stands behind them.
    fn space(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.peek()? {
                Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) => self.skip(byte),
                other => return Ok(other),
            }
        }
    }

    /// Finds out what the file is. A mark of UTF-8 at the start, which some programs write, says nothing and is passed over.
    fn look(&mut self) -> Result<(), Broken> {
        if self.peek()? == Some(0xEF) {
            for mark in [0xEF, 0xBB, 0xBF] {
                if self.peek()? != Some(mark) {
                    return Err(Broken::NotRows);
                }
                self.input.consume(1);
            }
        }
        self.shape = match self.space()? {
            None => Shape::Ended,
            Some(b'{') => Shape::Lines,
            Some(b'[') => {
                self.input.consume(1);
                Shape::Array
            }
            Some(_) => return Err(Broken::NotRows),
        };
        Ok(())
    }

    fn next_line(&mut self) -> Result<Option<(u64, Piece)>, Broken> {
        if self.space()?.is_none() {
            self.shape = Shape::Ended;
            return Ok(None);
        }
        let (line, mut row) = (self.line, Kept::default());
        loop {
            let bytes = match self.input.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let taken = end.unwrap_or(bytes.len());
            row.extend(&bytes[..taken]);
            let over = bytes.is_empty();
            self.input.consume(taken + usize::from(end.is_some()));
            self.line += u64::from(end.is_some());
            if end.is_some() || over {
                break;
            }
        }
        let piece = row.done();
        // An object that was laid out for people: none of its lines is one.
        if std::mem::take(&mut self.first)
            && matches!(&piece, Piece::Row(bytes) if bytes.trim_ascii() == b"{")
        {
            return Err(Broken::Spread);
        }
        Ok(Some((line, piece)))
    }

    fn next_of_array(&mut self) -> Result<Option<(u64, Piece)>, Broken> {
        if self.space()? == Some(b']') && self.first {
            return self.end_of_array();
        }
        if !std::mem::take(&mut self.first) {
            match self.space()? {
                Some(b',') => self.input.consume(1),
                Some(b']') => return self.end_of_array(),
                Some(_) => {}
                None => return Err(Broken::CutShort),
            }
            self.space()?;
        }
        let (line, mut row) = (self.line, Kept::default());
        let (mut depth, mut inside_text, mut escaped) = (0_u64, false, false);
        loop {
            let Some(byte) = self.peek()? else { return Err(Broken::CutShort) };
            if depth == 0 && !inside_text && matches!(byte, b',' | b']') {
                return Ok(Some((line, row.done())));
            }
            row.extend(&[byte]);
            self.skip(byte);
            if inside_text {
                inside_text = escaped || byte != b'"';
                escaped = !escaped && byte == b'\\';
            } else {
                match byte {
                    b'"' => inside_text = true,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
        }
    }

    fn end_of_array(&mut self) -> Result<Option<(u64, Piece)>, Broken> {
        self.input.consume(1);
        self.shape = Shape::Ended;
        if self.space()?.is_some() { Err(Broken::Trailing) } else { Ok(None) }
    }
}

/// The bytes of a row, as long as they may be kept.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    too_long: bool,
}

impl Kept {
    fn extend(&mut self, more: &[u8]) {
        if self.too_long || self.bytes.len() + more.len() > MAX_ROW_BYTES {
            self.too_long = true;
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(more);
        }
    }

    fn done(self) -> Piece {
        if self.too_long { Piece::TooLong } else { Piece::Row(self.bytes) }
    }
}
