//! What a letter holds, and what is stored of it.

use aws_lc_rs::hmac;
use doorward_protocols::encoding::{base64url_decode, base64url_encode};

use super::flow::{self, Challenge};
use crate::id::UserId;
use crate::ports::store::Write;
use crate::random::{Random, bytes};
use crate::secret::SecretText;

const DAY_MS: i64 = 86_400_000;
/// What tokens of flows begin with, as GoTrue's do.
const OF_A_FLOW: &str = "pkce_";
/// Longest text of a link's token: a challenge, an id, 256 bits and an address.
const MAX_TOKEN_BYTES: usize = 512;

/// What a proof is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// That a new account's address is its owner's.
    SignUp,
    /// Logging in without the password, to set another one.
    Recovery,
    /// That another address is the owner's too.
    EmailChange,
    /// That the holder of the present address agrees to another one.
    EmailChangeCurrent,
    /// Logging in by the letter alone.
    MagicLink,
    /// Coming in for the first time, because an administrator asked one to.
    Invite,
    /// That whoever is logged in reads the address's letters now. It opens nothing by itself.
    Reauthentication,
}

/// Those that open an account: a newer letter of one voids older ones of all.
const OPENING: [Purpose; 4] = [Purpose::SignUp, Purpose::Recovery, Purpose::MagicLink, Purpose::Invite];

impl Purpose {
    /// Whether whoever asked for the letter need not be who made the account.
    pub(super) fn is_from_outside(self) -> bool {
        matches!(self, Self::MagicLink | Self::Invite | Self::Recovery)
    }

    /// The word for it in links.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignUp => "signup",
            Self::Recovery => "recovery",
            Self::EmailChange | Self::EmailChangeCurrent => "email_change",
            Self::MagicLink => "magiclink",
            Self::Invite => "invite",
            Self::Reauthentication => "reauthentication",
        }
    }

    /// The name under which it is kept: those of one word in links are apart here.
    fn kept_as(self) -> &'static str {
        match self {
            Self::EmailChangeCurrent => "email_change_current",
            other => other.as_str(),
        }
    }

    /// How long a letter of this kind works: what opens an account without its password works shortest.
    #[must_use]
    pub fn life_ms(self) -> i64 {
        match self {
            Self::Recovery | Self::MagicLink | Self::Reauthentication => 900_000,
            Self::SignUp | Self::EmailChange | Self::EmailChangeCurrent | Self::Invite => DAY_MS,
        }
    }

    /// Under which purpose the store keeps codes: those of links and of digits apart, so that digits can end without the link.
    pub(super) fn stored(self, what: &str, user: &UserId) -> String {
        format!("mail:{what}:{}:{user}", self.kept_as())
    }
}

/// What a proof is bound to.
#[derive(Clone, Copy)]
pub(super) struct Bound<'a> {
    pub(super) purpose: Purpose,
    pub(super) user: &'a UserId,
    pub(super) address: &'a str,
}

impl Bound<'_> {
    /// The stored hash of a secret. Keyed: six digits have few values, and a copy of the store must not tell which.
    pub(super) fn hash(&self, key: &hmac::Key, what: &str, secret: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(key);
        context.update(b"doorward mail proof v1");
        for part in [what, self.purpose.kept_as(), self.user.as_str(), self.address, secret] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut out = [0; 32];
        out.copy_from_slice(context.sign().as_ref());
        out
    }
}

/// Kinds of secret.
pub(super) const LINK: &str = "link";
pub(super) const DIGITS: &str = "digits";

/// What goes into a letter, with the writes that make it good.
pub(super) struct Made {
    pub(super) token: SecretText,
    pub(super) digits: SecretText,
    pub(super) writes: Vec<Write>,
}

/// A new proof; earlier ones for the same are void. With a challenge its link belongs to a flow, and is bound to that too.
pub(super) fn make(
    key: &hmac::Key,
    random: &dyn Random,
    bound: Bound<'_>,
    challenge: Option<&Challenge>,
    now_ms: i64,
) -> Made {
    let secret = base64url_encode(&bytes::<32>(random));
    let digits = digits(random);
    let Bound { purpose, user, address } = bound;
    let voided: &[Purpose] = if OPENING.contains(&purpose) { &OPENING } else { &[purpose] };
    let mut writes: Vec<Write> = voided.iter().flat_map(|purpose| end_writes(*purpose, user)).collect();
    let expires_at_ms = now_ms + purpose.life_ms();
    for (what, text) in [(LINK, &linked(&secret, challenge)), (DIGITS, &digits)] {
        let (purpose, hash) = (purpose.stored(what, user), bound.hash(key, what, text));
        writes.push(Write::InsertCode { purpose, hash, expires_at_ms });
    }
    let id = user.as_str().strip_prefix("usr_").unwrap_or(user.as_str());
    let token = match purpose {
        // The account does not know the address yet, so the link says it.
        Purpose::EmailChange => format!("{id}.{secret}.{}", base64url_encode(address.as_bytes())),
        _ => format!("{id}.{secret}"),
    };
    let token = match challenge {
        Some(challenge) => format!("{OF_A_FLOW}{}.{token}", challenge.as_str()),
        None => token,
    };
    Made { token: SecretText::new(token), digits: SecretText::new(digits), writes }
}

/// What is hashed of a link's secret.
fn linked(secret: &str, challenge: Option<&Challenge>) -> String {
    challenge.map_or_else(|| secret.to_owned(), |challenge| format!("{}.{secret}", challenge.as_str()))
}

/// The writes that end every proof of a purpose.
pub(super) fn end_writes(purpose: Purpose, user: &UserId) -> Vec<Write> {
    [LINK, DIGITS].map(|what| Write::DropCodes { purpose: purpose.stored(what, user) }).into()
}

/// The writes that end what was asked for before somebody set a password: whoever asked may have been somebody else. That an address is
/// its holder's can still be shown.
pub(crate) fn end_earlier_writes(user: &UserId) -> Vec<Write> {
    let ended = [
        Purpose::Recovery,
        Purpose::MagicLink,
        Purpose::EmailChange,
        Purpose::EmailChangeCurrent,
        Purpose::Reauthentication,
    ];
    ended.into_iter().flat_map(|purpose| end_writes(purpose, user)).chain([flow::end_write(user)]).collect()
}

/// The writes that end every proof of an account: whoever has come in by one needs no other.
pub(crate) fn end_all_writes(user: &UserId) -> Vec<Write> {
    let others = [Purpose::EmailChange, Purpose::EmailChangeCurrent, Purpose::Reauthentication];
    let ended = OPENING.into_iter().chain(others);
    ended.flat_map(|purpose| end_writes(purpose, user)).chain([flow::end_write(user)]).collect()
}

/// Six digits, each value as likely as any other.
fn digits(random: &dyn Random) -> String {
    const LIMIT: u32 = u32::MAX - u32::MAX % 1_000_000;
    loop {
        let number = u32::from_be_bytes(bytes::<4>(random));
        if number < LIMIT {
            return format!("{:06}", number % 1_000_000);
        }
    }
}

/// Whether a link's token says that it belongs to a flow, whether or not it is any good.
#[must_use]
pub fn is_of_a_flow(token: &str) -> bool {
    token.starts_with(OF_A_FLOW)
}

/// A link's token, taken apart. Nothing is verified.
pub(super) struct Token {
    /// Whose.
    pub(super) user: UserId,
    /// What its hash is of.
    pub(super) secret: String,
    /// The address, where the link says it.
    pub(super) address: Option<String>,
    /// What whoever began the flow has to match.
    pub(super) challenge: Option<Challenge>,
}

/// Reads a link's token; `None` for what cannot be one.
pub(super) fn read(token: &str) -> Option<Token> {
    let token = Some(token).filter(|token| token.len() <= MAX_TOKEN_BYTES)?;
    let (challenge, token) = match token.strip_prefix(OF_A_FLOW) {
        Some(rest) => {
            let (challenge, rest) = rest.split_once('.')?;
            (Some(Challenge::kept(challenge)?), rest)
        }
        None => (None, token),
    };
    let mut parts = token.split('.');
    let (id, secret, address) = (parts.next()?, parts.next()?, parts.next());
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if !plain(id) || secret.is_empty() || parts.next().is_some() {
        return None;
    }
    let address = match address {
        None => None,
        Some(text) => Some(String::from_utf8(base64url_decode(text.as_bytes()).ok()?).ok()?),
    };
    let secret = linked(secret, challenge.as_ref());
    Some(Token { user: UserId::from(format!("usr_{id}")), secret, address, challenge })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn a_token_reads_back_and_its_hash_is_bound_to_everything() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
        let user = UserId::from("usr_0190");
        let bound = Bound { purpose: Purpose::EmailChange, user: &user, address: "new@example.org" };
        let made = make(&key, &SeededRandom::new(1), bound, None, 0);
        let Token { user: whose, secret, address, challenge } = read(made.token.expose()).expect("ours");
        assert_eq!((whose, address.as_deref(), challenge), (user.clone(), Some("new@example.org"), None));
        let hash = bound.hash(&key, LINK, &secret);
        let stored =
            |write: &Write| matches!(write, Write::InsertCode { hash: stored, .. } if *stored == hash);
        assert!(made.writes.iter().any(stored));
        let other_user = UserId::from("usr_0191");
        for (name, other) in [
            ("purpose", Bound { purpose: Purpose::SignUp, ..bound }.hash(&key, LINK, &secret)),
            ("user", Bound { user: &other_user, ..bound }.hash(&key, LINK, &secret)),
            ("address", Bound { address: "old@example.org", ..bound }.hash(&key, LINK, &secret)),
            ("kind", bound.hash(&key, DIGITS, &secret)),
            ("key", bound.hash(&hmac::Key::new(hmac::HMAC_SHA256, &[2; 32]), LINK, &secret)),
        ] {
            assert_ne!(hash, other, "another {name}");
        }
        assert!(made.digits.expose().len() == 6 && made.digits.expose().bytes().all(|b| b.is_ascii_digit()));
    }

    #[test]
    fn a_link_of_a_flow_is_bound_to_its_challenge() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
        let user = UserId::from("usr_0190");
        let bound = Bound { purpose: Purpose::Recovery, user: &user, address: "a@example.org" };
        let [one, another] =
            ["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "F9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"];
        let challenge = Challenge::kept(one);
        let made = make(&key, &SeededRandom::new(1), bound, challenge.as_ref(), 0);
        let token = made.token.expose().as_str();
        let is_stored = |token: &str| {
            let hash = bound.hash(&key, LINK, &read(token).expect("ours").secret);
            made.writes
                .iter()
                .any(|write| matches!(write, Write::InsertCode { hash: stored, .. } if *stored == hash))
        };
        assert!(is_of_a_flow(token) && is_stored(token));
        assert_eq!(read(token).expect("ours").challenge, challenge);
        assert!(!is_stored(&token.replace(one, another)), "another's challenge");
        assert!(!is_stored(token.split_once('.').expect("two parts").1), "none");
    }

    #[test]
    fn what_is_no_token_names_nobody() {
        for bad in [
            "",
            "a",
            "pkce_",
            "pkce_a.b",
            "pkce_a.b.c",
            "a.",
            ".b",
            "a.b.c.d",
            "a/b.c",
            "usr_1.b",
            "a.b.!",
            &format!("a.{}", "b".repeat(600)),
        ] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }
}
