//! Frames of a WebSocket as a server reads and writes them (RFC 6455 §5), for connections that carry many small messages and a few large
//! ones: what comes is unmasked where it was read, and what goes is written where it is.
//!
//! Nothing is compressed and nothing else is agreed to, so every reserved bit is an error.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Longest payload of a control frame (§5.5).
pub(crate) const MAX_CONTROL: usize = 125;
/// Parts of messages that are smaller are told of: browsers and libraries send larger ones, of 16 KiB at least.
const SMALL_PART: usize = 1 << 10;
/// Longest head of a frame of ours, which has no mask.
const MAX_HEAD: usize = 10;

/// What a frame is (§11.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
}

/// What the client said, whole; or that it said something which is no message and costs the reading of a frame all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    Text(String),
    Binary(Bytes),
    Ping(Bytes),
    Pong,
    /// A part of a message, so small that there may be any number of them.
    Part,
    Close,
}

/// Why there is no going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A message is larger than any may be.
    TooLarge,
    /// This is no WebSocket.
    NoFrame,
}

/// A frame's head.
#[derive(Debug, Clone, Copy)]
struct Head {
    /// Its own bytes.
    bytes: usize,
    payload: usize,
    last: bool,
    /// `None` for what goes on with the message before.
    opcode: Option<Opcode>,
    mask: [u8; 4],
}

impl Head {
    /// Reads one; `None` while it is not whole.
    fn read(bytes: &[u8]) -> Result<Option<Self>, Broken> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let opcode = match first & 0x0f {
            0x0 => None,
            0x1 => Some(Opcode::Text),
            0x2 => Some(Opcode::Binary),
            0x8 => Some(Opcode::Close),
            0x9 => Some(Opcode::Ping),
            0xa => Some(Opcode::Pong),
            _ => return Err(Broken::NoFrame),
        };
        let (last, reserved, masked) = (first & 0x80 != 0, first & 0x70 != 0, second & 0x80 != 0);
        if reserved || !masked {
            return Err(Broken::NoFrame);
        }
        let short = usize::from(second & 0x7f);
        let is_control = matches!(opcode, Some(Opcode::Close | Opcode::Ping | Opcode::Pong));
        if is_control && (!last || short > MAX_CONTROL) {
            return Err(Broken::NoFrame);
        }
        let (width, payload) = match short {
            126 => match rest.first_chunk::<2>() {
                Some(two) => (2, usize::from(u16::from_be_bytes(*two))),
                None => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(eight) => {
                    (8, usize::try_from(u64::from_be_bytes(*eight)).map_err(|_| Broken::TooLarge)?)
                }
                None => return Ok(None),
            },
            short => (0, short),
        };
        let Some(mask) = rest[width..].first_chunk::<4>() else { return Ok(None) };
        Ok(Some(Self { bytes: 2 + width + 4, payload, last, opcode, mask: *mask }))
    }
}

/// What has come of a client and was not taken yet.
pub(crate) struct Reader {
    pub(crate) held: BytesMut,
    /// Most bytes of one message.
    pub(crate) most: usize,
    /// Parts of a message that is not whole.
    parts: Option<(Opcode, BytesMut)>,
}

impl Reader {
    pub(crate) fn new(held: BytesMut, most: usize) -> Self {
        Self { held, most, parts: None }
    }

    /// Bytes that are held of what is not whole.
    pub(crate) fn held(&self) -> usize {
        self.held.len() + self.parts.as_ref().map_or(0, |(_, parts)| parts.len())
    }

    /// The next message, or what is none; `None` while it is not whole.
    ///
    /// # Errors
    /// [`Broken`]; nothing is read after it.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, Broken> {
        loop {
            let Some(head) = Head::read(&self.held)? else { return Ok(None) };
            let before = self.parts.as_ref().map_or(0, |(_, parts)| parts.len());
            let is_control = matches!(head.opcode, Some(Opcode::Close | Opcode::Ping | Opcode::Pong));
            if !is_control && head.payload > self.most.saturating_sub(before) {
                return Err(Broken::TooLarge);
            }
            if self.held.len() < head.bytes.saturating_add(head.payload) {
                return Ok(None);
            }
            self.held.advance(head.bytes);
            let mut payload = self.held.split_to(head.payload);
            unmask(&mut payload, head.mask);
            let (opcode, whole) = match (head.opcode, self.parts.take()) {
                (Some(Opcode::Close), _) => return Ok(Some(Message::Close)),
                (Some(Opcode::Ping), parts) => {
                    self.parts = parts;
                    // Copied, so that it does not keep what it came in.
                    return Ok(Some(Message::Ping(Bytes::copy_from_slice(&payload))));
                }
                (Some(Opcode::Pong), parts) => {
                    self.parts = parts;
                    return Ok(Some(Message::Pong));
                }
                (Some(opcode), None) => (opcode, payload),
                (None, Some((opcode, mut parts))) => {
                    parts.extend_from_slice(&payload);
                    (opcode, parts)
                }
                (Some(_), Some(_)) | (None, None) => return Err(Broken::NoFrame),
            };
            if !head.last {
                self.parts = Some((opcode, if before == 0 { BytesMut::from(&whole[..]) } else { whole }));
                if head.payload < SMALL_PART {
                    return Ok(Some(Message::Part));
                }
                continue;
            }
            return match opcode {
                Opcode::Binary => Ok(Some(Message::Binary(whole.freeze()))),
                _ => match std::str::from_utf8(&whole) {
                    Ok(text) => Ok(Some(Message::Text(text.to_owned()))),
                    Err(_) => Err(Broken::NoFrame),
                },
            };
        }
    }

    /// How many bytes are still missing of the frame that has begun, as far as can be told.
    pub(crate) fn missing(&self) -> usize {
        match Head::read(&self.held) {
            Ok(Some(head)) => head.bytes.saturating_add(head.payload).saturating_sub(self.held.len()),
            _ => 0,
        }
    }
}

/// Takes a mask off (§5.3), eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (eights, rest) = payload.as_chunks_mut::<8>();
    for eight in eights {
        *eight = (u64::from_ne_bytes(*eight) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
}

/// Writes the head of a frame that is a whole message.
pub(crate) fn write_head(out: &mut BytesMut, opcode: Opcode, payload: usize) {
    out.reserve(MAX_HEAD);
    out.put_u8(0x80 | opcode as u8);
    match (u8::try_from(payload), u16::try_from(payload)) {
        (Ok(short @ 0..=125), _) => out.put_u8(short),
        (_, Ok(two)) => {
            out.put_u8(126);
            out.put_u16(two);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(payload as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = BytesMut::new();
        write_head(&mut frame, Opcode::Text, payload.len());
        frame[0] = first;
        frame[1] |= 0x80;
        frame.extend_from_slice(&MASK);
        let begin = frame.len();
        frame.extend_from_slice(payload);
        unmask(&mut frame[begin..], MASK);
        frame.to_vec()
    }

    fn all(bytes: &[u8], most: usize) -> Result<Vec<Message>, Broken> {
        let mut reader = Reader::new(BytesMut::from(bytes), most);
        let mut found = Vec::new();
        while let Some(message) = reader.next()? {
            found.push(message);
        }
        Ok(found)
    }

    #[test]
    fn messages_are_read_whole_and_in_their_order() {
        let large = vec![7; 70_000];
        let bytes = [
            frame(0x82, b"one"),
            frame(0x81, "zwei \u{e9}".as_bytes()),
            frame(0x02, b"th"),
            frame(0x89, b"between"),
            frame(0x00, b"re"),
            frame(0x80, b"e"),
            frame(0x8a, b""),
            frame(0x82, &large[..300]),
            frame(0x82, &large),
            frame(0x88, &[3, 232]),
        ]
        .concat();
        let found = all(&bytes, 70_000).expect("good");
        let expected = [
            Message::Binary("one".into()),
            Message::Text("zwei \u{e9}".into()),
            Message::Part,
            Message::Ping("between".into()),
            Message::Part,
            Message::Binary("three".into()),
            Message::Pong,
            Message::Binary(large[..300].to_vec().into()),
            Message::Binary(large.clone().into()),
            Message::Close,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_websocket_is_told_and_what_is_too_large_before_it_has_come() {
        let unmasked = [0x82, 3, 1, 2, 3];
        let long_ping = frame(0x89, &[0; 126]);
        for bytes in [
            &unmasked[..],
            &frame(0xc2, b"a reserved bit"),
            &frame(0x83, b"an opcode that is none"),
            &frame(0x80, b"goes on with nothing"),
            &[frame(0x02, b"a"), frame(0x82, b"another begins")].concat(),
            &frame(0x09, b"a ping in parts"),
            &long_ping,
            &frame(0x81, &[0xff, 0xfe]),
        ] {
            assert_eq!(all(bytes, 1000), Err(Broken::NoFrame), "{bytes:x?}");
        }
        let head = &frame(0x82, &[0; 1001])[..8];
        assert_eq!(all(head, 1000), Err(Broken::TooLarge));
        let in_parts = [frame(0x02, &[0; 600]), frame(0x80, &[0; 600])].concat();
        assert_eq!(all(&in_parts, 1000), Err(Broken::TooLarge));
        let endless = [0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert_eq!(all(&endless, 1000), Err(Broken::TooLarge));
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_same_is_read(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..8),
            cut in 1usize..50,
        ) {
            let bytes: Vec<u8> = payloads.iter().flat_map(|payload| frame(0x82, payload)).collect();
            let mut reader = Reader::new(BytesMut::new(), 1000);
            let mut found = Vec::new();
            for piece in bytes.chunks(cut) {
                reader.held.extend_from_slice(piece);
                while let Some(message) = reader.next().expect("good") {
                    found.push(message);
                }
            }
            let expected: Vec<_> = payloads.into_iter().map(|payload| Message::Binary(payload.into())).collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(reader.held(), 0);
        }

        #[test]
        fn whatever_comes_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(found) = all(&bytes, 100) {
                prop_assert!(found.len() <= bytes.len());
            }
        }
    }
}
