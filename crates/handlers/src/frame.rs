//! JSON with its length before it: four bytes, the most significant first.

use std::io;

use doorward_protocols::json::{self, Limits};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Largest frame, both ways.
pub(crate) const LARGEST: usize = 16 << 20;
/// User code answers; it is not trusted more than a stranger with a larger document.
const LIMITS: Limits = Limits { max_bytes: LARGEST, max_depth: 64 };

/// The next frame; `None` when nothing more comes.
pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Value>> {
    let size = match from.read_u32().await {
        Ok(size) => usize::try_from(size).unwrap_or(usize::MAX),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let bad = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    if size > LARGEST {
        return Err(bad(format!("a frame of {size} bytes")));
    }
    let mut body = vec![0; size];
    from.read_exact(&mut body).await?;
    json::parse(&body, LIMITS).map(Some).map_err(|error| bad(format!("a frame that is no JSON: {error}")))
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
        assert_eq!(read(&mut bytes).await.expect("a frame"), Some(json!({"id": 1})));
        assert_eq!(read(&mut bytes).await.expect("a frame"), Some(json!([])));
        assert_eq!(read(&mut bytes).await.expect("the end"), None);
        for bad in [
            &b"\xff\xff\xff\xff"[..],
            b"\0\0\0\x02{]",
            b"\0\0\0\x09{\"a\":1}",
            b"\0\0\0\x0d{\"a\":1,\"a\":2}",
        ] {
            assert!(read(&mut &bad[..]).await.is_err(), "{bad:?}");
        }
        assert_eq!(encode(&json!("x".repeat(LARGEST))), None);
    }
}
