//! What goes over the sockets: calls to a client that gives back what it was given, large frames, and clients that say nothing.

use std::time::Duration;

use doorward_protocols::hypha::{Head, value};
use rmpv::Value;

use super::sides::Side;
use super::wire::Wire;
use crate::measure::wall;

/// Bytes of a large frame's argument.
const LARGE: usize = 1 << 20;
/// Large frames that are under way at once.
const LARGE_AT_ONCE: usize = 4;
const BINARY: u8 = 0x2;

/// What a round gave.
pub(super) struct Round {
    pub(super) done: f64,
    pub(super) took_s: f64,
    pub(super) cpu_s: f64,
    pub(super) took_ms: Vec<f64>,
}

impl Round {
    pub(super) fn cpu_us(&self) -> f64 {
        self.cpu_s / self.done * 1e6
    }

    pub(super) fn rate(&self) -> f64 {
        self.done / self.took_s
    }

    pub(super) fn at(&mut self, share: f64) -> f64 {
        self.took_ms.sort_by(f64::total_cmp);
        let last = self.took_ms.len().saturating_sub(1);
        self.took_ms[((self.took_ms.len() as f64 * share) as usize).min(last)]
    }
}

/// Two clients of one person in one workspace.
pub(super) struct Pair {
    caller: Wire,
    provider: Wire,
}

/// The bytes of a frame with a session of eight characters in it, and where those stand.
struct Template {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

const PLACE: &[u8] = b"s#######";

impl Template {
    fn new(head: &Value, extra: &Value) -> Self {
        let mut bytes = value::write(head);
        value::write_to(&mut bytes, extra);
        let places = bytes.windows(PLACE.len()).enumerate();
        let places = places.filter(|(_, window)| *window == PLACE).map(|(at, _)| at).collect();
        Self { bytes, places }
    }

    fn with(&mut self, session: &[u8]) -> &[u8] {
        for at in &self.places {
            self.bytes[*at..*at + PLACE.len()].copy_from_slice(session);
        }
        &self.bytes
    }
}

fn session(number: usize) -> String {
    format!("s{number:07}")
}

fn number(session: &str) -> Option<usize> {
    session.strip_prefix('s')?.parse().ok()
}

const PLACED: &str = "s#######";

impl Pair {
    /// Both come in.
    pub(super) async fn enter(side: &Side, names: [&str; 2]) -> Result<Self, String> {
        let path = format!("{}/ws", side.prefix);
        let caller = Wire::enter(side.at, &path, names[0], &side.token).await?;
        let provider = Wire::enter(side.at, &path, names[1], &side.token).await?;
        Ok(Self { caller, provider })
    }

    /// Calls, so many at once, for so long.
    pub(super) async fn echo(
        &mut self,
        side: &Side,
        at_once: usize,
        long: Duration,
    ) -> Result<Round, String> {
        let Self { caller, provider } = self;
        let head = value::map([
            ("type", "method".into()),
            ("from", caller.address.as_str().into()),
            ("to", provider.address.as_str().into()),
            ("method", "services.bench.echo".into()),
            ("session", PLACED.into()),
        ]);
        let said = Value::from("what is said and comes back as it went, some sixty characters.");
        let extra = value::map([
            ("args", Value::Array(vec![said.clone()])),
            ("promise", "*".into()),
            ("t", 15.0.into()),
        ]);
        let mut ask = Template::new(&head, &extra);
        let head = value::map([
            ("type", "method".into()),
            ("from", provider.address.as_str().into()),
            ("to", caller.address.as_str().into()),
            ("method", format!("{PLACED}.resolve").into()),
            ("parent", PLACED.into()),
        ]);
        let mut answer = Template::new(&head, &value::map([("args", Value::Array(vec![said]))]));

        let mut asked = vec![wall(); at_once];
        let mut took_ms = Vec::with_capacity(1 << 20);
        let (begun, before) = (wall(), side.cpu_s()?);
        for number in 0..at_once {
            caller.queue(BINARY, &[ask.with(session(number).as_bytes())]);
        }
        caller.flush().await?;
        let mut waiting = at_once;
        while waiting > 0 {
            tokio::select! {
                filled = provider.fill() => {
                    filled?;
                    let mut sessions = Vec::new();
                    while let Some((opcode, frame)) = provider.next()? {
                        if opcode != BINARY {
                            continue;
                        }
                        let head = Head::read(frame).map_err(super::text)?;
                        if head.method == Some("services.bench.echo") {
                            if head.from != Some(&*caller.address) {
                                return Err(format!("a call says that it is from {:?}", head.from));
                            }
                            sessions.push(head.session.unwrap_or_default().to_owned());
                        }
                    }
                    for session in sessions {
                        provider.queue(BINARY, &[answer.with(session.as_bytes())]);
                    }
                    provider.flush().await?;
                }
                filled = caller.fill() => {
                    filled?;
                    let now = wall();
                    let mut answered = Vec::new();
                    while let Some((opcode, frame)) = caller.next()? {
                        if opcode != BINARY {
                            continue;
                        }
                        let head = Head::read(frame).map_err(super::text)?;
                        let of = head.method.and_then(|method| method.strip_suffix(".resolve")).and_then(number);
                        answered.extend(of.filter(|number| *number < at_once));
                    }
                    let go_on = now - begun < long;
                    for number in answered {
                        took_ms.push((now - asked[number]).as_secs_f64() * 1000.0);
                        if go_on {
                            asked[number] = now;
                            caller.queue(BINARY, &[ask.with(session(number).as_bytes())]);
                        } else {
                            waiting -= 1;
                        }
                    }
                    caller.flush().await?;
                }
            }
        }
        let took_s = (wall() - begun).as_secs_f64();
        Ok(Round { done: took_ms.len() as f64, took_s, cpu_s: side.cpu_s()? - before, took_ms })
    }

    /// Sends frames of 1 MiB one way, a few at once.
    pub(super) async fn large(&mut self, side: &Side, long: Duration) -> Result<Round, String> {
        let Self { caller, provider } = self;
        let head = value::write(&value::map([
            ("type", "method".into()),
            ("from", caller.address.as_str().into()),
            ("to", provider.address.as_str().into()),
            ("method", "services.bench.take".into()),
        ]));
        let extra = value::map([("args", Value::Array(vec![Value::Binary(vec![7; LARGE])]))]);
        let extra = value::write(&extra);
        let (begun, before) = (wall(), side.cpu_s()?);
        let (mut sent, mut taken) = (0usize, 0usize);
        loop {
            let go_on = wall() - begun < long;
            if !go_on && sent == taken {
                break;
            }
            let more = if go_on { LARGE_AT_ONCE - (sent - taken) } else { 0 };
            for _ in 0..more {
                caller.queue(BINARY, &[&head, &extra]);
                sent += 1;
            }
            // Both at once: what is sent may not fit until something was taken.
            let take = async {
                loop {
                    let mut got = 0;
                    while let Some((opcode, frame)) = provider.next()? {
                        got += usize::from(opcode == BINARY && frame.len() > LARGE);
                    }
                    if got > 0 {
                        return Ok::<_, String>(got);
                    }
                    provider.fill().await?;
                }
            };
            let (flushed, got) = tokio::join!(caller.flush(), take);
            flushed?;
            taken += got?;
        }
        let took_s = (wall() - begun).as_secs_f64();
        Ok(Round { done: taken as f64, took_s, cpu_s: side.cpu_s()? - before, took_ms: Vec::new() })
    }
}

/// Memory that so many clients take while they say nothing: what the server holds, and how much more than before they came.
pub(super) async fn idle(side: &Side, count: usize) -> Result<(f64, f64), String> {
    let before = side.resident_mb()?;
    let path = format!("{}/ws", side.prefix);
    let mut wires = Vec::with_capacity(count);
    for number in 0..count {
        let entered = Wire::enter(side.at, &path, &format!("idle-{number}"), &side.token).await;
        wires.push(entered.map_err(|error| format!("client {number}: {error}"))?);
    }
    let held = side.resident_mb()?;
    // They are still there, and still heard.
    for wire in wires.iter_mut().step_by(1_000) {
        wire.manage("echo", vec!["there?".into()]).await?;
    }
    Ok((held, held - before))
}
