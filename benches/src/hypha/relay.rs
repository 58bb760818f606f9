//! The least that any server between two clients costs: a thread that passes bytes on and looks at none of them.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::text;
use crate::house::runtime;
use crate::measure::{thread_cpu, wall};

/// Bytes of a call as it comes and as it goes on, about; an answer is no longer.
const CALL: usize = 400;

/// Microseconds of the thread's CPU for a call and its answer, one after the other.
pub(super) fn cpu_us(long: Duration) -> Result<f64, String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(text)?;
    listener.set_nonblocking(true).map_err(text)?;
    let at = listener.local_addr().map_err(text)?;
    let relay = std::thread::spawn(move || {
        runtime().block_on(async {
            let listener = TcpListener::from_std(listener).map_err(text)?;
            let mut ends = Vec::new();
            for _ in 0..2 {
                let (end, _) = listener.accept().await.map_err(text)?;
                end.set_nodelay(true).map_err(text)?;
                ends.push(end);
            }
            let before = thread_cpu();
            let [caller, provider] = ends.as_mut_slice() else { return Err("two came".to_owned()) };
            copy_bidirectional(caller, provider).await.map_err(text)?;
            Ok((thread_cpu() - before).as_secs_f64())
        })
    });
    let done = runtime().block_on(async {
        let (mut caller, mut provider) =
            (TcpStream::connect(at).await.map_err(text)?, TcpStream::connect(at).await.map_err(text)?);
        for end in [&caller, &provider] {
            end.set_nodelay(true).map_err(text)?;
        }
        let (mut held, mut done, begun) = (vec![7; CALL], 0u32, wall());
        while wall() - begun < long {
            caller.write_all(&held).await.map_err(text)?;
            provider.read_exact(&mut held).await.map_err(text)?;
            provider.write_all(&held).await.map_err(text)?;
            caller.read_exact(&mut held).await.map_err(text)?;
            done += 1;
        }
        Ok::<_, String>(f64::from(done))
    })?;
    let used_s = relay.join().map_err(|_| "the relay panicked".to_owned())??;
    Ok(used_s / done * 1e6)
}
