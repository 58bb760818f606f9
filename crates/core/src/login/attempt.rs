//! A log-in that is under way. It is kept by the browser that began it, sealed, and is good for that browser alone, once and for
//! ten minutes; nothing is stored until somebody comes back.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use doorward_protocols::encoding::{base64url_decode, base64url_encode};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::error::{Error, Result, codes};
use crate::id::{SessionId, UserId};
use crate::random::{Random, bytes};
use crate::secret::{SecretBytes, SecretText};

/// How long a log-in may take.
pub const LIFE_MS: i64 = 600_000;
/// Longest text of a ticket. All places full of such must fit into the head of a request beside everything else.
const MAX_BYTES: usize = 1_600;
/// How far the clocks of two processes may differ.
const SKEW_MS: i64 = 60_000;
/// Longest local path to come back to.
pub const MAX_RETURN_BYTES: usize = 256;

/// What has to be known when somebody comes back.
#[derive(Serialize, Deserialize, Clone)]
pub struct Attempt {
    /// The provider's name.
    pub(crate) provider: String,
    /// The mount it began on.
    pub(crate) mount: String,
    /// Comes back through the provider (RFC 6749 §10.12).
    pub(crate) state: String,
    /// Stands in the ID token (OpenID Connect Core §3.1.2.1).
    pub(crate) nonce: String,
    /// Proves to the provider that whoever brings the code also began (RFC 7636).
    pub(crate) verifier: String,
    /// Where the provider sends the browser; it is said twice and must be the same.
    pub(crate) redirect_uri: String,
    /// A path of ours to go to in the end.
    pub(crate) return_to: String,
    /// Whether the person is to say anew who they are, however long the provider knows them.
    #[serde(default)]
    pub(crate) anew: bool,
    /// Whose account the identity is to be added to; nobody's when it is to log in.
    pub(crate) link_to: Option<UserId>,
    /// The session that has proven itself for that.
    pub(crate) session: Option<SessionId>,
    pub(crate) expires_at_ms: i64,
}

impl Attempt {
    pub(crate) fn new(random: &dyn Random, now_ms: i64) -> Self {
        let text = || base64url_encode(&bytes::<32>(random));
        Self {
            provider: String::new(),
            mount: String::new(),
            state: text(),
            nonce: text(),
            verifier: text(),
            redirect_uri: String::new(),
            return_to: String::new(),
            anew: false,
            link_to: None,
            session: None,
            expires_at_ms: now_ms + LIFE_MS,
        }
    }

    /// When it was begun, by the clock of whoever sealed it.
    pub(super) fn began_at_ms(&self) -> i64 {
        self.expires_at_ms - LIFE_MS
    }

    /// Where to go in the end: a path of ours.
    #[must_use]
    pub fn return_to(&self) -> &str {
        &self.return_to
    }

    /// Whether it is to add an identity to an account rather than to log in.
    #[must_use]
    pub fn links(&self) -> bool {
        self.link_to.is_some()
    }
}

/// A sealed attempt, and which of the browser's few places for them it takes.
pub struct Ticket {
    /// What the browser keeps.
    pub text: SecretText,
    /// One of 4 places, told by the state: many attempts at once must not crowd out a browser's other cookies.
    pub slot: char,
}

/// The place of an attempt with this state.
#[must_use]
pub fn slot(state: &str) -> Option<char> {
    let first = *base64url_decode(state.as_bytes()).ok()?.first()?;
    char::from_digit(u32::from(first & 3), 16)
}

/// Seals and opens attempts. The key seals nothing else; its mode forgives nonces that meet by chance.
pub(crate) struct Tickets(LessSafeKey);

const PURPOSE: &[u8] = b"doorward login attempt v1";

impl Tickets {
    /// Under a key of 32 bytes.
    pub(crate) fn new(key: &SecretBytes) -> Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM_SIV, key.expose());
        let key =
            key.map_err(|_| Error::new(codes::INTERNAL).operator("the key of log-ins is not 32 bytes"))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    pub(crate) fn seal(&self, random: &dyn Random, attempt: &Attempt) -> Result<Ticket> {
        let failed = || Error::new(codes::INTERNAL).operator("a log-in could not be sealed");
        let nonce: [u8; NONCE_LEN] = bytes(random);
        let mut text = serde_json::to_vec(attempt).map_err(|_| failed())?;
        let sealed = self.0.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(PURPOSE),
            &mut text,
        );
        sealed.map_err(|_| failed())?;
        let text = base64url_encode(&[&nonce[..], &text].concat());
        if text.len() > MAX_BYTES {
            return Err(Error::new(codes::BAD_FIELD).message("return_to: it is too long."));
        }
        let slot = slot(&attempt.state).ok_or_else(failed)?;
        Ok(Ticket { text: SecretText::new(text), slot })
    }

    /// The attempt of a ticket, if it is one of ours, not over, and this state's.
    ///
    /// # Errors
    /// `login_expired`.
    pub(crate) fn open(&self, text: &str, state: &str, now_ms: i64) -> Result<Attempt> {
        let over = |why: &str| Error::new(codes::LOGIN_EXPIRED).operator(why.to_owned());
        if text.len() > MAX_BYTES {
            return Err(over("the ticket is too long"));
        }
        let sealed = base64url_decode(text.as_bytes()).map_err(|_| over("the ticket is none"))?;
        let (nonce, sealed) =
            sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(|| over("the ticket is none"))?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.0.open_in_place(nonce, Aad::from(PURPOSE), &mut sealed);
        let plain = plain.map_err(|_| over("the ticket is not of this store"))?;
        let attempt: Attempt =
            serde_json::from_slice(plain).map_err(|_| over("the ticket is of another version"))?;
        if !bool::from(attempt.state.as_bytes().ct_eq(state.as_bytes())) {
            return Err(over("the state is another one's"));
        }
        if now_ms >= attempt.expires_at_ms || attempt.expires_at_ms - now_ms > LIFE_MS + SKEW_MS {
            return Err(over("it took too long"));
        }
        Ok(attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    fn tickets(key: u8) -> Tickets {
        Tickets::new(&SecretBytes::new(vec![key; 32])).expect("32 bytes")
    }

    #[test]
    fn a_ticket_opens_for_its_state_in_its_time_and_nowhere_else() {
        let random = SeededRandom::new(1);
        let attempt = Attempt { return_to: "/x".into(), ..Attempt::new(&random, 1_000) };
        let (state, ticket) = (attempt.state.clone(), tickets(7).seal(&random, &attempt).expect("sealed"));
        let text = ticket.text.expose();
        let opened = tickets(7).open(text, &state, 2_000).expect("opens");
        assert_eq!((opened.verifier, opened.return_to), (attempt.verifier.clone(), "/x".to_owned()));
        assert!(!text.contains(&attempt.verifier), "sealed, not encoded");
        let over = |result: Result<Attempt>| assert!(result.is_err_and(|e| e.is(codes::LOGIN_EXPIRED)));
        over(tickets(8).open(text, &state, 2_000));
        over(tickets(7).open(text, "another", 2_000));
        over(tickets(7).open(text, "", 2_000));
        over(tickets(7).open(text, &state, 1_000 + LIFE_MS));
        over(tickets(7).open(text, &state, 1_000 - SKEW_MS - 1));
        assert!(
            tickets(7).open(text, &state, 1_000 - SKEW_MS).is_ok(),
            "made by a process whose clock is ahead"
        );
        over(tickets(7).open(&text[..text.len() - 2], &state, 2_000));
        over(tickets(7).open(&"A".repeat(5_000), &state, 2_000));
        for junk in ["", "AAAA", "not base64url!"] {
            over(tickets(7).open(junk, &state, 2_000));
        }
    }

    #[test]
    fn attempts_differ_and_take_one_of_four_places() {
        let random = SeededRandom::new(2);
        let made: Vec<_> = (0..64).map(|_| Attempt::new(&random, 0)).collect();
        let states: std::collections::HashSet<_> = made.iter().map(|attempt| &attempt.state).collect();
        assert_eq!(states.len(), made.len());
        let slots: std::collections::HashSet<_> =
            made.iter().filter_map(|attempt| slot(&attempt.state)).collect();
        assert!(slots.len() == 4 && slots.iter().all(char::is_ascii_digit));
        assert_eq!(slot("!"), None);
    }
}
