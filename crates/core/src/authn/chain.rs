//! The loop over a mount's methods.

use std::sync::Arc;

use doorward_protocols::jose::claimed_issuer;

use super::{Answer, Authenticator, Glanced, Offered, Outcome, Place, Presented, Recall};
use crate::authz::roles::ANONYMOUS;
use crate::error::{Error, Result, codes};
use crate::memory::by_thread::ByThread;
use crate::principal::AuthContext;

/// A mount's methods, in the order they are asked.
pub struct Chain {
    methods: Vec<Arc<dyn Authenticator>>,
    /// Whoever asks as nobody has this one.
    nobody: ByThread<Arc<AuthContext>>,
}

impl Chain {
    /// A chain of these methods.
    #[must_use]
    pub fn new(methods: Vec<Arc<dyn Authenticator>>) -> Self {
        let nobody = |_| Arc::new(AuthContext::anonymous(vec![ANONYMOUS.into()]));
        Self { methods, nobody: ByThread::of(nobody) }
    }

    /// The methods' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.methods.iter().map(|method| method.name())
    }

    /// Who this is at this moment, where memory knows it and lets them in by a look-up. All others are for [`Chain::authenticate`]: nothing
    /// was verified of them here, and nothing noted.
    pub fn known(&self, glanced: &Glanced<'_>, now_ms: i64) -> Option<Arc<AuthContext>> {
        for method in &self.methods {
            match method.recall(glanced, now_ms) {
                Recall::NotMine => {}
                Recall::Known(auth) => return Some(auth),
                Recall::Ask => return None,
            }
        }
        glanced.offered.is_none().then(|| Arc::clone(self.nobody.here()))
    }

    /// Who this is. Without a credential: nobody, who may sign up, log in and little else.
    ///
    /// # Errors
    /// The refusal of the first method that recognised the credential; `token_invalid` for an explicit credential
    /// that no method recognises, which is never taken for nobody.
    pub async fn authenticate(&self, presented: &Presented<'_>) -> Result<Arc<AuthContext>> {
        for method in &self.methods {
            let outcome = match method.authenticate(presented) {
                Answer::Now(outcome) => outcome,
                Answer::Later(later) => later.await,
            };
            match outcome {
                Outcome::NotPresent => {}
                Outcome::Accepted(auth) => return Ok(auth),
                Outcome::Rejected(error) => return Err(error),
            }
        }
        match presented.offered {
            None => Ok(Arc::clone(self.nobody.here())),
            Some(offered) => Err(Error::new(codes::TOKEN_INVALID).operator(unrecognised(offered))),
        }
    }
}

/// What is known of a credential that is nobody's. Its issuer is the most common mistake, a slash too many; it goes to the log alone,
/// because a stranger chooses it, and lines of the audit log are folded by their reason.
fn unrecognised(offered: Offered<'_>) -> &'static str {
    let issuer = if offered.place == Place::Bearer { claimed_issuer(offered.text) } else { None };
    match issuer {
        Some(issuer) => {
            let issuer: String = issuer.chars().take(128).collect();
            tracing::info!(?issuer, "nobody here takes tokens of this issuer");
            "no method takes tokens of its issuer; the log names it"
        }
        None => "no method recognised the credential",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::NoHeaders;
    use super::*;

    struct Fake {
        says: fn() -> Outcome,
        asked: AtomicUsize,
    }

    impl Authenticator for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }

        fn authenticate<'a>(&'a self, _: &'a Presented<'a>) -> Answer<'a> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            Answer::Now((self.says)())
        }
    }

    fn fakes(says: [fn() -> Outcome; 2]) -> (Chain, Vec<Arc<Fake>>) {
        let fakes: Vec<_> =
            says.into_iter().map(|says| Arc::new(Fake { says, asked: AtomicUsize::new(0) })).collect();
        let methods = fakes.iter().map(|fake| Arc::clone(fake) as Arc<dyn Authenticator>).collect();
        (Chain::new(methods), fakes)
    }

    fn offered() -> Presented<'static> {
        Presented {
            offered: Some(Offered { place: Place::Bearer, text: "x" }),
            headers: &NoHeaders,
            ..Presented::nothing()
        }
    }

    #[tokio::test]
    async fn rejected_and_accepted_stop_the_chain() {
        let accepted = || Outcome::Accepted(Arc::new(AuthContext::system("test")));
        let rejected = || Outcome::Rejected(Error::new(codes::TOKEN_EXPIRED));
        for (name, first, good) in
            [("accepted", accepted as fn() -> Outcome, true), ("rejected", rejected, false)]
        {
            let (chain, fakes) = fakes([first, accepted]);
            assert_eq!(chain.authenticate(&offered()).await.is_ok(), good, "{name}");
            assert_eq!(fakes[1].asked.load(Ordering::Relaxed), 0, "{name}: the next was asked");
        }
    }

    #[tokio::test]
    async fn an_explicit_credential_nobody_recognises_is_refused_not_anonymous() {
        let (chain, fakes) = fakes([|| Outcome::NotPresent, || Outcome::NotPresent]);
        assert!(chain.authenticate(&offered()).await.is_err_and(|e| e.is(codes::TOKEN_INVALID)));
        assert!(chain.authenticate(&Presented::nothing()).await.is_ok_and(|auth| auth.is_anonymous()));
        assert_eq!(fakes[1].asked.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn memory_is_asked_in_order_until_somebody_has_to_be_asked_about() {
        type Says = fn() -> Recall;
        struct Recalls(Says);
        impl Authenticator for Recalls {
            fn name(&self) -> &'static str {
                "recalls"
            }

            fn authenticate<'a>(&'a self, _: &'a Presented<'a>) -> Answer<'a> {
                unreachable!("memory alone is asked")
            }

            fn recall(&self, _: &Glanced<'_>, _: i64) -> Recall {
                (self.0)()
            }
        }
        let glanced = Glanced { offered: Some((Place::Bearer, b"x")), cookie: false };
        let nothing = Glanced { offered: None, cookie: false };
        let known: Says = || Recall::Known(Arc::new(AuthContext::system("test")));
        let not_mine: Says = || Recall::NotMine;
        let ask: Says = || Recall::Ask;
        for (recalls, is_known) in [
            ([known, ask], true),
            ([not_mine, known], true),
            ([ask, known], false),
            ([not_mine, not_mine], false),
        ] {
            let methods = recalls.into_iter().map(|says| Arc::new(Recalls(says)) as Arc<dyn Authenticator>);
            let chain = Chain::new(methods.collect());
            assert_eq!(chain.known(&glanced, 0).is_some(), is_known);
        }
        let chain = Chain::new(vec![Arc::new(Recalls(not_mine))]);
        assert!(chain.known(&nothing, 0).is_some_and(|auth| auth.is_anonymous()));
        // A method that says nothing about its memory is asked.
        let (chain, fakes) = fakes([|| Outcome::NotPresent, || Outcome::NotPresent]);
        assert!(chain.known(&nothing, 0).is_none());
        assert_eq!(fakes[0].asked.load(Ordering::Relaxed), 0);
    }
}
