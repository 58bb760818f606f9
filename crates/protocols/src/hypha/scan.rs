//! Stepping over MessagePack without making anything of it, and without recursion: nesting costs nothing.

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It ends within a value.
    #[error("the frame ends within a value")]
    Truncated,
    /// A byte that MessagePack reserves.
    #[error("the frame has a byte that is no MessagePack")]
    Reserved,
    /// It does not begin with a map of few entries with texts as keys.
    #[error("the frame does not begin with a map of its head")]
    NoHead,
    /// A key of the head that stands there twice.
    #[error("the frame's head says a thing twice")]
    Twice,
    /// A part of the head of another type, or too long.
    #[error("the frame's head has a part of the wrong type")]
    WrongType,
    /// More values, or deeper, than are taken.
    #[error("the frame has too many values, or too deep ones")]
    TooMuch,
}

/// A place in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'b> {
    pub(super) bytes: &'b [u8],
    pub(super) at: usize,
}

/// What a value's first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'b> {
    /// A value without others in it that is no text.
    Plain,
    /// A text.
    Text(&'b [u8]),
    /// So many values follow: those of an array, or keys and values of a map.
    Array(u32),
    Map(u32),
}

impl<'b> Cursor<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8], FrameError> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(FrameError::Truncated)?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn number(&mut self, width: usize) -> Result<usize, FrameError> {
        let bytes = self.take(width)?;
        Ok(bytes.iter().fold(0usize, |number, byte| number << 8 | usize::from(*byte)))
    }

    fn length(&mut self, width: usize) -> Result<u32, FrameError> {
        self.number(width).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// The next value's first bytes; a plain value and a text are passed whole.
    pub(super) fn next(&mut self) -> Result<Token<'b>, FrameError> {
        let first = self.take(1)?[0];
        let plain = |cursor: &mut Self, count: usize| cursor.take(count).map(|_| Token::Plain);
        match first {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => Ok(Token::Plain),
            0x80..=0x8f => Ok(Token::Map(u32::from(first & 0x0f))),
            0x90..=0x9f => Ok(Token::Array(u32::from(first & 0x0f))),
            0xa0..=0xbf => self.take(usize::from(first & 0x1f)).map(Token::Text),
            0xc1 => Err(FrameError::Reserved),
            0xc4..=0xc6 => {
                let count = self.number(1 << (first - 0xc4))?;
                plain(self, count)
            }
            0xc7..=0xc9 => {
                let count = self.number(1 << (first - 0xc7))?;
                plain(self, count.saturating_add(1))
            }
            0xca | 0xce | 0xd2 => plain(self, 4),
            0xcb | 0xcf | 0xd3 => plain(self, 8),
            0xcc | 0xd0 => plain(self, 1),
            0xcd | 0xd1 => plain(self, 2),
            0xd4..=0xd8 => plain(self, (1 << (first - 0xd4)) + 1),
            0xd9..=0xdb => {
                let count = self.number(1 << (first - 0xd9))?;
                self.take(count).map(Token::Text)
            }
            0xdc => self.length(2).map(Token::Array),
            0xdd => self.length(4).map(Token::Array),
            0xde => self.length(2).map(Token::Map),
            0xdf => self.length(4).map(Token::Map),
        }
    }

    /// Steps over one value with all that is in it; the answer is how many values that were.
    pub(super) fn skip(&mut self) -> Result<u64, FrameError> {
        let (mut ahead, mut seen) = (1u64, 0u64);
        while ahead > 0 {
            ahead -= 1;
            seen += 1;
            match self.next()? {
                Token::Plain | Token::Text(_) => {}
                Token::Array(count) => ahead += u64::from(count),
                Token::Map(count) => ahead += 2 * u64::from(count),
            }
            // Every value has a byte at least: what claims more than is there is told at once.
            if ahead > (self.bytes.len() - self.at) as u64 {
                return Err(FrameError::Truncated);
            }
        }
        Ok(seen)
    }
}
