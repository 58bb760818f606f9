//! The queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::engine::Engine;
use crate::ports::mailer::{Mail, MailError, Mailer};

/// Letters that wait or are being handed over; more are dropped, which the log tells.
const MOST: usize = 256;
/// Letters that are handed over at once.
const AT_ONCE: usize = 4;
/// How long to wait before each further try.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(300)];

/// Takes letters and hands them over.
pub(crate) struct Post {
    mailer: Arc<dyn Mailer>,
    room: Arc<Semaphore>,
    hands: Arc<Semaphore>,
}

impl Post {
    pub(crate) fn new(mailer: Arc<dyn Mailer>) -> Self {
        Self { mailer, room: Arc::new(Semaphore::new(MOST)), hands: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    pub(crate) fn mailer(&self) -> &dyn Mailer {
        &*self.mailer
    }

    /// Takes a letter, or drops it when too many wait. Comes back at once.
    pub(crate) fn take(&self, engine: &Engine, mail: Mail) {
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            tracing::warn!("too many letters wait for the mail server; one is dropped");
            return;
        };
        let (mailer, hands) = (Arc::clone(&self.mailer), Arc::clone(&self.hands));
        engine.spawn(async move {
            if let Some(error) = hand_over(&*mailer, &hands, &mail).await {
                // Stopping waits for the first try and for no other.
                tokio::spawn(async move {
                    again(&*mailer, &hands, &mail, error, PAUSES).await;
                    drop(place);
                });
            }
        });
    }
}

/// One try; `Some` when it failed.
async fn hand_over(mailer: &dyn Mailer, hands: &Semaphore, mail: &Mail) -> Option<MailError> {
    let _hand = hands.acquire().await.ok()?;
    mailer.send(mail).await.err()
}

/// Tries again what failed, for as long as that may help.
async fn again(
    mailer: &dyn Mailer,
    hands: &Semaphore,
    mail: &Mail,
    mut error: MailError,
    pauses: [Duration; 4],
) {
    for pause in pauses {
        let MailError::Away(why) = &error else { break };
        tracing::warn!(%why, again_s = pause.as_secs(), "a letter was not taken");
        tokio::time::sleep(pause).await;
        match hand_over(mailer, hands, mail).await {
            Some(failed) => error = failed,
            None => return,
        }
    }
    tracing::error!(%error, "a letter is given up");
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::BoxFuture;

    use super::*;

    struct Moody {
        away: usize,
        refuses: bool,
        asked: AtomicUsize,
    }

    impl Mailer for Moody {
        fn send<'a>(&'a self, _: &'a Mail) -> BoxFuture<'a, Result<(), MailError>> {
            let n = self.asked.fetch_add(1, Ordering::Relaxed);
            let answer = match (self.refuses, n < self.away) {
                (true, _) => Err(MailError::Refused("no such box".to_owned())),
                (false, true) => Err(MailError::Away("busy".to_owned())),
                (false, false) => Ok(()),
            };
            Box::pin(async { answer })
        }
    }

    async fn tries(away: usize, refuses: bool) -> usize {
        let moody = Moody { away, refuses, asked: AtomicUsize::new(0) };
        let mail = Mail { to: String::new(), subject: String::new(), text: String::new(), html: None };
        let hands = Semaphore::new(1);
        if let Some(error) = hand_over(&moody, &hands, &mail).await {
            again(&moody, &hands, &mail, error, [Duration::ZERO; 4]).await;
        }
        moody.asked.into_inner()
    }

    #[tokio::test]
    async fn a_letter_is_tried_again_while_the_server_is_away_and_never_after_a_refusal() {
        for (name, away, refuses, expected) in [
            ("taken", 0, false, 1),
            ("taken at the third try", 2, false, 3),
            ("never taken", 99, false, PAUSES.len() + 1),
            ("refused", 0, true, 1),
        ] {
            assert_eq!(tries(away, refuses).await, expected, "{name}");
        }
    }
}
