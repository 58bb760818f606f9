//! Making access tokens.

use doorward_protocols::jose::sign_compact;
use serde_json::{Map, Value};

use super::hub::{HUB_TOKEN, RESERVED as HUB_RESERVED};
use super::profile::{PersonClaims, TokenProfile};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::id::{SessionId, TokenId, UserId};
use crate::memory::revocations::Key;
use crate::principal::{LOCAL, Principal, PrincipalKind};
use crate::secret::SecretText;

/// Claims that only the issuer writes.
const RESERVED: &[&str] =
    &["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "scope", "client_id", "act"];
/// Largest custom claims, as JSON: a token has to fit 8 KiB.
const MAX_CLAIMS_BYTES: usize = 4 << 10;

/// Whom a token is for, and what it says.
#[derive(Default)]
pub struct Subject {
    /// The subject within the profile's authority.
    pub subject: String,
    /// The session it descends from.
    pub session: Option<SessionId>,
    /// Scopes, separated by spaces; `None` adds no limit.
    pub scope: Option<String>,
    /// Further claims.
    pub claims: Map<String, Value>,
    /// How long it lives, in seconds; the profile's access life if absent.
    pub ttl_s: Option<i64>,
    /// It never lives longer than this moment: the end of what it descends from.
    pub not_after_ms: Option<i64>,
}

/// A token, made.
pub struct Issued {
    /// The compact JWT.
    pub token: SecretText,
    /// Its `jti`.
    pub id: TokenId,
    /// Seconds until it expires.
    pub expires_in_s: i64,
    /// When it expires, in seconds since the epoch.
    pub expires_at_s: i64,
}

/// Signs a token.
///
/// # Errors
/// `bad_field` for claims that are reserved or too large and for lives that are too long; `cannot_sign` where only
/// public keys are configured; `bad_request` when what it descends from has ended.
pub fn issue(engine: &Engine, profile: &TokenProfile, subject: Subject) -> Result<Issued> {
    let bad = |text: String| Error::new(codes::BAD_FIELD).message(text);
    let identity = &*profile.identity_claim;
    for name in subject.claims.keys() {
        let of_hubs = profile.typ == HUB_TOKEN && HUB_RESERVED.contains(&name.as_str());
        if RESERVED.contains(&name.as_str()) || of_hubs || name == identity {
            return Err(bad(format!("The claim {name:?} is written by the issuer alone.")));
        }
    }
    let ttl_s = subject.ttl_s.unwrap_or(profile.access_ttl_s);
    if !(1..=profile.max_ttl_s).contains(&ttl_s) {
        return Err(bad(format!("A token lives between 1 and {} seconds here.", profile.max_ttl_s)));
    }
    // Whom a hub's mount makes a token for by name is a user of ours; its authority is for the subjects that its tokens alone name.
    let of_a_hub = profile.typ == HUB_TOKEN;
    let principal = Principal {
        kind: PrincipalKind::User,
        authority: if of_a_hub { LOCAL.into() } else { profile.authority.clone() },
        subject: subject.subject.as_str().into(),
    };
    let now_s = engine.now_ms().div_euclid(1000);
    // A token made in the second of a revocation must not fall under it.
    let earliest_s = engine.memory().revocations.earliest_issue_s(Key::of_principal(&principal.owner_key()));
    let iat = earliest_s.map_or(now_s, |earliest| earliest.max(now_s));
    let mut exp = iat + ttl_s;
    if let Some(end_ms) = subject.not_after_ms {
        exp = exp.min(end_ms.div_euclid(1000));
        if exp <= now_s {
            return Err(Error::new(codes::SESSION_ENDED));
        }
    }
    let id = TokenId::new(engine.clock(), engine.random());
    let mut claims = Map::new();
    let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    if let Some(issuer) = &profile.issuer {
        put("iss", (&**issuer).into());
    }
    // Supabase's clients know no ids but UUIDs.
    let sub = match profile.claims {
        PersonClaims::Supabase => UserId::from(subject.subject.as_str()).to_uuid(),
        PersonClaims::Roles | PersonClaims::Name => subject.subject.clone(),
    };
    put("sub", sub.into());
    if identity != "sub" {
        put(identity, subject.subject.as_str().into());
    }
    if let Some(audience) = &profile.audience {
        put("aud", (&**audience).into());
    }
    put("exp", exp.into());
    put("iat", iat.into());
    put("jti", id.as_str().into());
    if let Some(session) = &subject.session {
        put("sid", session.as_str().into());
    }
    match subject.scope {
        // There it is Hypha's word for workspaces.
        Some(scope) if of_a_hub => put("limits", scope.split_ascii_whitespace().collect::<Vec<_>>().into()),
        Some(scope) => put("scope", scope.into()),
        None => None,
    };
    if of_a_hub {
        put("authority", LOCAL.into());
        put("home", engine.hub_home().into());
        put("administrative", true.into());
        put("until", exp.into());
    }
    if !subject.claims.is_empty() {
        let size = serde_json::to_string(&subject.claims).map_or(usize::MAX, |text| text.len());
        if size > MAX_CLAIMS_BYTES {
            return Err(bad(format!("Custom claims may take {MAX_CLAIMS_BYTES} bytes.")));
        }
        claims.extend(subject.claims);
    }
    let token = sign_compact(&*profile.keys.signer()?, profile.typ, &claims)
        .map_err(|error| Error::new(codes::INTERNAL).caused_by(error))?;
    Ok(Issued { token: SecretText::new(token), id, expires_in_s: exp - now_s, expires_at_s: exp })
}
