//! Tokens that Doorward made for clients of a hub.
//!
//! 1. signature and claims (once per token),
//! 2. revocation: of the token, its session, its subject, what it was made from and whom it acts for,
//! 3. the local user that it comes down to exists and is enabled,
//! 4. the session goes on,
//! 5. the API key it was made with is good.
//!
//! Its `typ` says whose it is; other tokens are declined. One thing is refused for all: an algorithm that nobody here knows. The words are
//! those that Hypha's clients and tests look for (hypha-rpc 0.21).

use std::sync::Arc;

use doorward_protocols::jose::{Header, HeaderError, HeaderPolicy, TokenError, Verified};

use super::{ConfigError, Descriptor};
use crate::authn::algorithm::{algorithm_of, header_of, wrong_algorithm};
use crate::authn::{Answer, Authenticator, Outcome, Presented};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::principal::AuthContext;
use crate::tokens::Keys;
use crate::tokens::hub::{HUB_TOKEN, Kept, Read};
use crate::tokens::profile::{Wanted, verify_own};
use crate::tokens::seen::{Name, Seen, SeenTokens};

struct HubTokens {
    engine: Engine,
    keys: Keys,
    issuer: Vec<String>,
    audience: Vec<String>,
    authority: Arc<str>,
    shared: bool,
    seen: SeenTokens,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// `iss` of the mount's tokens.
    issuer: String,
    /// `aud` of the mount's tokens.
    audience: String,
    /// Who vouches for the subjects that the mount's tokens alone name.
    authority: String,
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "hub_token",
    build: |section, engine| {
        let options: Options = super::options("hub_token", &section)?;
        let problem = "needs the keys that sign the hub's tokens".to_owned();
        // A key of the operator's own may be another server's too; one of the store's ring never is.
        let (keys, shared) = match (section.ring, section.keys) {
            (Some(ring), _) => (Keys::Ring(ring), false),
            (None, Some(verify)) => (Keys::Fixed { signer: None, verify }, true),
            (None, None) => return Err(ConfigError { method: "hub_token", problem }),
        };
        Ok(Arc::new(HubTokens {
            engine: engine.clone(),
            keys,
            issuer: vec![options.issuer],
            audience: vec![options.audience],
            authority: options.authority.into(),
            shared,
            seen: SeenTokens::new(),
        }))
    },
};

impl Authenticator for HubTokens {
    fn name(&self) -> &'static str {
        DESCRIPTOR.name
    }

    fn authenticate<'a>(&'a self, presented: &'a Presented<'a>) -> Answer<'a> {
        let Some(text) = presented.bearer() else { return Answer::Now(Outcome::NotPresent) };
        let now_ms = self.engine.now_ms();
        let named = Name::of(text.as_bytes(), &self.engine);
        match self.seen.get(&self.engine, named, now_ms) {
            Err(error) => return Answer::Now(Outcome::Rejected(worded(error))),
            Ok(Some(seen)) => return Answer::Now(Outcome::Accepted(Arc::clone(&seen.auth))),
            Ok(None) => {}
        }
        match whose(text) {
            Whose::Another => return Answer::Now(Outcome::NotPresent),
            Whose::Nobodys(algorithm) => return Answer::Now(Outcome::Rejected(wrong_algorithm(&algorithm))),
            Whose::AHubs => {}
        }
        let keys = self.engine.memory().keys_version();
        let wanted = Wanted { issuer: Some(&self.issuer), audience: Some(&self.audience), typ: HUB_TOKEN };
        match verify_own(text, &self.keys.verifying(), &wanted, now_ms) {
            Ok(verified) => Answer::Later(Box::pin(async move {
                match self.establish(named, keys, verified, now_ms).await {
                    Ok(auth) => Outcome::Accepted(auth),
                    Err(error) => Outcome::Rejected(worded(error)),
                }
            })),
            Err(error) => Answer::Now(Outcome::Rejected(refusal(error, text))),
        }
    }
}

impl HubTokens {
    async fn establish(
        &self,
        named: Name<'_>,
        keys: u64,
        verified: Verified,
        now_ms: i64,
    ) -> Result<Arc<AuthContext>> {
        let read = Read::of(&self.engine, &verified.claims, &self.authority, self.shared)?;
        let (handles, beside) = read.handles();
        let Kept { auth, user, session } = read.establish(&self.engine, now_ms).await?;
        let expires_at_ms = auth.expires_at_s.map(|exp| exp.saturating_mul(1000));
        let seen = Seen { auth: Arc::clone(&auth), expires_at_ms, handles, beside, keys, user, session };
        self.seen.insert(named, seen);
        Ok(auth)
    }
}

/// Whose a text is, by its header alone.
enum Whose {
    /// A hub's token.
    AHubs,
    /// A token, or no token, for another method.
    Another,
    /// A token that is signed in a way that no method knows.
    Nobodys(String),
}

fn whose(text: &str) -> Whose {
    let Some(header) = header_of(text) else { return Whose::Another };
    match Header::parse(&header, HeaderPolicy::External) {
        Ok(header) if header.has_type(&[HUB_TOKEN]) => Whose::AHubs,
        Err(HeaderError::UnknownAlgorithm) => Whose::Nobodys(algorithm_of(&header)),
        Ok(_) | Err(_) => Whose::Another,
    }
}

fn refusal(error: TokenError, text: &str) -> Error {
    match error {
        TokenError::Expired => worded(Error::new(codes::TOKEN_EXPIRED)),
        TokenError::AlgorithmNotAllowed => {
            wrong_algorithm(&header_of(text).map(|header| algorithm_of(&header)).unwrap_or_default())
        }
        other => Error::new(codes::TOKEN_INVALID).operator(other.code()),
    }
}

/// The same refusal in Hypha's words, where it has some.
fn worded(error: Error) -> Error {
    if error.is(codes::TOKEN_EXPIRED) {
        return error.message("The token has expired. Please fetch a new one");
    }
    if error.is(codes::TOKEN_REVOKED) {
        return error.message("Token has been revoked");
    }
    error
}

#[cfg(test)]
mod tests {
    use doorward_protocols::encoding::base64url_encode;

    use super::*;

    #[test]
    fn a_text_is_told_by_its_header_alone() {
        let token = |header: &str| format!("{}.e30.AA", base64url_encode(header.as_bytes()));
        for (name, text, expected) in [
            ("no token", "dwk_abc".to_owned(), "another"),
            ("a hub's", token(r#"{"alg":"HS256","typ":"hub+jwt"}"#), "hub"),
            ("a hub's, spelled out", token(r#"{"typ":"application/HUB+jwt","alg":"ES256"}"#), "hub"),
            ("an access token", token(r#"{"alg":"ES256","typ":"at+jwt"}"#), "another"),
            ("nobody's", token(r#"{"alg":"none","typ":"JWT"}"#), "none"),
            ("nobody's, unsigned", format!("{}.e30.", base64url_encode(br#"{"alg":"none"}"#)), "none"),
            ("nobody's, of a hub", token(r#"{"alg":"XY1","typ":"hub+jwt"}"#), "XY1"),
            (
                "nobody's, with a long name",
                token(&format!(r#"{{"alg":"{}\n"}}"#, "Z".repeat(99))),
                &"Z".repeat(16),
            ),
            ("no header", "x.y.z".to_owned(), "another"),
        ]
        .map(|(name, text, expected)| (name, text, expected.to_owned()))
        {
            let told = match whose(&text) {
                Whose::AHubs => "hub".to_owned(),
                Whose::Another => "another".to_owned(),
                Whose::Nobodys(algorithm) => algorithm,
            };
            assert_eq!(told, expected, "{name}");
        }
    }
}
