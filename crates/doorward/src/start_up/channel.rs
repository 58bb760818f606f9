//! The line between a start-up process and the hub: four bytes of length, then a frame as a WebSocket would carry it, both ways.

use bytes::Bytes;
use doorward_hub::{Link, Out, Sender};
use doorward_protocols::hypha::value;
use rmpv::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// Largest frame, as of any client's.
const MAX_FRAME_BYTES: usize = 2 << 20;

/// Carries frames until one of both sides ends. `info` is what the process is told first.
pub(super) async fn carry(channel: UnixStream, mut link: Link, info: Value) {
    let (from, mut to) = channel.into_split();
    if write(&mut to, [&value::write(&info), &[]]).await.is_err() {
        return;
    }
    let sender = link.sender();
    let writing = async {
        while let Some(out) = link.next().await {
            let sent = match out {
                Out::Frame(frame) => write(&mut to, [&frame, &[]]).await,
                Out::Large(head, tail) => write(&mut to, [&head, &tail]).await,
                Out::Text(_) => Ok(()),
                Out::Close(..) => return,
            };
            if sent.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = read_all(from, sender) => {}
        () = writing => {}
    }
}

async fn read_all(from: OwnedReadHalf, sender: Sender) {
    let mut from = BufReader::with_capacity(64 << 10, from);
    loop {
        let Ok(length) = from.read_u32().await else { return };
        let length = length as usize;
        if length > MAX_FRAME_BYTES {
            return tracing::error!(length, "a start-up process sent a frame that is too large");
        }
        let mut frame = vec![0; length];
        if from.read_exact(&mut frame).await.is_err() {
            return;
        }
        if let Err(error) = sender.receive(Bytes::from(frame)).await {
            return tracing::error!(%error, "a start-up process sent what is no frame");
        }
    }
}

/// Writes a frame of two parts, the second of which may be nothing.
async fn write(to: &mut OwnedWriteHalf, [first, second]: [&[u8]; 2]) -> std::io::Result<()> {
    let length = u32::try_from(first.len() + second.len()).map_err(std::io::Error::other)?;
    to.write_all(&length.to_be_bytes()).await?;
    to.write_all(first).await?;
    to.write_all(second).await
}
