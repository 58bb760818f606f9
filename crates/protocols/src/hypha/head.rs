//! A frame's head: the first of its one or two MessagePack values, which says where the frame goes.
//!
//! Only the head is looked into. What a server has to vouch for (`from`, `to`, `ws`, `user`) is written anew; everything else, and
//! every byte behind the head, goes on as it came.

use super::scan::{Cursor, Token};

pub use super::scan::FrameError;

/// Most entries of a head; clients write nine.
const MAX_ENTRIES: u32 = 32;
/// Longest text that the head may give for what is read of it.
const MAX_TEXT_BYTES: usize = 1024;

/// What of a call's head goes on as it came.
const CALL: &[&[u8]] = &[b"type", b"method", b"session", b"parent"];
/// What of an event's head does not.
const UNSAID: &[&[u8]] = &[b"ctx", b"context", b"connection_type"];
/// What may stand behind a head.
const ARGUMENTS: &[&[u8]] = &[b"args", b"with_kwargs", b"promise", b"t", b"_enc", b"data"];

/// What the server says of a frame that it sends on.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'s> {
    /// `workspace/client` of the sender.
    pub from: &'s str,
    /// `workspace/client` of the receiver, or `workspace/*`.
    pub to: &'s str,
    /// The caller's workspace.
    pub workspace: &'s str,
    /// The caller, as MessagePack.
    pub user: &'s [u8],
}

/// A frame, its head read.
#[derive(Debug, Clone)]
pub struct Head<'f> {
    frame: &'f [u8],
    /// Each entry's key, and its bytes, key and value; but those that the server writes.
    entries: Vec<(&'f [u8], &'f [u8])>,
    /// How many entries do not go on.
    dropped: usize,
    /// Where the head ends.
    end: usize,
    /// `type`: `method`, or an event's name.
    pub kind: &'f str,
    /// `to`.
    pub to: &'f str,
    /// `method`.
    pub method: Option<&'f str>,
    /// `session`, where an answer is wanted.
    pub session: Option<&'f str>,
    /// Whether what is behind the head says nothing but what belongs there. Clients let it speak over the head.
    pub tail_is_plain: bool,
    /// `from`, as the sender would have it.
    pub from: Option<&'f str>,
}

impl<'f> Head<'f> {
    /// Reads the head of a frame, and makes sure that what is behind it is one MessagePack value or nothing.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn read(frame: &'f [u8]) -> Result<Self, FrameError> {
        let mut cursor = Cursor::new(frame);
        let Token::Map(count @ 1..=MAX_ENTRIES) = cursor.next()? else { return Err(FrameError::NoHead) };
        let mut entries = Vec::with_capacity(count as usize);
        let (mut kind, mut to, mut method, mut session, mut from) = (None, None, None, None, None);
        let (mut workspace, mut user) = (false, false);
        for _ in 0..count {
            let begin = cursor.at;
            let Token::Text(key) = cursor.next()? else { return Err(FrameError::NoHead) };
            let slot = match key {
                b"type" => Some(&mut kind),
                b"to" => Some(&mut to),
                b"method" => Some(&mut method),
                b"session" => Some(&mut session),
                b"from" => Some(&mut from),
                _ => None,
            };
            if let Some(slot) = slot {
                let value = text_or_nil(&mut cursor)?;
                if slot.replace(value).is_some() {
                    return Err(FrameError::Twice);
                }
            } else {
                let told = match key {
                    b"ws" => Some(&mut workspace),
                    b"user" => Some(&mut user),
                    _ => None,
                };
                if told.is_some_and(|told| std::mem::replace(told, true)) {
                    return Err(FrameError::Twice);
                }
                cursor.skip()?;
            }
            if !matches!(key, b"from" | b"to" | b"ws" | b"user") {
                entries.push((key, &frame[begin..cursor.at]));
            }
        }
        let is_call = kind == Some(Some("method"));
        // Clients take what is in a head for the server's word (`ctx` among it); of a call nothing goes on but what a call has.
        let goes_on = |key: &[u8]| match is_call {
            true => CALL.contains(&key),
            false => !UNSAID.contains(&key),
        };
        let given = entries.len();
        entries.retain(|(key, _)| goes_on(key));
        let dropped = given - entries.len();
        let end = cursor.at;
        let mut tail_is_plain = true;
        if !cursor.is_at_end() {
            tail_is_plain = arguments(&mut cursor)?;
            if !cursor.is_at_end() {
                return Err(FrameError::TooMuch);
            }
        }
        Ok(Self {
            frame,
            entries,
            end,
            kind: kind.flatten().ok_or(FrameError::NoHead)?,
            to: to.flatten().ok_or(FrameError::NoHead)?,
            method: method.flatten(),
            session: session.flatten(),
            dropped,
            tail_is_plain,
            from: from.flatten(),
        })
    }

    /// Whether every entry of the head would go on, but for those that the server writes.
    #[must_use]
    pub fn is_as_written(&self) -> bool {
        self.dropped == 0
    }

    /// The bytes behind the head: arguments, or nothing.
    #[must_use]
    pub fn tail(&self) -> &'f [u8] {
        &self.frame[self.end..]
    }

    /// The frame as it goes on: what the server vouches for written by it, everything else as it came.
    #[must_use]
    pub fn stamped(&self, stamp: &Stamp<'_>) -> Vec<u8> {
        let tail = self.tail();
        let mut frame = self.written(stamp, tail.len());
        frame.extend_from_slice(tail);
        frame
    }

    /// The head alone as it goes on: [`Head::tail`] goes behind it.
    #[must_use]
    pub fn stamped_head(&self, stamp: &Stamp<'_>) -> Vec<u8> {
        self.written(stamp, 0)
    }

    fn written(&self, stamp: &Stamp<'_>, room: usize) -> Vec<u8> {
        let given: usize = self.entries.iter().map(|(_, entry)| entry.len()).sum();
        let own = stamp.from.len() + stamp.to.len() + stamp.workspace.len() + stamp.user.len() + 48;
        let mut frame = Vec::with_capacity(given + own + room);
        let count = self.entries.len() + 4;
        write_map(&mut frame, count);
        for (_, entry) in &self.entries {
            frame.extend_from_slice(entry);
        }
        write_text(&mut frame, "from");
        write_text(&mut frame, stamp.from);
        write_text(&mut frame, "to");
        write_text(&mut frame, stamp.to);
        write_text(&mut frame, "ws");
        write_text(&mut frame, stamp.workspace);
        write_text(&mut frame, "user");
        frame.extend_from_slice(stamp.user);
        frame
    }
}

/// Steps over what is behind a head; the answer is whether it is a map that says nothing but what belongs there.
fn arguments(cursor: &mut Cursor<'_>) -> Result<bool, FrameError> {
    let begin = *cursor;
    let Token::Map(count) = cursor.next()? else {
        *cursor = begin;
        cursor.skip()?;
        return Ok(false);
    };
    let mut plain = true;
    for _ in 0..count {
        match cursor.next()? {
            Token::Text(key) => plain &= ARGUMENTS.contains(&key),
            // A map as a key, and the like: stepped over as a value.
            _ => {
                *cursor = begin;
                cursor.skip()?;
                return Ok(false);
            }
        }
        cursor.skip()?;
    }
    Ok(plain)
}

fn text_or_nil<'f>(cursor: &mut Cursor<'f>) -> Result<Option<&'f str>, FrameError> {
    let at = cursor.at;
    match cursor.next()? {
        Token::Text(text) if text.len() <= MAX_TEXT_BYTES => {
            std::str::from_utf8(text).map(Some).map_err(|_| FrameError::WrongType)
        }
        Token::Plain if cursor.bytes[at] == 0xc0 => Ok(None),
        _ => Err(FrameError::WrongType),
    }
}

fn write_map(out: &mut Vec<u8>, count: usize) {
    match u8::try_from(count) {
        Ok(few @ 0..=15) => out.push(0x80 | few),
        _ => {
            out.push(0xde);
            out.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    let length = text.len();
    if let Ok(short @ 0..=31) = u8::try_from(length) {
        out.push(0xa0 | short);
    } else if let Ok(byte) = u8::try_from(length) {
        out.extend_from_slice(&[0xd9, byte]);
    } else if let Ok(two) = u16::try_from(length) {
        out.push(0xda);
        out.extend_from_slice(&two.to_be_bytes());
    } else {
        out.push(0xdb);
        out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rmpv::Value;

    use super::*;

    fn packed(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        rmpv::encode::write_value(&mut out, value).expect("a vector takes everything");
        out
    }

    fn map(entries: &[(&str, Value)]) -> Value {
        Value::Map(entries.iter().map(|(key, value)| (Value::from(*key), value.clone())).collect())
    }

    const STAMP: Stamp<'static> = Stamp { from: "ws-a/x", to: "ws-b/y", workspace: "ws-a", user: &[0x80] };

    #[test]
    fn a_stamped_frame_says_what_the_server_vouches_for_and_keeps_every_other_byte() {
        let head = map(&[
            ("type", "method".into()),
            ("from", "ws-b/forged".into()),
            ("to", "y".into()),
            ("method", "services.echo.echo".into()),
            ("session", "abc".into()),
            ("user", map(&[("id", "root".into())])),
            ("ws", "ws-root".into()),
            ("parent", Value::Nil),
        ]);
        let tail = packed(&map(&[("args", Value::Array(vec![Value::Binary(vec![7; 1000])]))]));
        let mut frame = packed(&head);
        frame.extend_from_slice(&tail);
        let read = Head::read(&frame).expect("a frame");
        assert_eq!(
            (read.kind, read.to, read.method, read.session),
            ("method", "y", Some("services.echo.echo"), Some("abc"))
        );
        let stamped = read.stamped(&STAMP);
        assert_eq!([read.stamped_head(&STAMP), read.tail().to_vec()].concat(), stamped);
        let mut rest = &stamped[..];
        let again = rmpv::decode::read_value(&mut rest).expect("a head");
        assert_eq!(rest, tail);
        let said = |name: &str| {
            let entries = again.as_map().expect("a map");
            let found: Vec<_> = entries.iter().filter(|(key, _)| key.as_str() == Some(name)).collect();
            assert!(found.len() <= 1, "{name} is said once");
            found.first().map(|(_, value)| value.clone())
        };
        assert_eq!(said("from"), Some("ws-a/x".into()));
        assert_eq!(said("to"), Some("ws-b/y".into()));
        assert_eq!(said("ws"), Some("ws-a".into()));
        assert_eq!(said("user"), Some(Value::Map(Vec::new())));
        assert_eq!(said("method"), Some("services.echo.echo".into()));
        assert_eq!(said("parent"), Some(Value::Nil));
    }

    #[test]
    fn what_is_no_frame_is_told() {
        let good = [("type", Value::from("method")), ("to", "x".into())];
        let twice = Value::Map(vec![
            ("type".into(), "a".into()),
            ("to".into(), "x".into()),
            ("to".into(), "y".into()),
        ]);
        let no_text = map(&[("type", "a".into()), ("to", 7.into())]);
        let keys = Value::Map(vec![(1.into(), 2.into())]);
        for (bytes, error) in [
            (vec![], FrameError::Truncated),
            (vec![0xc1], FrameError::Reserved),
            (vec![0x80], FrameError::NoHead),
            (vec![0x93, 1, 2, 3], FrameError::NoHead),
            (vec![0xdf, 0xff, 0xff, 0xff, 0xff], FrameError::NoHead),
            (packed(&twice), FrameError::Twice),
            (packed(&no_text), FrameError::WrongType),
            (packed(&keys), FrameError::NoHead),
            (packed(&map(&good[..1])), FrameError::NoHead),
            ([packed(&map(&good)), vec![0xdd, 0xff, 0xff, 0xff, 0xff]].concat(), FrameError::Truncated),
            ([packed(&map(&good)), vec![0xc0, 0xc0]].concat(), FrameError::TooMuch),
        ] {
            assert_eq!(Head::read(&bytes).map(|_| ()).expect_err("no frame"), error, "{bytes:x?}");
        }
        let deep = [packed(&map(&good)), vec![0x91; 1 << 20], vec![0xc0]].concat();
        assert!(Head::read(&deep).is_ok(), "nesting costs nothing where nothing is made of it");
    }

    #[test]
    fn nothing_but_the_server_says_who_is_calling() {
        let head = map(&[
            ("type", "method".into()),
            ("to", "y".into()),
            ("method", "services.a.b".into()),
            ("ctx", map(&[("user", "root".into())])),
        ]);
        let head = packed(&head);
        let stamped = Head::read(&head).expect("a frame").stamped(&STAMP);
        let again = rmpv::decode::read_value(&mut &stamped[..]).expect("a head");
        assert!(again.as_map().expect("a map").iter().all(|(key, _)| key.as_str() != Some("ctx")));
        for (tail, plain) in [
            (map(&[("args", Value::Array(vec![])), ("t", 1.into())]), true),
            (map(&[("args", Value::Array(vec![])), ("ctx", Value::Map(vec![]))]), false),
            (map(&[("from", "a/b".into())]), false),
            (Value::Map(vec![(Value::Binary(b"from".to_vec()), 1.into())]), false),
            (Value::Map(vec![(map(&[("from", 1.into())]), 1.into())]), false),
            (Value::Array(vec![]), false),
        ] {
            let frame = [head.clone(), packed(&tail)].concat();
            assert_eq!(Head::read(&frame).expect("a frame").tail_is_plain, plain, "{tail}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(head) = Head::read(&bytes) {
                let stamped = head.stamped(&STAMP);
                let again = Head::read(&stamped).expect("what was sent on is a frame");
                prop_assert_eq!(again.to, "ws-b/y");
                prop_assert_eq!(again.tail(), head.tail());
            }
        }

        #[test]
        fn a_frame_cut_anywhere_is_no_frame_or_one_without_arguments(cut in 0usize..80) {
            let whole = [
                packed(&map(&[("type", "method".into()), ("to", "x".into()), ("method", "services.a.b".into())])),
                packed(&map(&[("args", Value::Array(vec!["some text".into(), 1.5.into()]))])),
            ].concat();
            let cut = cut.min(whole.len());
            let alone = Head::read(&whole).map(|head| whole.len() - head.tail().len()).expect("a frame");
            prop_assert_eq!(Head::read(&whole[..cut]).is_ok(), cut == whole.len() || cut == alone);
        }
    }
}
