//! Letters that stay here, for `dev` and for tests.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::ports::mailer::{Kept, Mail, MailError, Mailer};

/// Most letters; older ones are dropped.
const MOST: usize = 100;

/// Keeps the newest letters in memory.
pub struct KeptMails {
    clock: Arc<dyn Clock>,
    mails: Mutex<VecDeque<Kept>>,
}

impl KeptMails {
    /// None yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, mails: Mutex::default() }
    }
}

impl Mailer for KeptMails {
    fn send<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), MailError>> {
        let mut mails = self.mails.lock();
        mails.truncate(MOST - 1);
        mails.push_front(Kept {
            at_ms: self.clock.now_ms(),
            to: mail.to.clone(),
            subject: mail.subject.clone(),
            text: mail.text.clone(),
            html: mail.html.clone(),
        });
        Box::pin(async { Ok(()) })
    }

    fn kept(&self) -> Option<Vec<Kept>> {
        Some(self.mails.lock().iter().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn the_newest_hundred_letters_are_kept() {
        let mails = KeptMails::new(Arc::new(ManualClock::new(7)));
        for n in 0..MOST + 3 {
            let mail = Mail {
                to: format!("{n}@example.org"),
                subject: String::new(),
                text: String::new(),
                html: None,
            };
            mails.send(&mail).await.expect("kept");
        }
        let kept = mails.kept().expect("it keeps");
        assert_eq!(kept.len(), MOST);
        assert_eq!((kept[0].to.as_str(), kept[0].at_ms), ("102@example.org", 7));
        assert_eq!(kept[MOST - 1].to, "3@example.org");
    }
}
