//! The caller's leave to be answered while an answer goes on: one room for every stream and every wait.

use std::pin::Pin;
use std::time::Duration;

use doorward_core::error::{Error, Result, codes};
use doorward_core::live::LiveGuard;
use doorward_core::operation::Call;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::events;

/// The caller's leave to be answered: it ends with the credential, by revocation or by time.
pub struct Access {
    guard: LiveGuard,
    expiry: Option<Pin<Box<Sleep>>>,
}

impl Access {
    /// Watches the caller's credential from now on.
    ///
    /// # Errors
    /// `token_revoked` when it was revoked since it was looked at.
    pub fn watch(call: &Call) -> Result<Self> {
        let (engine, auth) = (call.engine(), &call.auth);
        // Registered first, then looked at once more: what is revoked between the two is seen by one of them.
        let guard = engine.watch(auth);
        if call.is_revoked() {
            return Err(Error::new(codes::TOKEN_REVOKED));
        }
        let expiry = events::expiry(engine, auth).map(|at| Box::pin(sleep_until(at)));
        Ok(Self { guard, expiry })
    }

    /// Ends it after this long at the latest: whoever goes on asks again, and is asked who they are and what they may.
    #[must_use]
    pub fn at_most(mut self, time: Duration) -> Self {
        let last = Instant::now() + time;
        let sooner = self.expiry.as_ref().map_or(last, |expiry| expiry.deadline().min(last));
        self.expiry = Some(Box::pin(sleep_until(sooner)));
        self
    }

    /// Returns when the caller's leave ends.
    pub async fn ended(&mut self) {
        let expired = async {
            match &mut self.expiry {
                Some(expiry) => expiry.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.guard.ended() => {}
            () = expired => {}
        }
    }
}
