//! JSON with its length before it: four bytes, the most significant first.

use std::io;

use doorward_protocols::json::{self, Limits};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Largest frame, both ways.
pub(crate) const LARGEST: usize = 16 << 20;
/// User code answers; it is not trusted more than a stranger with a larger document.
const LIMITS: Limits = Limits { max_bytes: LARGEST, max_depth: 64 };

/// What arrived.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    /// A frame.
    Whole(Value),
    /// An answer that breaks the rules of JSON as we read it. Callers choose what handlers quote: it is that call's trouble, not the process's.
    Unreadable {
        /// Whose answer it is.
        id: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// The one member that is looked for in what cannot be read.
#[derive(Deserialize)]
struct Numbered {
    id: u64,
}

/// The next frame; `None` when nothing more comes.
///
/// # Errors
/// The socket's; a frame that is too large, or that is nobody's.
pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    read_at_most(from, LARGEST).await
}

/// As [`read`], with a bound of one's own.
///
/// # Errors
/// As there.
pub(crate) async fn read_at_most(
    from: &mut (impl AsyncRead + Unpin),
    largest: usize,
) -> io::Result<Option<Frame>> {
    let size = match from.read_u32().await {
        Ok(size) => usize::try_from(size).unwrap_or(usize::MAX),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let bad = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    if size > largest {
        return Err(bad(format!("a frame of {size} bytes")));
    }
    let mut body = vec![0; size];
    from.read_exact(&mut body).await?;
    match json::parse(&body, LIMITS) {
        Ok(frame) => Ok(Some(Frame::Whole(frame))),
        Err(error) => match serde_json::from_slice(&body) {
            Ok(Numbered { id }) => Ok(Some(Frame::Unreadable { id, why: error.to_string() })),
            Err(_) => Err(bad(format!("a frame that is no JSON: {error}"))),
        },
    }
}

/// Writes a frame that was made with [`encode`].
pub(crate) async fn write(to: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> io::Result<()> {
    to.write_all(frame).await
}

/// A frame as bytes; `None` when it is too large.
pub(crate) fn encode(value: &Value) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, value).ok()?;
    let size = u32::try_from(bytes.len() - 4).ok().filter(|size| *size as usize <= LARGEST)?;
    bytes[..4].copy_from_slice(&size.to_be_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn frames_come_back_and_nonsense_is_an_error() {
        let two = [encode(&json!({"id": 1})).expect("small"), encode(&json!([])).expect("small")].concat();
        let mut bytes = two.as_slice();
        assert_eq!(read(&mut bytes).await.expect("a frame"), Some(Frame::Whole(json!({"id": 1}))));
        assert_eq!(read(&mut bytes).await.expect("a frame"), Some(Frame::Whole(json!([]))));
        assert_eq!(read(&mut bytes).await.expect("the end"), None);
        for bad in [
            &b"\xff\xff\xff\xff"[..],
            b"\0\0\0\x02{]",
            b"\0\0\0\x09{\"a\":1}",
            b"\0\0\0\x0d{\"a\":1,\"a\":2}",
        ] {
            assert!(read(&mut &bad[..]).await.is_err(), "{bad:?}");
        }
        for odd in [
            r#"{"id":7,"answer":{"1":1,"1":2}}"#,
            r#"{"id":7,"refuse":{"status":401,"detail":"\ud800"}}"#,
            &format!(r#"{{"id":7,"answer":1{}}}"#, "0".repeat(400)),
            &format!(r#"{{"id":7,"answer":{}{}}}"#, "[".repeat(100), "]".repeat(100)),
        ] {
            let size = u32::try_from(odd.len()).expect("small").to_be_bytes();
            let bytes = [&size[..], odd.as_bytes()].concat();
            let frame = read(&mut bytes.as_slice()).await.expect("somebody's");
            assert!(matches!(frame, Some(Frame::Unreadable { id: 7, .. })), "{odd}: {frame:?}");
        }
        assert_eq!(encode(&json!("x".repeat(LARGEST))), None);
    }
}
