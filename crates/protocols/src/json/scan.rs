//! The one scanner behind every parse: a recursive descent over bytes that builds nothing but the list of
//! member names of the objects it is inside.

use std::borrow::Cow;

use super::member::{Kind, Member, Span, tag_at, unescape};
use super::{JsonError, Limits};

/// Checks a whole document.
pub(super) fn scan(bytes: &[u8], limits: Limits) -> Result<(), JsonError> {
    if bytes.len() > limits.max_bytes {
        return Err(JsonError::TooLarge { max_bytes: limits.max_bytes });
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| JsonError::Syntax { offset: error.valid_up_to(), what: "not UTF-8" })?;
    let mut scanner = Scanner::over(text, limits)?;
    scanner.space();
    scanner.value(0)?;
    scanner.finish()
}

/// Checks a whole document that must be an object, and lists its members in order.
pub(crate) fn scan_object(text: &str, limits: Limits) -> Result<Vec<Member>, JsonError> {
    let mut scanner = Scanner::over(text, limits)?;
    scanner.space();
    if scanner.peek() != Some(b'{') {
        return Err(scanner.fail("expected an object"));
    }
    scanner.object(1)?;
    let members = std::mem::take(&mut scanner.names);
    scanner.finish()?;
    Ok(members)
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    max_depth: usize,
    /// Members of all objects being scanned, innermost last.
    names: Vec<Member>,
}

impl<'a> Scanner<'a> {
    fn over(text: &'a str, limits: Limits) -> Result<Self, JsonError> {
        let max_bytes = limits.max_bytes.min(u32::MAX as usize);
        if text.len() > max_bytes {
            return Err(JsonError::TooLarge { max_bytes });
        }
        let bytes = text.as_bytes();
        let max_depth = limits.max_depth.min(Limits::DEEPEST);
        Ok(Self { text, bytes, at: 0, max_depth, names: Vec::new() })
    }

    fn fail(&self, what: &'static str) -> JsonError {
        JsonError::Syntax { offset: self.at, what }
    }

    fn finish(&mut self) -> Result<(), JsonError> {
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.fail("bytes after the value")) }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn span(&self, start: usize) -> Span {
        // `over` bounded the document to u32.
        Span { start: start as u32, end: self.at as u32 }
    }

    /// Scans one value whose first byte is at the cursor; `depth` counts the containers around it.
    fn value(&mut self, depth: usize) -> Result<Kind, JsonError> {
        match self.peek() {
            Some(b'{') => self.object(depth + 1).map(|count| {
                self.names.truncate(self.names.len() - count);
                Kind::Object
            }),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => Ok(if self.string()? { Kind::EscapedString } else { Kind::PlainString }),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Kind::True),
            Some(b'f') => self.word("false", Kind::False),
            Some(b'n') => self.word("null", Kind::Null),
            Some(_) => Err(self.fail("expected a value")),
            None => Err(self.fail("the document ends early")),
        }
    }

    fn word(&mut self, word: &'static str, kind: Kind) -> Result<Kind, JsonError> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(kind)
        } else {
            Err(self.fail("expected a value"))
        }
    }

    fn enter(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth > self.max_depth {
            return Err(JsonError::TooDeep { max_depth: self.max_depth });
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<Kind, JsonError> {
        self.enter(depth)?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Kind::Array);
        }
        loop {
            self.value(depth)?;
            self.space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                }
                Some(b']') => {
                    self.at += 1;
                    return Ok(Kind::Array);
                }
                _ => return Err(self.fail("expected ',' or ']'")),
            }
        }
    }

    /// Leaves the object's members on top of `names` and returns how many they are.
    fn object(&mut self, depth: usize) -> Result<usize, JsonError> {
        self.enter(depth)?;
        let first = self.names.len();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(0);
        }
        if self.names.capacity() == 0 {
            self.names.reserve(16);
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.fail("expected a member name"));
            }
            let name_start = self.at + 1;
            let name_escaped = self.string()?;
            let name = Span { start: name_start as u32, end: self.at as u32 - 1 };
            self.refuse_private(name, name_escaped)?;
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.fail("expected ':'"));
            }
            self.at += 1;
            self.space();
            let value_start = self.at;
            let kind = self.value(depth)?;
            let name_tag = tag_at(self.bytes, name);
            self.names.push(Member { name, name_escaped, name_tag, value: self.span(value_start), kind });
            self.space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                }
                Some(b'}') => {
                    self.at += 1;
                    self.refuse_duplicates(first)?;
                    return Ok(self.names.len() - first);
                }
                _ => return Err(self.fail("expected ',' or '}'")),
            }
        }
    }

    /// serde_json reads an object whose first member has one of its own magic names as *text to parse again*,
    /// which would carry a second document past every check here.
    fn refuse_private(&self, name: Span, escaped: bool) -> Result<(), JsonError> {
        let private = |name: &str| name.starts_with("$serde_json::private::");
        if (escaped || self.bytes[name.start as usize] == b'$')
            && private(&unescape(name.of(self.text), escaped))
        {
            return Err(self.fail("reserved member name"));
        }
        Ok(())
    }

    fn refuse_duplicates(&self, first: usize) -> Result<(), JsonError> {
        const PAIRWISE: usize = 16;
        let members = &self.names[first..];
        let twice = if members.len() <= PAIRWISE && !members.iter().any(|m| m.name_escaped) {
            members.iter().enumerate().find_map(|(index, member)| {
                let same = |one: &Member| {
                    one.name_tag == member.name_tag && one.name.of(self.text) == member.name.of(self.text)
                };
                members[..index].iter().any(same).then(|| Cow::Borrowed(member.name.of(self.text)))
            })
        } else {
            let mut names: Vec<Cow<'_, str>> = members.iter().map(|m| m.name(self.text)).collect();
            names.sort_unstable();
            names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone())
        };
        match twice {
            Some(name) => Err(JsonError::DuplicateMember(name.chars().take(64).collect())),
            None => Ok(()),
        }
    }

    /// Scans a string from its opening quote; true when it holds escapes.
    fn string(&mut self) -> Result<bool, JsonError> {
        self.at += 1;
        let mut escaped = false;
        loop {
            self.at += plain_length(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.fail("raw control character in a string")),
                None => return Err(self.fail("unterminated string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match self.code_unit(self.at)? {
                0xD800..=0xDBFF => match self.code_unit(self.at + 6)? {
                    0xDC00..=0xDFFF => {
                        self.at += 12;
                        Ok(())
                    }
                    _ => Err(self.fail("lone surrogate")),
                },
                0xDC00..=0xDFFF => Err(self.fail("lone surrogate")),
                _ => {
                    self.at += 6;
                    Ok(())
                }
            },
            _ => Err(self.fail("unknown escape")),
        }
    }

    fn code_unit(&self, at: usize) -> Result<u16, JsonError> {
        let Some([b'\\', b'u', digits @ ..]) = self.bytes.get(at..at + 6) else {
            return Err(self.fail("bad \\u escape"));
        };
        digits.iter().try_fold(0u16, |unit, digit| {
            let nibble = (*digit as char).to_digit(16).ok_or_else(|| self.fail("bad \\u escape"))?;
            Ok((unit << 4) | nibble as u16)
        })
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Kind, JsonError> {
        const SURELY_FINITE: usize = 300;
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits();
        if whole == 0 || (leading_zero && whole > 1) {
            return Err(self.fail("bad number"));
        }
        let mut exponent = false;
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.fail("bad number"));
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            exponent = true;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.fail("bad number"));
            }
        }
        if exponent || whole > SURELY_FINITE {
            let number: f64 = self.text[start..self.at].parse().map_err(|_| self.fail("bad number"))?;
            if !number.is_finite() {
                return Err(self.fail("number out of range"));
            }
        }
        Ok(Kind::Number)
    }
}

/// How many bytes from the start are neither a quote, a backslash nor a control character: eight at a time.
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let mut length = 0;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        // A zero byte in `x` sets its high bit in `(x - ONES) & !x & HIGHS`; the lowest one set is exact.
        let zero_in = |x: u64| x.wrapping_sub(ONES) & !x & HIGHS;
        let quote = zero_in(word ^ (ONES * u64::from(b'"')));
        let backslash = zero_in(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let stop = quote | backslash | control;
        if stop != 0 {
            return length + stop.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let stop = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F));
    length + stop.unwrap_or(rest.len())
}
