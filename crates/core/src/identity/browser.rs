//! Sessions that a browser carries in a cookie: what stands in it, and the token that proves a request was made by a page
//! of ours. Both are derived from the session, so that neither is stored and a copy of the store opens nothing.
//!
//! ```text
//! cookie = <session>.MAC(key, "cookie" ‖ session)      csrf token = MAC(key, "csrf" ‖ session)
//! ```

use aws_lc_rs::hmac;
use doorward_protocols::encoding::{base64url_decode, base64url_encode};
use subtle::ConstantTimeEq as _;

use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::SessionId;
use crate::operation::Call;
use crate::secret::SecretText;

/// Longest cookie that is looked at.
const MAX_BYTES: usize = 256;

fn mac(key: &hmac::Key, purpose: &str, session: &str) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(b"doorward browser v1 ");
    context.update(purpose.as_bytes());
    context.update(b"\0");
    context.update(session.as_bytes());
    context.sign()
}

fn same(given: &str, expected: &hmac::Tag) -> bool {
    base64url_decode(given.as_bytes())
        .is_ok_and(|given| given.len() == 32 && bool::from(given.ct_eq(expected.as_ref())))
}

/// A log-in that a browser keeps.
pub struct Stay {
    /// The session.
    pub session: SessionId,
    /// Whose it is.
    pub user: crate::id::UserId,
    /// What stands in the cookie.
    pub cookie: SecretText,
    /// What every request that changes something has to show.
    pub csrf_token: String,
    /// When it ends at the latest.
    pub expires_at_ms: i64,
}

impl Engine {
    /// What stands in the cookie of a session.
    pub(crate) fn session_cookie(&self, id: &SessionId) -> SecretText {
        let mac = mac(self.browser_key(), "cookie", id.as_str());
        SecretText::new(format!("{}.{}", id.as_str(), base64url_encode(mac.as_ref())))
    }

    /// The session of a cookie we made; nothing is looked up for any other.
    pub(crate) fn session_of_cookie(&self, text: &str) -> Option<SessionId> {
        let (id, given) = text.rsplit_once('.').filter(|_| text.len() <= MAX_BYTES)?;
        same(given, &mac(self.browser_key(), "cookie", id)).then(|| SessionId::from(id))
    }

    /// What requests with the cookie of this session have to show, to be from a page of ours.
    #[must_use]
    pub fn csrf_token(&self, id: &SessionId) -> String {
        base64url_encode(mac(self.browser_key(), "csrf", id.as_str()).as_ref())
    }
}

/// What speaks for a request having been made by a page of ours.
#[derive(Debug, Clone, Copy)]
pub struct Provenance<'a> {
    /// Whether the browser says that the page is of our own origin.
    pub own_origin: bool,
    /// Whether it says anything of the page at all.
    pub says_origin: bool,
    /// The token the page has read, where it can send one.
    pub csrf_token: Option<&'a str>,
    /// Whether it has to.
    pub needs_token: bool,
}

impl Call {
    /// Refuses a request that changes something by a credential which the browser sends along by itself, unless a page of ours
    /// made it.
    ///
    /// # Errors
    /// `cross_site`.
    pub fn made_by_own_page(&self, provenance: Provenance<'_>) -> Result<()> {
        let refused = |why: &'static str| {
            self.note_refusal("cross_site");
            Err(Error::new(codes::CROSS_SITE).message(why))
        };
        if !provenance.own_origin {
            return refused(if provenance.says_origin {
                "No page of this origin made the request; behind a proxy, set server.public_url."
            } else {
                "The request names no Origin, which browsers send by themselves; programs use a token or an API key."
            });
        }
        let Some(session) = self.auth.session.as_ref().filter(|_| provenance.needs_token) else {
            return Ok(());
        };
        let expected = mac(self.engine().browser_key(), "csrf", session.as_str());
        match provenance.csrf_token {
            Some(given) if same(given, &expected) => Ok(()),
            Some(_) => refused("The CSRF token is not this session's; GET /v1/session answers it."),
            None => refused("X-CSRF-Token is missing; GET /v1/session answers it."),
        }
    }
}
