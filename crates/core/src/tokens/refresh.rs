//! Refresh tokens, derived and never stored (`docs/adr/0006`).
//!
//! ```text
//! dwr_<family>.<counter>.<MAC(key, family ‖ counter)>
//! counter = the family's       → advance, answer with counter + 1
//! counter = the family's - 1   → within the window, same client: answer with the same successor
//! anything older, or too late  → somebody has a copy: the family and its session end
//! ```

use aws_lc_rs::hmac;
use doorward_protocols::encoding::{base64url_decode, base64url_encode};
use doorward_protocols::jose::{TokenError, sign_compact};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;

use super::model::Family;
use super::profile::{RefreshForm, RefreshRules, TokenProfile};
use crate::error::{Error, Result, codes};
use crate::id::FamilyId;
use crate::secret::SecretText;

/// What every refresh token begins with.
pub const PREFIX: &str = "dwr_";
const MAC_BYTES: usize = 32;

fn mac(key: &hmac::Key, family: &str, counter: i64) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(b"doorward refresh v1");
    context.update(&(family.len() as u64).to_be_bytes());
    context.update(family.as_bytes());
    context.update(&counter.to_be_bytes());
    context.sign()
}

/// The token of a family at a counter.
#[must_use]
pub fn token(key: &hmac::Key, family: &FamilyId, counter: i64) -> SecretText {
    let mac = base64url_encode(mac(key, family.as_str(), counter).as_ref());
    let family = family.as_str().strip_prefix("fam_").unwrap_or(family.as_str());
    SecretText::new(format!("{PREFIX}{family}.{counter}.{mac}"))
}

/// The family and counter of a token we made.
///
/// # Errors
/// `refresh_token_invalid` for anything else; nothing is looked up for it.
pub fn parse(key: &hmac::Key, text: &str) -> Result<(FamilyId, i64)> {
    let invalid = || Error::new(codes::REFRESH_INVALID);
    let mut parts = text.strip_prefix(PREFIX).filter(|_| text.len() <= 256).ok_or_else(invalid)?.split('.');
    let (Some(family), Some(counter), Some(given), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(invalid());
    };
    let number: i64 = counter.parse().map_err(|_| invalid())?;
    let family = format!("fam_{family}");
    let given = base64url_decode(given.as_bytes()).map_err(|_| invalid())?;
    let good: bool = given.len() == MAC_BYTES && given.ct_eq(mac(key, &family, number).as_ref()).into();
    // One spelling per number, so that no two texts are the same token.
    if !good || number.to_string() != counter {
        return Err(invalid());
    }
    Ok((FamilyId::from(family), number))
}

/// `typ` of refresh tokens that are JWTs.
const JWT_TYPE: &str = "rt+jwt";
/// The claim that tells refresh tokens apart, and its value.
const TOKEN_TYPE: (&str, &str) = ("token_type", "refresh");

/// The token of a family at a counter, as a JWT: `jti` names both.
///
/// # Errors
/// `cannot_sign` where only public keys are configured.
pub fn jwt(
    profile: &TokenProfile,
    family: &Family,
    counter: i64,
    now_ms: i64,
    expires_at_ms: i64,
) -> Result<SecretText> {
    let mut claims = Map::new();
    let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    if let Some(issuer) = &profile.issuer {
        put("iss", (&**issuer).into());
    }
    put("sub", family.user.as_str().into());
    if let Some(audience) = &profile.audience {
        put("aud", (&**audience).into());
    }
    put("iat", now_ms.div_euclid(1000).into());
    put("exp", expires_at_ms.div_euclid(1000).into());
    put("jti", format!("{}.{counter}", family.id.as_str()).into());
    put("sid", family.session.as_str().into());
    put(TOKEN_TYPE.0, TOKEN_TYPE.1.into());
    let token = sign_compact(&*profile.keys.signer()?, JWT_TYPE, &claims)
        .map_err(|error| Error::new(codes::INTERNAL).caused_by(error))?;
    Ok(SecretText::new(token))
}

/// The family and counter of a JWT that [`jwt`] made.
///
/// # Errors
/// `not_a_refresh_token` for a good access token of ours; `refresh_token_invalid` for anything else.
pub fn parse_jwt(profile: &TokenProfile, text: &str, now_ms: i64) -> Result<(FamilyId, i64)> {
    let invalid = || Error::new(codes::REFRESH_INVALID);
    let verified = match profile.verify(JWT_TYPE, text, now_ms) {
        Ok(verified) => verified,
        Err(TokenError::WrongType) => {
            return Err(match profile.verify(profile.typ, text, now_ms) {
                Ok(_) => Error::new(codes::NOT_REFRESH),
                Err(_) => invalid(),
            });
        }
        Err(error) => return Err(invalid().operator(error.code())),
    };
    if verified.claims.get_str(TOKEN_TYPE.0).as_deref() != Some(TOKEN_TYPE.1) {
        return Err(invalid());
    }
    let jti = verified.claims.jti().ok_or_else(invalid)?;
    let (family, counter) = jti.rsplit_once('.').ok_or_else(invalid)?;
    Ok((FamilyId::from(family), counter.parse().map_err(|_| invalid())?))
}

/// The family and counter of a refresh token of this profile, in whichever form it has them.
///
/// # Errors
/// As [`parse`] and [`parse_jwt`].
pub fn read(key: &hmac::Key, profile: &TokenProfile, text: &str, now_ms: i64) -> Result<(FamilyId, i64)> {
    match profile.refresh.form {
        RefreshForm::Opaque => parse(key, text),
        RefreshForm::Jwt => parse_jwt(profile, text, now_ms),
    }
}

/// What a presented refresh token deserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the current one: advance.
    Advance,
    /// It is the last one, again, or one that was just overtaken: the present one.
    Repeat,
    /// It was spent: end the family.
    Reused,
    /// It is good no more, and nobody is to blame.
    Ended,
    /// It belongs to another client.
    WrongClient,
}

/// Judges a token of a family. `client` is what the request names itself.
#[must_use]
pub fn judge(family: &Family, counter: i64, client: &str, rules: &RefreshRules, now_ms: i64) -> Verdict {
    if family.ended_at_ms.is_some() || now_ms >= family.ends_at_ms {
        return Verdict::Ended;
    }
    // A client that named itself stays itself; a browser's name may change with its version.
    let same_client = family.client == client;
    let named = !family.client.starts_with(UNNAMED);
    if counter == family.counter {
        if named && !same_client {
            return Verdict::WrongClient;
        }
        return if now_ms >= family.expires_at_ms { Verdict::Ended } else { Verdict::Advance };
    }
    let since_ms = now_ms - family.advanced_at_ms;
    let repeats_last = counter == family.counter - 1 && since_ms < rules.reuse_window_ms;
    let overtaken = (0..family.counter).contains(&counter) && since_ms < rules.overtaken_window_ms;
    if same_client && (repeats_last || overtaken) {
        return Verdict::Repeat;
    }
    // A counter above the family's cannot be: its MAC was never made. Treat it as theft of the key's output.
    Verdict::Reused
}

/// Before the fingerprint of a client that did not name itself.
pub const UNNAMED: &str = "ua:";

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[1; 32])
    }

    #[test]
    fn a_token_reads_back_only_in_its_one_spelling() {
        let text = token(&key(), &"fam_0190".into(), 7);
        assert_eq!(parse(&key(), text.expose()).expect("ours"), ("fam_0190".into(), 7));
        let good = text.expose().clone();
        for (name, bad) in [
            ("another counter", good.replacen(".7.", ".8.", 1)),
            ("a zero in front", good.replacen(".7.", ".07.", 1)),
            ("a plus in front", good.replacen(".7.", ".+7.", 1)),
            ("another family", good.replacen("0190", "0191", 1)),
            ("a part more", format!("{good}.x")),
            ("cut short", good[..good.len() - 1].to_owned()),
            ("no prefix", good[4..].to_owned()),
            ("nothing", String::new()),
            ("huge", format!("{good}{}", "A".repeat(10_000))),
        ] {
            assert!(parse(&key(), &bad).is_err(), "{name}");
        }
        assert!(parse(&hmac::Key::new(hmac::HMAC_SHA256, &[2; 32]), &good).is_err(), "another key");
    }

    #[test]
    fn what_a_refresh_token_deserves() {
        let rules = RefreshRules {
            ttl_ms: 1_000,
            absolute_ms: 10_000,
            reuse_window_ms: 100,
            ..RefreshRules::default()
        };
        let family = Family {
            id: "fam_1".into(),
            user: "usr_1".into(),
            session: "ses_1".into(),
            client: "app".into(),
            scope: None,
            counter: 4,
            advanced_at_ms: 1_000,
            expires_at_ms: 2_000,
            ends_at_ms: 10_000,
            ended_at_ms: None,
        };
        let ended = Family { ended_at_ms: Some(1), ..family.clone() };
        let unnamed = Family { client: "ua:one".into(), ..family.clone() };
        for (name, family, counter, client, now_ms, verdict) in [
            ("current", &family, 4, "app", 1_500, Verdict::Advance),
            ("current, late", &family, 4, "app", 2_000, Verdict::Ended),
            ("current, another client", &family, 4, "other", 1_500, Verdict::WrongClient),
            ("current, browser renamed", &unnamed, 4, "ua:two", 1_500, Verdict::Advance),
            ("last, at once", &family, 3, "app", 1_099, Verdict::Repeat),
            ("last, too late", &family, 3, "app", 1_100, Verdict::Reused),
            ("last, another client", &family, 3, "other", 1_050, Verdict::Reused),
            ("last, another browser", &unnamed, 3, "ua:two", 1_050, Verdict::Reused),
            ("older", &family, 2, "app", 1_001, Verdict::Reused),
            ("never made", &family, 5, "app", 1_001, Verdict::Reused),
            ("family ended", &ended, 4, "app", 1_500, Verdict::Ended),
            ("past the absolute end", &family, 4, "app", 10_000, Verdict::Ended),
        ] {
            assert_eq!(judge(family, counter, client, &rules, now_ms), verdict, "{name}");
        }
        let lasting = RefreshRules { reuse_window_ms: crate::tokens::profile::ALWAYS, ..rules };
        for (name, counter, client, verdict) in [
            ("the last, late", 3, "app", Verdict::Repeat),
            ("the last, late, another client", 3, "other", Verdict::Reused),
            ("older, late", 2, "app", Verdict::Reused),
        ] {
            assert_eq!(judge(&family, counter, client, &lasting, 9_999), verdict, "{name}");
        }
        let lenient = RefreshRules { overtaken_window_ms: 50, ..rules };
        for (name, counter, client, now_ms, verdict) in [
            ("overtaken just now", 1, "app", 1_049, Verdict::Repeat),
            ("overtaken a while ago", 1, "app", 1_050, Verdict::Reused),
            ("overtaken, another client", 1, "other", 1_001, Verdict::Reused),
            ("never made", 5, "app", 1_001, Verdict::Reused),
            ("below the first", -1, "app", 1_001, Verdict::Reused),
        ] {
            assert_eq!(judge(&family, counter, client, &lenient, now_ms), verdict, "{name}");
        }
        let strict = RefreshRules { reuse_window_ms: 0, ..rules };
        assert_eq!(judge(&family, 3, "app", &strict, 1_000), Verdict::Reused, "window switched off");
    }
}
