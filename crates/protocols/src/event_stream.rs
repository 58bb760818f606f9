//! Server-sent events out of pieces cut anywhere (WHATWG HTML §9.2.6), each of bounded length.
//!
//! Lines end in LF, CR or both. `data` lines are joined, `event` names the event, other fields and comments are passed over. What the
//! stream's end cuts off is no event.

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What `event` says; empty where nothing does.
    pub name: Vec<u8>,
    /// The `data` lines, with LF between them. Whether it is UTF-8 is for its reader to find.
    pub data: Vec<u8>,
}

/// A line, or an event of many lines, is longer than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {longest} bytes")]
pub struct TooLong {
    /// The limit that was passed.
    pub longest: usize,
}

/// Reads a stream.
#[derive(Debug)]
pub struct EventStream {
    longest: usize,
    line: Vec<u8>,
    /// The line before ended in CR, so that an LF belongs to it.
    after_cr: bool,
    /// No line is over yet: a byte order mark may stand before it.
    at_start: bool,
    name: Vec<u8>,
    data: Option<Vec<u8>>,
}

impl EventStream {
    /// A stream whose lines and events have at most `longest` bytes.
    #[must_use]
    pub fn new(longest: usize) -> Self {
        Self { longest, line: Vec::new(), after_cr: false, at_start: true, name: Vec::new(), data: None }
    }

    /// Takes the next piece and puts the events that it completes behind `found`.
    ///
    /// # Errors
    /// [`TooLong`]; the stream cannot be read on.
    pub fn take(&mut self, piece: &[u8], found: &mut Vec<Event>) -> Result<(), TooLong> {
        let mut rest = piece;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', rest) else {
                return self.lengthen(rest);
            };
            self.lengthen(&rest[..end])?;
            self.after_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
            self.end_line(found)?;
        }
        Ok(())
    }

    fn lengthen(&mut self, part: &[u8]) -> Result<(), TooLong> {
        if part.len() > self.longest.saturating_sub(self.line.len()) {
            return Err(TooLong { longest: self.longest });
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self, found: &mut Vec<Event>) -> Result<(), TooLong> {
        let line = std::mem::take(&mut self.line);
        let mut line = line.as_slice();
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            found.extend(self.data.take().map(|data| Event { name, data }));
            return Ok(());
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => self.name = value.to_vec(),
            b"data" => {
                let is_first = self.data.is_none();
                let data = self.data.get_or_insert_default();
                let room = self.longest.saturating_sub(data.len());
                if value.len() + usize::from(!is_first) > room {
                    return Err(TooLong { longest: self.longest });
                }
                if !is_first {
                    data.push(b'\n');
                }
                data.extend_from_slice(value);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str, cut: usize) -> Vec<(String, String)> {
        let mut stream = EventStream::new(64);
        let mut found = Vec::new();
        for piece in text.as_bytes().chunks(cut) {
            stream.take(piece, &mut found).expect("short enough");
        }
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        found.into_iter().map(|event| (text(event.name), text(event.data))).collect()
    }

    /// Names and data.
    type Expected = &'static [(&'static str, &'static str)];

    #[test]
    fn events_are_the_same_wherever_the_stream_is_cut() {
        let cases: &[(&str, &str, Expected)] = &[
            ("one", "data: a\n\n", &[("", "a")]),
            ("CR and LF", "data: a\r\n\r\ndata: b\r\n\r\n", &[("", "a"), ("", "b")]),
            ("CR alone", "data: a\r\rdata: b\r\r", &[("", "a"), ("", "b")]),
            ("many lines", "data: a\ndata\ndata:b\n\n", &[("", "a\n\nb")]),
            ("a name", "event: error\ndata: {}\n\ndata: x\n\n", &[("error", "{}"), ("", "x")]),
            ("a name alone", "event: ping\n\ndata: x\n\n", &[("", "x")]),
            ("comments and others", ": hello\nid: 3\nretry: 9\n\n:\ndata: x\nmore: y\n\n", &[("", "x")]),
            ("one blank goes", "data:  a \n\n", &[("", " a ")]),
            ("a byte order mark", "\u{feff}data: a\n\n", &[("", "a")]),
            ("cut off", "data: a\n\ndata: b\n", &[("", "a")]),
            ("no text", "data\n\n", &[("", "")]),
            ("letters beyond ASCII", "data: é€\n\n", &[("", "é€")]),
            ("another case", "Data: a\n\n", &[]),
            ("nothing", "\n\n\r\n", &[]),
        ];
        for (name, text, expected) in cases {
            let expected: Vec<_> =
                expected.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect();
            for cut in 1..=text.len() {
                assert_eq!(events(text, cut), expected, "{name}, in pieces of {cut}");
            }
        }
    }

    #[test]
    fn a_line_or_an_event_that_is_too_long_ends_the_stream() {
        let long = "x".repeat(65);
        let lines = "data: 12345678\n".repeat(8);
        for (name, text) in
            [("no line end", long.clone()), ("a comment", format!(":{long}\n")), ("many lines", lines)]
        {
            for cut in [1, 7, text.len()] {
                let mut stream = EventStream::new(64);
                let mut found = Vec::new();
                let read = text.as_bytes().chunks(cut).try_for_each(|piece| stream.take(piece, &mut found));
                assert_eq!(read, Err(TooLong { longest: 64 }), "{name}");
                assert!(found.is_empty(), "{name}");
            }
        }
        let mut found = Vec::new();
        let fits = format!("data:{}\n\n", "x".repeat(59));
        assert_eq!(EventStream::new(64).take(fits.as_bytes(), &mut found), Ok(()));
        assert_eq!(found.len(), 1);
    }
}
