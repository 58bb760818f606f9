//! `OpenID` Connect: a provider that describes itself and signs what it says (`OpenID` Connect Core 1.0, authorization code flow).

use std::sync::Arc;
use std::time::Duration;

use doorward_protocols::jose::{Algorithm, Claims, Expect, HeaderPolicy, TokenError, Verified, verify_token};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

use super::super::asking::{ask_with, authorize_url, away, code, exchange, plain, refused, says_yes};
use super::{Answered, Brought, Client, Descriptor, LoginMethod};
use crate::engine::Engine;
use crate::error::Result;
use crate::login::attempt::Attempt;
use crate::login::identified::Identified;
use crate::ports::Outbound;
use crate::secret::SecretText;
use crate::tokens::remote_keys::{RemoteKeys, Source, metadata, missed};

/// How long a provider's description is believed, and how long one that could not be had is not asked for again.
const FRESH: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_secs(2);
/// How far its clock may differ from ours.
const LEEWAY_S: i64 = 60;

/// The row of the table.
pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "oidc",
    build: |section, outbound| {
        let issuer = section.issuer.filter(|issuer| !issuer.is_empty());
        let issuer = issuer.ok_or(("issuer", "it is missing".to_owned()))?;
        outbound.check(&issuer).map_err(|error| ("issuer", format!("{issuer}: {error}")))?;
        if !section.client.scopes.iter().any(|scope| scope == "openid") {
            return Err(("scopes", "without openid it does not say who somebody is".to_owned()));
        }
        let own = || RemoteKeys::new(issuer.clone(), Source::Issuer(issuer.clone()), Algorithm::RS256);
        let keys = section.keys.unwrap_or_else(own);
        let (known, fetching) =
            (Mutex::new(Known { description: None, asked: None }), tokio::sync::Mutex::new(()));
        let (domain_claim, audience) = (section.domain_claim, section.audience);
        Ok(Arc::new(Oidc { client: section.client, issuer, audience, domain_claim, keys, known, fetching }))
    },
};

struct Oidc {
    client: Client,
    issuer: String,
    audience: Option<String>,
    keys: Arc<RemoteKeys>,
    domain_claim: Option<&'static str>,
    known: Mutex<Known>,
    /// Held while it is asked what it is.
    fetching: tokio::sync::Mutex<()>,
}

struct Known {
    description: Option<Arc<Description>>,
    asked: Option<Instant>,
}

/// What a provider says of itself (`OpenID` Connect Discovery 1.0 §3).
struct Description {
    authorize_url: String,
    token_url: String,
    user_url: Option<String>,
    names_itself: bool,
}

impl Description {
    fn read(body: &[u8], issuer: &str, outbound: &dyn Outbound) -> Result<Self, String> {
        let said = metadata(body, issuer)?;
        let url = |name: &str| {
            let url = said.get(name).and_then(Value::as_str).map(str::to_owned);
            // The browser is sent there, or we go: neither to whatever a description may name, and in the spelling that was checked.
            url.map(|url| outbound.check(&url).map_err(|error| format!("its {name}: {error}"))).transpose()
        };
        let needed = |name: &str| url(name)?.ok_or_else(|| format!("its metadata name no {name}"));
        Ok(Self {
            authorize_url: needed("authorization_endpoint")?,
            token_url: needed("token_endpoint")?,
            user_url: url("userinfo_endpoint")?,
            names_itself: says_yes(&said, "authorization_response_iss_parameter_supported"),
        })
    }
}

impl Oidc {
    /// What is known, if it need not be asked for; an error while it is left alone after a failure.
    fn at_hand(&self, also_old: bool) -> Option<Result<Arc<Description>>> {
        let known = self.known.lock();
        let since = known.asked.map(|asked| asked.elapsed());
        match &known.description {
            Some(description) if also_old || since.is_some_and(|since| since < FRESH) => {
                Some(Ok(Arc::clone(description)))
            }
            None if since.is_some_and(|since| since < PAUSE) => Some(Err(away("it failed a moment ago"))),
            _ => None,
        }
    }

    async fn description(&self, outbound: &dyn Outbound) -> Result<Arc<Description>> {
        if let Some(known) = self.at_hand(false) {
            return known;
        }
        // One asks anew; the others go by what it said last, or wait for its first word.
        let _alone = match self.fetching.try_lock() {
            Ok(alone) => alone,
            Err(_) => match self.at_hand(true) {
                Some(known) => return known,
                None => self.fetching.lock().await,
            },
        };
        if let Some(known) = self.at_hand(false) {
            return known;
        }
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let fetched = match outbound.send(crate::ports::Ask::get(url)).await {
            Ok(reply) if reply.status == 200 => Description::read(&reply.body, &self.issuer, outbound),
            Ok(reply) => Err(format!("its metadata were answered {}", reply.status)),
            Err(error) => Err(error.to_string()),
        };
        let mut known = self.known.lock();
        known.asked = Some(Instant::now());
        match (fetched, &known.description) {
            (Ok(description), _) => {
                let description = Arc::new(description);
                known.description = Some(Arc::clone(&description));
                Ok(description)
            }
            // What it said last is better than nothing: its keys have an age of their own.
            (Err(why), Some(last)) => {
                tracing::warn!(issuer = %self.issuer, why, "the provider's description was not renewed");
                Ok(Arc::clone(last))
            }
            (Err(why), None) => Err(away(why)),
        }
    }

    /// Checks an ID token (Core §3.1.3.7).
    async fn verified(&self, engine: &Engine, text: &str, nonce: &str) -> Result<Verified> {
        let (issuer, audience) = ([self.issuer.clone()], [self.client.id.clone()]);
        let expect = Expect {
            now_s: engine.now_ms().div_euclid(1000),
            leeway_s: LEEWAY_S,
            issuer: Some(&issuer),
            audience: Some(&audience),
            headers: HeaderPolicy::External,
            required: &["iat", "sub"],
            ..Expect::default()
        };
        let keys =
            self.keys.current(engine).await.map_err(|error| {
                away(error.operator_detail().unwrap_or("its keys cannot be had").to_owned())
            })?;
        let mut verified = verify_token(text, &keys, &expect);
        if missed(verified.as_ref().err(), &keys)
            && let Some(newer) = self.keys.after_miss(engine, &keys).await
        {
            verified = verify_token(text, &newer, &expect);
        }
        let verified =
            verified.map_err(|error: TokenError| refused(format!("its ID token: {}", error.code())))?;
        let claims = &verified.claims;
        let party = claims.get_str("azp");
        let other_party = match party.as_deref() {
            Some(party) => party != self.client.id,
            None => claims.aud().len() > 1,
        };
        if other_party {
            return Err(refused("its ID token was made for another party"));
        }
        let said = claims.get_str("nonce").unwrap_or_default();
        if !bool::from(said.as_bytes().ct_eq(nonce.as_bytes())) {
            return Err(refused("its ID token is of another log-in"));
        }
        Ok(verified)
    }
}

/// What a code was exchanged for, once it is known to be of this attempt.
struct Back {
    verified: Verified,
    subject: String,
    access_token: Option<SecretText>,
    life_s: i64,
    user_url: Option<String>,
}

impl Oidc {
    async fn back(&self, engine: &Engine, attempt: &Attempt, answered: &Answered) -> Result<Back> {
        let outbound = engine.outbound();
        let description = self.description(outbound).await?;
        let code = code(answered, Some(&self.issuer), description.names_itself)?;
        let exchanged = exchange(outbound, &description.token_url, &self.client, attempt, code).await?;
        let id_token = exchanged.id_token.ok_or_else(|| refused("it gave no ID token"))?;
        let verified = self.verified(engine, &id_token, &attempt.nonce).await?;
        let subject = plain(&all(&verified.claims), "sub");
        let subject = subject.ok_or_else(|| refused("its ID token names no subject"))?;
        let (access_token, life_s) = (exchanged.access_token, exchanged.life_s);
        Ok(Back { verified, subject, access_token, life_s, user_url: description.user_url.clone() })
    }

    /// The person in the provider's words.
    fn words(&self, back: &Back, said: &Value) -> Result<Identified> {
        let email = plain(said, "email").filter(|_| says_yes(said, "email_verified"));
        let (name, username) = (plain(said, "name"), plain(said, "preferred_username"));
        let words = (email.as_deref(), name.as_deref(), username.as_deref());
        Ok(Identified { life_s: back.life_s, ..Identified::new(&self.issuer, &back.subject, words)? })
    }
}

fn all(claims: &Claims) -> Value {
    Value::Object(claims.to_map())
}

impl LoginMethod for Oidc {
    fn name(&self) -> &'static str {
        DESCRIPTOR.name
    }

    fn authority(&self) -> &str {
        &self.issuer
    }

    fn begin<'a>(&'a self, engine: &'a Engine, attempt: &'a Attempt) -> BoxFuture<'a, Result<String>> {
        async move {
            let description = self.description(engine.outbound()).await?;
            let mut more = vec![("nonce", attempt.nonce.as_str())];
            more.extend(self.audience.as_deref().map(|audience| ("audience", audience)));
            // Core §3.1.2.1.
            more.extend(attempt.anew.then_some(("prompt", "login")));
            Ok(authorize_url(&description.authorize_url, &self.client, attempt, &more))
        }
        .boxed()
    }

    fn identify<'a>(
        &'a self,
        engine: &'a Engine,
        attempt: &'a Attempt,
        answered: &'a Answered,
    ) -> BoxFuture<'a, Result<Identified>> {
        async move {
            let back = self.back(engine, attempt, answered).await?;
            let domain = self
                .domain_claim
                .map(|name| back.verified.claims.get_str(name).map(|text| text.to_lowercase()));
            let mut said = all(&back.verified.claims);
            if said.get("email").is_none()
                && let (Some(url), Some(token)) = (&back.user_url, &back.access_token)
            {
                let more = ask_with(engine.outbound(), url, token).await?;
                // Core §5.3.2: another subject's answer must not be taken for this one's.
                if plain(&more, "sub").as_deref() != Some(&back.subject) {
                    return Err(refused("its userinfo is of another subject"));
                }
                said = more;
            }
            Ok(Identified { domain, ..self.words(&back, &said)? })
        }
        .boxed()
    }

    fn bring<'a>(
        &'a self,
        engine: &'a Engine,
        attempt: &'a Attempt,
        answered: &'a Answered,
    ) -> BoxFuture<'a, Result<Brought>> {
        async move {
            let back = self.back(engine, attempt, answered).await?;
            let said = all(&back.verified.claims);
            Ok(Brought {
                identified: self.words(&back, &said)?,
                access_token: back.access_token.ok_or_else(|| refused("it gave no access token"))?,
                unconfirmed: said.get("email_verified").is_some() && !says_yes(&said, "email_verified"),
            })
        }
        .boxed()
    }
}
