//! `.env` files, in the dialect of python-dotenv, which the platforms read them with.
//!
//! ```text
//! NAME=value            up to the line's end; ` #` begins a comment
//! export NAME='value'   as it stands; only \' and \\ are escapes
//! NAME="value"          \n, \r, \t, \", \\ are escapes; may span lines
//! NAME=-----BEGIN …     up to the matching -----END … line (a PEM pasted without quotes)
//! ```
//! `${NAME}` and `${NAME:-default}` are replaced, from the process environment first.

use zeroize::Zeroizing;

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// The variables of a file, in its order. Values may be secrets: not printable.
#[derive(Default)]
pub struct Dotenv {
    entries: Vec<Entry>,
    /// Lines that could not be understood, counted from 1.
    pub bad_lines: Vec<usize>,
}

struct Entry {
    name: String,
    value: Zeroizing<String>,
}

impl Dotenv {
    /// Reads a file's text. Lines that make no sense are passed over and noted, as python-dotenv does.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut scanner = Scanner { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
        let mut found = Self::default();
        while !scanner.rest.is_empty() {
            let at = scanner.line;
            match scanner.entry() {
                Some(Some((name, value))) => found.entries.push(Entry { name, value: Zeroizing::new(value) }),
                Some(None) => {}
                None => {
                    found.bad_lines.push(at);
                    scanner.skip_line();
                }
            }
        }
        found
    }

    /// The value of `name` with its references replaced; the process's own variables win over the file's. A later
    /// line wins over an earlier one.
    ///
    /// # Errors
    /// The name of a variable that the value refers to and nobody sets.
    pub fn get(
        &self,
        name: &str,
        process: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Zeroizing<String>>, String> {
        if let Some(value) = process(name) {
            return Ok(Some(Zeroizing::new(value)));
        }
        self.own(name, process)
    }

    /// As [`Dotenv::get`], but the process's variables count only where the value refers to them.
    ///
    /// # Errors
    /// As there.
    pub fn own(
        &self,
        name: &str,
        process: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Zeroizing<String>>, String> {
        let Some(at) = self.entries.iter().rposition(|entry| entry.name == name) else { return Ok(None) };
        self.replaced(at, process).map(Some)
    }

    /// Every variable of the file, the process's own values left aside.
    ///
    /// # Errors
    /// The name that a reference leads to and nobody sets.
    pub fn all(
        &self,
        process: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<(String, Zeroizing<String>)>, String> {
        let last = |at: usize| self.entries[at + 1..].iter().all(|entry| entry.name != self.entries[at].name);
        let each = (0..self.entries.len()).filter(|at| last(*at));
        each.map(|at| Ok((self.entries[at].name.clone(), self.replaced(at, process)?))).collect()
    }

    /// References see what stands above them in the file, so they cannot go in circles.
    fn replaced(
        &self,
        at: usize,
        process: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Zeroizing<String>, String> {
        let text = &*self.entries[at].value;
        let mut out = Zeroizing::new(String::with_capacity(text.len()));
        let mut rest: &str = text;
        while let Some(open) = rest.find("${") {
            let Some(close) = rest[open..].find('}') else { break };
            out.push_str(&rest[..open]);
            let inside = &rest[open + 2..open + close];
            let (name, default) = match inside.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inside, None),
            };
            let above = self.entries[..at].iter().rposition(|entry| entry.name == name);
            match (process(name), above, default) {
                (Some(value), ..) => out.push_str(&value),
                (None, Some(above), _) => out.push_str(&self.replaced(above, process)?),
                (None, None, Some(default)) => out.push_str(default),
                (None, None, None) => return Err(name.to_owned()),
            }
            rest = &rest[open + close + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }
}

struct Scanner<'t> {
    rest: &'t str,
    line: usize,
}

impl<'t> Scanner<'t> {
    fn advance(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.bytes().filter(|byte| *byte == b'\n').count();
        self.rest = rest;
        taken
    }

    fn line_end(&self) -> usize {
        self.rest.find('\n').unwrap_or(self.rest.len())
    }

    fn skip_line(&mut self) {
        self.advance((self.line_end() + 1).min(self.rest.len()));
    }

    fn skip_blanks(&mut self) {
        let blanks = self.rest.find(|c| c != ' ' && c != '\t').unwrap_or(self.rest.len());
        self.advance(blanks);
    }

    /// One line or quoted span: `None` if it makes no sense, `Some(None)` if it says nothing.
    fn entry(&mut self) -> Option<Option<(String, String)>> {
        self.skip_blanks();
        if self.rest.is_empty() || self.rest.starts_with(['#', '\n', '\r']) {
            self.skip_line();
            return Some(None);
        }
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with([' ', '\t'])
        {
            self.advance("export".len());
            self.skip_blanks();
        }
        let name_end = self.rest.find(['=', '\n', '#', ' ', '\t', '\r'])?;
        let name = self.rest[..name_end].trim_matches('\'').to_owned();
        if name.is_empty() {
            return None;
        }
        self.advance(name_end);
        self.skip_blanks();
        if !self.rest.starts_with('=') {
            // A name without a value sets nothing.
            let alone = self.rest.is_empty() || self.rest.starts_with(['\n', '\r', '#']);
            return alone.then(|| {
                self.skip_line();
                None
            });
        }
        self.advance(1);
        self.skip_blanks();
        let value = match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote)?,
            _ if self.rest.starts_with("-----BEGIN ") => self.pem(),
            _ => self.bare(),
        };
        Some(Some((name, value)))
    }

    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut value = String::new();
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            if escaped {
                escaped = false;
                unescape(c, quote, &mut value);
            } else if c == '\\' {
                escaped = true;
            } else if c == quote {
                let tail = self.rest[at + 1..].split('\n').next().unwrap_or_default().trim();
                if !tail.is_empty() && !tail.starts_with('#') {
                    return None;
                }
                self.advance(at + 1);
                self.skip_line();
                return Some(value);
            } else {
                value.push(c);
            }
        }
        None
    }

    fn bare(&mut self) -> String {
        let line = &self.rest[..self.line_end()];
        let end = line
            .match_indices('#')
            .find_map(|(at, _)| (at == 0 || line[..at].ends_with([' ', '\t'])).then_some(at));
        let value = line[..end.unwrap_or(line.len())].trim().to_owned();
        self.skip_line();
        value
    }

    /// A PEM without quotes: its lines go on until the last `-----END …-----` before something else begins.
    fn pem(&mut self) -> String {
        let first = &self.rest[..self.line_end()];
        if first.contains("-----END ") {
            return self.bare();
        }
        let end = self.rest.find("\n-----END ").map(|at| {
            let after = at + 1;
            self.rest[after..].find('\n').map_or(self.rest.len(), |more| after + more)
        });
        match end {
            Some(end) => {
                let value = self.advance(end).trim().to_owned();
                self.skip_line();
                value
            }
            None => self.bare(),
        }
    }
}

fn unescape(c: char, quote: char, out: &mut String) {
    match (quote, c) {
        ('"', 'n') => out.push('\n'),
        ('"', 'r') => out.push('\r'),
        ('"', 't') => out.push('\t'),
        (_, '\\') => out.push('\\'),
        (_, c) if c == quote => out.push(c),
        (_, c) => {
            out.push('\\');
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, name: &str) -> Option<String> {
        let process = |name: &str| (name == "HOME_OF").then(|| "process".to_owned());
        Dotenv::parse(text).get(name, &process).expect("resolved").map(|value| value.to_string())
    }

    #[test]
    fn every_spelling_of_a_value_is_read() {
        let pem = "-----BEGIN PUBLIC KEY-----\nMFkw\nEwYH==\n-----END PUBLIC KEY-----";
        let escaped = pem.replace('\n', "\\n");
        let cases: &[(&str, String, &str)] = &[
            ("bare", "A=one two  \n".into(), "one two"),
            ("spaces around", "  A = one\n".into(), "one"),
            ("a comment", "A=one # two\n".into(), "one"),
            ("a hash inside", "A=one#two\n".into(), "one#two"),
            ("an equals sign inside", "A=b=c==\n".into(), "b=c=="),
            ("exported", "export A=one".into(), "one"),
            ("Windows line ends", "A=one\r\nB=two\r\n".into(), "one"),
            ("a byte order mark", "\u{feff}A=one".into(), "one"),
            ("single quotes", "A='o\\n\\'e # x'\n".into(), "o\\n'e # x"),
            ("double quotes", "A=\"o\\n\\\"e # x\" # y\n".into(), "o\n\"e # x"),
            ("an unknown escape", "A=\"a\\qb\"\n".into(), "a\\qb"),
            ("PEM in quotes", format!("A=\"{pem}\"\nB=x\n"), pem),
            ("PEM in single quotes", format!("A='{pem}'\n"), pem),
            ("PEM escaped in quotes", format!("A=\"{escaped}\"\n"), pem),
            ("PEM escaped without quotes", format!("A={escaped}\n"), &escaped),
            ("PEM pasted without quotes", format!("A={pem}\nB=x\n"), pem),
            ("the later line wins", "A=one\nA=two\n".into(), "two"),
            ("empty", "A=\n".into(), ""),
            ("after a bad line", "what is this\nA=one\n".into(), "one"),
            ("after an open quote", "B=\"open\nA=one\n".into(), "one"),
        ];
        for (name, text, expected) in cases {
            assert_eq!(value(text, "A").as_deref(), Some(*expected), "{name}");
        }
        let pasted = format!("A={pem}\nB=x\n");
        assert_eq!(value(&pasted, "B").as_deref(), Some("x"), "what follows a pasted PEM is read");
    }

    #[test]
    fn references_are_replaced_and_the_process_wins() {
        assert_eq!(value("B=one\nA=x${B}y\n", "A").as_deref(), Some("xoney"));
        assert_eq!(value("A=${NO:-fallback}\n", "A").as_deref(), Some("fallback"));
        assert_eq!(value("HOME_OF=file\nA=${HOME_OF}\n", "A").as_deref(), Some("process"));
        assert_eq!(value("HOME_OF=file\n", "HOME_OF").as_deref(), Some("process"));
        assert_eq!(value("A=$B ${\n", "A").as_deref(), Some("$B ${"));
        let missing = Dotenv::parse("A=${B}\n").get("A", &|_| None);
        assert_eq!(missing.err().as_deref(), Some("B"));
        let circle = Dotenv::parse("A=${A}\n").get("A", &|_| None);
        assert_eq!(circle.err().as_deref(), Some("A"));
    }

    #[test]
    fn what_makes_no_sense_is_noted_by_line() {
        let read = Dotenv::parse("A=1\n!!! what\n=x\nB\nC=\"open\nD=1\n");
        assert_eq!(read.bad_lines, [2, 3, 5]);
        assert!(read.get("B", &|_| None).expect("resolved").is_none());
    }
}
