//! Flows that end in the program that began them (RFC 7636): what a browser brings back is a code, and only who holds the verifier gets
//! a session for it.
//!
//! ```text
//! asked with a challenge ─► … somebody is proven … ─ issue ─► ?code=… ─ exchange(code, verifier) ─► spent, session begun
//! ```
//! A code says itself whose it is, by what it was come by and the challenge; the store keeps a keyed hash of all that and the mount. So
//! nothing is kept while a letter is on its way, and whatever else proves somebody in a browser may end in the same code.

use aws_lc_rs::hmac;
use doorward_protocols::encoding::{base64url_decode, base64url_encode};
use subtle::ConstantTimeEq as _;

use super::Proofs;
use crate::authz::Target;
use crate::authz::catalogue::session;
use crate::error::{Error, Kind, Result, codes};
use crate::id::UserId;
use crate::identity::model::User;
use crate::identity::sessions::{Arrival, Granted, Keep, client_of};
use crate::login::pkce_challenge;
use crate::operation::{Grant, Permit};
use crate::ports::store::Write;
use crate::random::bytes;
use crate::secret::SecretText;

/// How long a code works.
const LIFE_MS: i64 = 300_000;
/// Lengths of a verifier, and so of a plain challenge (RFC 7636 §4.1).
const LENGTHS: std::ops::RangeInclusive<usize> = 43..=128;
/// Length of a challenge as it is kept.
const KEPT_CHARS: usize = 43;
/// Longest code.
const MAX_CODE_BYTES: usize = 256;

/// What whoever ends a flow has to match: the SHA-256 of the verifier, in base64url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(String);

impl Challenge {
    /// Reads what a client asks with. A `plain` challenge is the verifier itself, so it is kept as its hash: neither letters nor the store
    /// hold what opens.
    ///
    /// # Errors
    /// `bad_field` for one of two, for what is no challenge (RFC 7636 §4.2), and for other methods.
    pub fn asked(challenge: Option<&str>, method: Option<&str>) -> Result<Option<Self>> {
        let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let refused = |message: &'static str| Error::new(codes::BAD_FIELD).message(message);
        let (challenge, method) = match (given(challenge), given(method)) {
            (None, None) => return Ok(None),
            (Some(challenge), Some(method)) => (challenge, method),
            _ => return Err(refused("PKCE flow requires code_challenge_method and code_challenge")),
        };
        if !LENGTHS.contains(&challenge.len()) {
            return Err(refused("code challenge has to be between 43 and 128 characters"));
        }
        if !challenge.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)) {
            let message = "code challenge can only contain alphanumeric characters, hyphens, periods, underscores and tildes";
            return Err(refused(message));
        }
        if method.eq_ignore_ascii_case("plain") {
            return Ok(Some(Self(pkce_challenge(&challenge))));
        }
        if !method.eq_ignore_ascii_case("s256") {
            return Err(refused("code_challenge_method: s256 and plain are known"));
        }
        Self::kept(&challenge).map(Some).ok_or_else(|| refused("code challenge is no SHA-256 in base64url"))
    }

    /// One that was read before.
    pub(super) fn kept(text: &str) -> Option<Self> {
        let whole =
            text.len() == KEPT_CHARS && base64url_decode(text.as_bytes()).is_ok_and(|hash| hash.len() == 32);
        whole.then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn is_met_by(&self, verifier: &str) -> bool {
        LENGTHS.contains(&verifier.len())
            && bool::from(pkce_challenge(verifier).as_bytes().ct_eq(self.0.as_bytes()))
    }
}

/// What a code says. Nothing of it is believed before the store knows its hash.
struct Flow {
    user: UserId,
    secret: String,
    /// The way of login, as its session will say.
    source: String,
    challenge: Challenge,
}

impl Flow {
    fn text(&self) -> String {
        let id = self.user.as_str().strip_prefix("usr_").unwrap_or(self.user.as_str());
        let source = base64url_encode(self.source.as_bytes());
        format!("{id}.{}.{source}.{}", self.secret, self.challenge.as_str())
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = Some(text).filter(|text| text.len() <= MAX_CODE_BYTES)?.split('.');
        let (id, secret, source, challenge) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        Some(Self {
            user: UserId::from(format!("usr_{id}")),
            secret: secret.to_owned(),
            source: String::from_utf8(base64url_decode(source.as_bytes()).ok()?).ok()?,
            challenge: Challenge::kept(challenge)?,
        })
    }

    fn hash(&self, key: &hmac::Key, mount: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(key);
        context.update(b"doorward flow v1");
        for part in [mount, self.user.as_str(), &self.source, self.challenge.as_str(), &self.secret] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut out = [0; 32];
        out.copy_from_slice(context.sign().as_ref());
        out
    }
}

fn stored(user: &UserId) -> String {
    format!("flow:{user}")
}

/// The write that ends every code of an account that nobody has exchanged.
pub(super) fn end_write(user: &UserId) -> Write {
    Write::DropCodes { purpose: stored(user) }
}

impl Proofs<'_> {
    /// A code for somebody who is proven, for the mount they are at; with the write that makes it good.
    pub(super) fn flow_code(
        &self,
        grant: &Grant,
        user: &UserId,
        source: &str,
        challenge: Challenge,
    ) -> (SecretText, Write) {
        let secret = base64url_encode(&bytes::<32>(self.engine.random()));
        let flow = Flow { user: user.clone(), secret, source: source.to_owned(), challenge };
        let hash = flow.hash(self.engine.proof_key(), &grant.mount().name);
        let expires_at_ms = self.engine.now_ms() + LIFE_MS;
        (SecretText::new(flow.text()), Write::InsertCode { purpose: stored(user), hash, expires_at_ms })
    }

    /// Logs in who began the flow that a code is of. A code works once, for the mount it was made at; a wrong verifier does not use it up.
    ///
    /// # Errors
    /// `flow_unknown` for what is no code, one that was used, and another mount's; `flow_expired` after five minutes; `verifier_wrong`;
    /// `user_disabled`, `login_refused`, `too_many_failures`.
    pub async fn exchange(
        &self,
        permit: Permit<session::Login>,
        code: &str,
        verifier: &SecretText,
    ) -> Result<Granted> {
        let call = permit.call().clone();
        let (user, source, spend) = match self.flow(&permit, code, verifier).await {
            Ok(found) => found,
            Err(error) if error.code().kind == Kind::Unauthenticated => {
                return Err(permit.refuse(error).await);
            }
            Err(error) => return permit.close(Err(error)),
        };
        let client = match client_of(None, &call.origin) {
            Ok(client) => client,
            Err(error) => return permit.close(Err(error)),
        };
        let arrival = Arrival {
            user,
            method: "mail",
            source: Some(source),
            device: None,
            writes: vec![spend],
            refusal: codes::LOGIN_REFUSED,
            typed: None,
            renewal: None,
        };
        match self.engine.sessions().begin(permit, arrival, Keep::Tokens { client, scope: None }).await {
            Ok((_, Some(granted))) => Ok(granted),
            Ok((_, None)) => Err(Error::new(codes::INTERNAL).operator("a log-in for tokens made none")),
            // Somebody else has exchanged it meanwhile.
            Err(error) if error.is(codes::CODE_SPENT) => Err(call
                .permit::<session::Login>(Target::any())?
                .refuse(Error::new(codes::FLOW_UNKNOWN))
                .await),
            Err(error) => Err(error),
        }
    }

    async fn flow(&self, grant: &Grant, code: &str, verifier: &SecretText) -> Result<(User, String, Write)> {
        let unknown = || Error::new(codes::FLOW_UNKNOWN);
        let now_ms = self.engine.now_ms();
        let flow = Flow::read(code).ok_or_else(unknown)?;
        let (purpose, hash) = (stored(&flow.user), flow.hash(self.engine.proof_key(), &grant.mount().name));
        let ends_at_ms = self.engine.store().code_ends_at(&purpose, hash).await?.ok_or_else(unknown)?;
        if ends_at_ms <= now_ms {
            return Err(Error::new(codes::FLOW_EXPIRED));
        }
        if !flow.challenge.is_met_by(verifier.expose()) {
            return Err(Error::new(codes::VERIFIER_WRONG));
        }
        let user = self.engine.store().user(&flow.user).await?.ok_or_else(unknown)?;
        if user.is_kept_out(now_ms) {
            return Err(Error::new(codes::USER_DISABLED));
        }
        if self.engine.is_of_directory(&user.id).await? {
            return Err(unknown());
        }
        Ok((user, flow.source, Write::SpendCode { purpose, hash, now_ms }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const HASHED: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn a_challenge_is_met_by_its_verifier_alone_in_either_method() {
        for (method, text) in [("s256", HASHED), ("S256", HASHED), ("plain", VERIFIER), ("PLAIN", VERIFIER)] {
            let challenge = Challenge::asked(Some(text), Some(method)).expect(method).expect("one");
            assert_eq!(challenge.as_str(), HASHED, "{method}: the verifier is not kept");
            assert!(challenge.is_met_by(VERIFIER), "{method}");
            let long = "x".repeat(129);
            for other in [HASHED, "", &VERIFIER[1..], &long] {
                assert!(!challenge.is_met_by(other), "{method} {other}");
            }
        }
        assert_eq!(Challenge::asked(None, Some("")).expect("none"), None);
    }

    #[test]
    fn what_is_no_challenge_is_refused() {
        let (long, short) = ("a".repeat(129), "a".repeat(42));
        for (challenge, method) in [
            (Some(HASHED), None),
            (None, Some("s256")),
            (Some(HASHED), Some("s512")),
            (Some(short.as_str()), Some("plain")),
            (Some(long.as_str()), Some("plain")),
            (Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw cM"), Some("plain")),
            (Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw~~~"), Some("s256")),
            (Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cMa"), Some("s256")),
        ] {
            let refused = Challenge::asked(challenge, method).expect_err("refused");
            assert!(refused.is(codes::BAD_FIELD), "{challenge:?} {method:?}");
        }
    }

    #[test]
    fn a_code_reads_back_and_its_hash_is_bound_to_everything() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
        let of = |user: &str, source: &str, challenge: &str, secret: &str| Flow {
            user: UserId::from(user),
            secret: secret.to_owned(),
            source: source.to_owned(),
            challenge: Challenge::kept(challenge).expect("whole"),
        };
        let flow = of("usr_0190", "email/signup", HASHED, "s");
        let read = Flow::read(&flow.text()).expect("ours");
        let hash = flow.hash(&key, "supabase");
        assert_eq!(read.hash(&key, "supabase"), hash);
        let another = pkce_challenge("another");
        for (name, other) in [
            ("mount", flow.hash(&key, "other")),
            ("user", of("usr_0191", "email/signup", HASHED, "s").hash(&key, "supabase")),
            ("source", of("usr_0190", "recovery", HASHED, "s").hash(&key, "supabase")),
            ("challenge", of("usr_0190", "email/signup", &another, "s").hash(&key, "supabase")),
            ("secret", of("usr_0190", "email/signup", HASHED, "t").hash(&key, "supabase")),
            ("key", flow.hash(&hmac::Key::new(hmac::HMAC_SHA256, &[2; 32]), "supabase")),
        ] {
            assert_ne!(hash, other, "another {name}");
        }
        let more = format!("{}.x", flow.text());
        let long = "a".repeat(300);
        for bad in [
            "",
            "a.b.c",
            "a/.b.YQ.d",
            more.as_str(),
            &long,
            &format!("a.b.!.{HASHED}"),
            &format!(".b.YQ.{HASHED}"),
        ] {
            assert!(Flow::read(bad).is_none(), "{bad}");
        }
    }
}
