//! Where one message ends and the next begins, read from raw bytes before any other parser sees them.
//!
//! Request smuggling needs two readers of one byte stream that disagree. So the stream is read here in the one
//! strict way of RFC 9112 (§2.2, §5, §6, §7.1), and what allows a second reading is refused instead of repaired:
//! both length kinds, a repeated one, a bare line feed, a folded header, trailers, white space before a colon.
//!
//! ```text
//! Head ─► no body ─► Head        Head ─► Length(n) ─► Head        Head ─► ChunkSize ⇄ ChunkData ─► LastCrlf ─► Head
//! ```

use doorward_core::error::{Code, codes};
use doorward_protocols::http_auth::is_token_byte;
use http::uri::PathAndQuery;
use memchr::{memchr, memchr_iter, memchr2};

/// Most bytes from the request line to the empty line.
pub(crate) const MAX_HEAD_BYTES: usize = 16 << 10;
/// Most header fields.
pub(crate) const MAX_HEADERS: usize = 100;
/// Most bytes in the line that names a chunk's size, its extension included.
const MAX_CHUNK_LINE_BYTES: usize = 256;

/// Why a message is not read on. The connection ends with this answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// HTTP status.
    pub(crate) status: u16,
    /// Stable code.
    pub(crate) code: &'static Code,
    /// What is wrong, without any of the input.
    pub(crate) message: &'static str,
}

impl Refusal {
    fn bad(message: &'static str) -> Self {
        Self { status: 400, code: codes::BAD_REQUEST, message }
    }

    fn header(message: &'static str) -> Self {
        Self { status: 400, code: codes::BAD_HEADER, message }
    }

    fn head_too_large() -> Self {
        Self { status: 431, code: codes::TOO_LARGE, message: "A request head may have 16 KiB." }
    }

    /// The head did not arrive in time (RFC 9110 §15.5.9).
    pub(crate) fn too_slow() -> Self {
        Self {
            status: 408,
            code: codes::BAD_REQUEST,
            message: "The request head did not arrive in 10 seconds.",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Length(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkCrlf,
    LastCrlf,
}

/// A reader of message boundaries. It keeps no bytes: the caller shows it what is buffered.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    /// Bytes of the current head or chunk line that were looked at already.
    scanned: usize,
}

impl Framing {
    pub(crate) fn new() -> Self {
        Self { state: State::Head, scanned: 0 }
    }

    /// Whether the next byte starts or continues a request head.
    pub(crate) fn in_head(&self) -> bool {
        self.state == State::Head
    }

    /// How many of the buffered bytes are understood and may be passed on; 0 asks for more.
    ///
    /// # Errors
    /// [`Refusal`] when what is buffered has no or more than one reading.
    pub(crate) fn advance(&mut self, buffered: &[u8]) -> Result<usize, Refusal> {
        match self.state {
            State::Head => self.head(buffered),
            State::Length(left) => Ok(self.data(buffered, left, State::Length, State::Head)),
            State::ChunkData(left) => Ok(self.data(buffered, left, State::ChunkData, State::ChunkCrlf)),
            State::ChunkSize => self.chunk_size(buffered),
            State::ChunkCrlf => self.crlf(buffered, State::ChunkSize, "A chunk is longer than it says."),
            State::LastCrlf => self.crlf(buffered, State::Head, "Trailers are not taken."),
        }
    }

    fn data(&mut self, buffered: &[u8], left: u64, same: fn(u64) -> State, next: State) -> usize {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(buffered.len());
        let left = left - take as u64;
        self.state = if left == 0 { next } else { same(left) };
        take
    }

    fn crlf(&mut self, buffered: &[u8], next: State, message: &'static str) -> Result<usize, Refusal> {
        match buffered {
            [] | [b'\r'] => Ok(0),
            [b'\r', b'\n', ..] => {
                self.state = next;
                Ok(2)
            }
            _ => Err(Refusal::bad(message)),
        }
    }

    fn chunk_size(&mut self, buffered: &[u8]) -> Result<usize, Refusal> {
        let Some(end) = line_end(buffered, 0)? else {
            return if buffered.len() > MAX_CHUNK_LINE_BYTES {
                Err(Refusal::bad("A chunk's first line is too long."))
            } else {
                Ok(0)
            };
        };
        let line = &buffered[..end];
        let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
        if digits == 0 || digits > 8 || line.len() > MAX_CHUNK_LINE_BYTES {
            return Err(Refusal::bad("A chunk's size is not a hexadecimal number of up to 8 digits."));
        }
        if !matches!(line.get(digits), None | Some(b';')) {
            return Err(Refusal::bad("A chunk's size is followed by something else than an extension."));
        }
        let size = line[..digits].iter().fold(0u64, |size, digit| {
            size * 16 + u64::from((*digit as char).to_digit(16).unwrap_or_default())
        });
        self.state = if size == 0 { State::LastCrlf } else { State::ChunkData(size) };
        Ok(end + 2)
    }

    fn head(&mut self, buffered: &[u8]) -> Result<usize, Refusal> {
        // 1. Find the empty line, looking at each byte once however slowly they come.
        let mut start = self.scanned;
        let end = loop {
            match line_end(buffered, start)? {
                Some(0) => return Err(Refusal::bad("The request starts with an empty line.")),
                Some(end) if end == start => break end + 2,
                Some(end) => start = end + 2,
                None => {
                    self.scanned = start;
                    return if buffered.len() > MAX_HEAD_BYTES {
                        Err(Refusal::head_too_large())
                    } else {
                        Ok(0)
                    };
                }
            }
        };
        if end > MAX_HEAD_BYTES {
            return Err(Refusal::head_too_large());
        }
        // 2. Judge it as a whole.
        self.state = body_of(&buffered[..end - 4])?;
        self.scanned = 0;
        Ok(end)
    }
}

/// Where the line that starts at `start` ends (the index of its CR); `None` if it goes on beyond the buffer.
fn line_end(buffered: &[u8], start: usize) -> Result<Option<usize>, Refusal> {
    let rest = &buffered[start..];
    let (line, ending) = rest.split_at(memchr2(b'\r', b'\n', rest).unwrap_or(rest.len()));
    // Without a branch, so that many bytes are looked at in one step.
    let control = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7F;
    if line.iter().fold(false, |found, byte| found | control(*byte)) {
        return Err(Refusal::bad("The request holds a control character."));
    }
    match ending {
        [] | [b'\r'] => Ok(None),
        [b'\r', b'\n', ..] => Ok(Some(start + line.len())),
        [b'\r', ..] => Err(Refusal::bad("A line holds a bare carriage return.")),
        _ => Err(Refusal::bad("A line ends in a bare line feed.")),
    }
}

/// What follows a head (request line and fields without the empty line).
fn body_of(head: &[u8]) -> Result<State, Refusal> {
    let ends = memchr_iter(b'\n', head).chain(std::iter::once(head.len()));
    let mut start = 0;
    let mut lines = ends.map(|end| {
        let line = &head[std::mem::replace(&mut start, end + 1)..end];
        line.strip_suffix(b"\r").unwrap_or(line)
    });
    let is_1_1 = request_line(lines.next().unwrap_or_default())?;
    let (mut hosts, mut length, mut chunked, mut fields) = (0, None, false, 0);
    for line in lines {
        fields += 1;
        if fields > MAX_HEADERS {
            return Err(Refusal {
                status: 431,
                code: codes::TOO_LARGE,
                message: "A request may have 100 headers.",
            });
        }
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"host") {
            hosts += 1;
            if hosts > 1 || !is_host(value) {
                return Err(Refusal::header("Send one Host header with one name."));
            }
        } else if name.eq_ignore_ascii_case(b"content-length") {
            if length.is_some() {
                return Err(Refusal::header("Content-Length stands twice."));
            }
            length = Some(content_length(value)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunked || !is_1_1 || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::header("Transfer-Encoding may only be chunked, once, in HTTP/1.1."));
            }
            chunked = true;
        } else if name.eq_ignore_ascii_case(b"expect") && !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Refusal {
                status: 417,
                code: codes::BAD_HEADER,
                message: "Expect may only be 100-continue.",
            });
        }
    }
    if is_1_1 && hosts == 0 {
        return Err(Refusal::header("The Host header is missing."));
    }
    match (length, chunked) {
        (Some(_), true) => Err(Refusal::header("Send Content-Length or Transfer-Encoding, never both.")),
        (Some(0) | None, false) => Ok(State::Head),
        (Some(length), false) => Ok(State::Length(length)),
        (None, true) => Ok(State::ChunkSize),
    }
}

/// Checks `method SP target SP version`; true for HTTP/1.1.
fn request_line(line: &[u8]) -> Result<bool, Refusal> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::bad("The request line is not: method, one space, target, one space, version."));
    };
    if method.is_empty() || method.len() > 32 || !method.iter().copied().all(is_token_byte) {
        return Err(Refusal::bad("The method is not a token."));
    }
    if !target.iter().all(|byte| (0x21..0x7F).contains(byte)) {
        return Err(Refusal {
            status: 400,
            code: codes::BAD_PATH,
            message: "The target is not plain ASCII.",
        });
    }
    if target.first() != Some(&b'/') && target != b"*" {
        return Err(Refusal { status: 400, code: codes::BAD_PATH, message: "The target is not a path." });
    }
    // The library behind reads targets with this parser; what it does not take would be refused without a word.
    if PathAndQuery::try_from(target).is_err() {
        return Err(Refusal {
            status: 400,
            code: codes::BAD_PATH,
            message: "The target is not a path and query.",
        });
    }
    if target.contains(&b'#') {
        return Err(Refusal { status: 400, code: codes::BAD_PATH, message: "The target holds a fragment." });
    }
    match version {
        b"HTTP/1.1" => Ok(true),
        b"HTTP/1.0" => Ok(false),
        _ => Err(Refusal {
            // RFC 9110 §15.6.6 has a status of its own, but what is malformed is the client's to mend.
            status: 400,
            code: codes::BAD_REQUEST,
            message: "Only HTTP/1.1 and HTTP/1.0 are spoken.",
        }),
    }
}

fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Refusal::header("A header is folded over two lines."));
    }
    let Some(colon) = memchr(b':', line) else { return Err(Refusal::header("A header has no colon.")) };
    let name = &line[..colon];
    if name.is_empty() || !name.iter().copied().all(is_token_byte) {
        return Err(Refusal::header("A header's name is not a token."));
    }
    Ok((name, line[colon + 1..].trim_ascii()))
}

fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    let bad = Refusal::header("Content-Length is not one number.");
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(bad);
    }
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(bad)
}

/// A host and an optional port, as far as characters go (RFC 9110 §7.2). Nothing here is decided by it.
fn is_host(value: &[u8]) -> bool {
    value.len() <= 255 && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(byte))
}

#[cfg(test)]
mod tests;
