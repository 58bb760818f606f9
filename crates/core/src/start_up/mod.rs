//! What a hub's start-up files registered for tokens: functions that find, read and make them, in place of Doorward's own.
//!
//! ```text
//! request ─ get_token? ─► text ─ parse_token ─► UserInfo ─ joined with what Doorward itself knows of the text ─► AuthContext
//!                                  └ may ask for Doorward's own reading (`_parse_token`) and name it in its answer
//! a token is due ─► Doorward makes its own ─ generate_token ─► the file's text, which stands for Doorward's and ends with it
//! ```
//! What Doorward knows only takes away: a text that stands for a token of Doorward's ends with it and is confined as it is. The files are
//! the operator's code; what they vouch for is believed, but for roles that nobody here can be given.

mod answers;
mod kept;
mod merge;
mod user;

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::RwLock;
use quick_cache::sync::Cache;
use serde_json::{Value, json};

pub use answers::StartUpAnswers;
pub use kept::StandsFor;
pub use user::Vouched;

use self::kept::{Kept, Whose};

use crate::authn::{Chain, Offered, Place, Presented};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::limits::failures::counter_of;
use crate::limits::shares::Shares;
use crate::memory::revocations::{Handles, Key};
use crate::operation::Call;
use crate::ports::Handlers;
use crate::ports::handlers::HandlerFault;
use crate::principal::{AuthContext, PrincipalKind};
use crate::random::bytes;
use crate::secret::SecretText;
use crate::tokens::{HubToken, Issued, TokenProfile};
use crate::user_code::{Raised, refusal, shown_headers};
use crate::workspaces::UserInfo;

/// Longest text that a file's functions may make or find.
const MAX_TOKEN_BYTES: usize = 8 << 10;
/// Readings of Doorward's own that a file's function may still name.
const READINGS: usize = 4_096;

/// What is registered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Registered {
    /// `get_token`.
    pub get: bool,
    /// `parse_token`.
    pub parse: bool,
    /// `generate_token`.
    pub generate: bool,
}

/// What it means that `get_token` finds nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NothingFound {
    /// The usual places are looked at: what Hypha's document says.
    #[default]
    Usual,
    /// Nobody in particular is asking: what Hypha's server does.
    Nobody,
}

/// The functions, as far as there are any.
pub struct TokenHooks {
    engine: Engine,
    /// Who vouches for those that the functions name.
    authority: Arc<str>,
    handlers: Arc<dyn Handlers>,
    /// Doorward's own methods, without strangers.
    own: Chain,
    nothing_found: NothingFound,
    registered: RwLock<Registered>,
    /// The texts that were read, by the name that the reading was given.
    readings: Cache<String, Arc<SecretText>>,
    made: Kept,
    /// Tokens that are being made, by who asks for them.
    shares: Shares,
}

impl TokenHooks {
    /// None registered yet. `own` are Doorward's own methods, which must hold neither these functions nor strangers.
    #[must_use]
    pub fn new(
        engine: Engine,
        authority: Arc<str>,
        handlers: Arc<dyn Handlers>,
        own: Chain,
        nothing_found: NothingFound,
    ) -> Self {
        Self {
            made: Kept::new(engine.clone(), Arc::clone(&authority)),
            shares: Shares::default(),
            engine,
            authority,
            handlers,
            own,
            nothing_found,
            registered: RwLock::default(),
            readings: Cache::new(READINGS),
        }
    }

    /// What is registered from now on.
    pub fn register(&self, registered: Registered) {
        *self.registered.write() = registered;
    }

    /// What is registered.
    #[must_use]
    pub fn registered(&self) -> Registered {
        *self.registered.read()
    }

    pub(crate) fn nothing_found(&self) -> NothingFound {
        self.nothing_found
    }

    /// How many questions may be under way at once.
    fn places(&self) -> usize {
        self.handlers.places()
    }

    /// How many of them one network may have, so that it keeps nobody out.
    pub(crate) fn of_one_network(&self) -> u32 {
        u32::try_from(self.places() / 2).unwrap_or(u32::MAX).max(1)
    }

    /// The text that `get_token` finds in a request.
    ///
    /// # Errors
    /// The function's own refusal; `handler_unavailable`, `handler_invalid`.
    pub(crate) async fn find(&self, presented: &Presented<'_>) -> Result<Option<String>> {
        let answer = self.ask("get_token", json!({ "scope": scope(presented) })).await?;
        match answer.get("token") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) if text.len() <= MAX_TOKEN_BYTES => Ok(Some(text.clone())),
            Some(_) => Err(invalid("get_token must give a text of at most 8 KiB, or None".to_owned())),
        }
    }

    /// Who a text is, by `parse_token`.
    ///
    /// # Errors
    /// The function's own refusal; `token_expired`, `token_revoked`; `handler_unavailable`, `handler_invalid`.
    pub(crate) async fn read(&self, text: &str) -> Result<Arc<AuthContext>> {
        // What Doorward knows of it is looked at first: what has ended is not even asked about.
        let stands_for = match self.made.find(text).await? {
            Some(StandsFor::Ours(ours)) => Some(self.own_reading(ours.expose()).await?),
            Some(StandsFor::Ended) => return Err(Error::new(codes::TOKEN_EXPIRED)),
            None => None,
        };
        let answer = self.ask("parse_token", json!({ "token": text })).await?;
        let user = answer.get("user").unwrap_or(&Value::Null);
        let user = Vouched::read(user).map_err(|what| invalid(format!("parse_token: {what}")))?;
        let named = match answer.get("of") {
            None | Some(Value::Null) => None,
            Some(Value::String(of)) => Some(self.read_again(of).await?),
            Some(_) => return Err(invalid("parse_token: it named no reading".to_owned())),
        };
        let changed = answer.get("changed").and_then(Value::as_bool).unwrap_or(false);
        if let Some(reading) = named.as_ref().filter(|_| !changed && stands_for.is_none()) {
            return Ok(Arc::clone(reading));
        }
        let handle = Self::handle_of(text);
        let base = stands_for.or(named);
        let auth = merge::joined(&self.engine, &self.authority, base.as_deref(), user, handle);
        merge::is_not_ours(&auth, &self.authority, base.as_deref()).map_err(invalid)?;
        self.must_stand(&auth, base.is_some())?;
        Ok(Arc::new(auth))
    }

    /// A reading of Doorward's own.
    ///
    /// # Errors
    /// The chain's refusal.
    pub(crate) async fn own_reading(&self, text: &str) -> Result<Arc<AuthContext>> {
        self.own.authenticate(&Presented::token(text, None)).await
    }

    /// As [`TokenHooks::own_reading`], of a request in which a text was found.
    pub(crate) async fn own_reading_in(
        &self,
        text: &str,
        presented: &Presented<'_>,
    ) -> Result<Arc<AuthContext>> {
        self.own.authenticate(&Presented { offered: Some(bearer(text)), ..*presented }).await
    }

    /// Keeps what was read for whoever names the reading: `_parse_token` was asked.
    pub(crate) fn keep_reading(&self, text: &str) -> String {
        let random: [u8; 16] = bytes(self.engine.random());
        let handle = hex(&random);
        self.readings.insert(handle.clone(), Arc::new(SecretText::from(text)));
        handle
    }

    /// A reading that was named, as it stands now: files may keep what they were given for longer than it is good.
    pub(crate) async fn read_again(&self, handle: &str) -> Result<Arc<AuthContext>> {
        let Some(text) = self.readings.get(handle) else {
            return Err(invalid("a UserInfo of _parse_token was kept for too long: ask anew".to_owned()));
        };
        self.own_reading(text.expose()).await
    }

    /// A caller as the files know one.
    pub(crate) fn shown(&self, auth: &AuthContext) -> Value {
        let email = auth.claims.get("email").and_then(Value::as_str).map(str::to_owned);
        let scope = &auth.workspaces;
        let current = scope.current.as_deref().and_then(|name| Some((name, scope.permission(name)?)));
        UserInfo::of(auth, &self.authority, current, scope.client_id.as_deref(), email).to_json()
    }

    /// A token that is due: Doorward's own, or the files' text in its place. What may be in it is decided and measured before, by
    /// [`Engine::hub_token`].
    ///
    /// # Errors
    /// As [`Engine::hub_token`]; `handler_unavailable`, `handler_invalid`.
    pub async fn token(&self, profile: &TokenProfile, call: &Call, wanted: HubToken) -> Result<Issued> {
        let ours = self.engine.hub_token(profile, call, wanted).await?;
        if !self.registered().generate {
            return Ok(ours);
        }
        // One network cannot take the places of all others.
        let share = self.shares.take(call.origin.address, self.of_one_network());
        let _share = share.ok_or_else(|| {
            let why = "one network has its share of tokens under way";
            Error::new(codes::HANDLER_AWAY).operator(why).retry_after_s(1)
        })?;
        let auth = self.own_reading(ours.token.expose()).await?;
        let handle = self.keep_reading(ours.token.expose());
        let asked = json!({ "user": self.shown(&auth), "handle": handle, "expires_in": ours.expires_in_s });
        let answer = self.ask("generate_token", asked).await?;
        let good = |text: &&str| {
            (1..=MAX_TOKEN_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        let text = answer.get("token").and_then(Value::as_str).filter(good);
        let text = text.ok_or_else(|| {
            self.makes_none("generate_token must give a text of at most 8 KiB without spaces".to_owned())
        })?;
        let Issued { token, id, expires_in_s, expires_at_s } = ours;
        let mut people = std::iter::once(&auth.principal).chain(&auth.actors);
        let visitor = people.any(|one| one.kind == PrincipalKind::Anonymous);
        let name = match visitor {
            // Each connection of a visitor's may be somebody new.
            true => counter_of(call.origin.address),
            // What was made for others to use counts as its maker's.
            false => auth.actors.last().unwrap_or(&auth.principal).owner_key(),
        };
        self.made.keep(text, token, expires_at_s, &Whose { name, visitor }).await?;
        Ok(Issued { token: SecretText::from(text), id, expires_in_s, expires_at_s })
    }

    /// The token of ours that a text of the files' stands for: what ends it ends the text.
    ///
    /// # Errors
    /// The store's.
    pub async fn stands_for(&self, text: &str) -> Result<Option<StandsFor>> {
        self.made.find(text).await
    }

    /// What is made of a text is revoked by this, as by the handle of a token.
    #[must_use]
    pub fn handle_of(text: &str) -> String {
        format!("hook_{}", hex(&digest(&SHA256, text.as_bytes()).as_ref()[..16]))
    }

    fn makes_none(&self, what: String) -> Error {
        tracing::error!(handler = self.handlers.name(), "{what}");
        Error::new(codes::HANDLER_FAILED).operator(what)
    }

    async fn ask(&self, function: &'static str, with: Value) -> Result<Value> {
        self.handlers.call(function, with).await.map_err(|fault| match fault {
            // Nobody's credential is wrong where a token is made.
            HandlerFault::Invalid(what) if function == "generate_token" => self.makes_none(what),
            // Whoever shows a bad credential is told so in the file's words, in the platform's shape.
            HandlerFault::Refused(refused) if refused.status == 401 && refused.detail.is_string() => {
                let text = refused.detail.as_str().unwrap_or_default().to_owned();
                Error::new(codes::TOKEN_INVALID).message(text)
            }
            fault => refusal(fault, Raised::Unavailable),
        })
    }

    /// What was revoked or has run out is nobody, whatever a file says.
    fn must_stand(&self, auth: &AuthContext, known: bool) -> Result<()> {
        if auth.expires_at_s.is_some_and(|at_s| self.engine.now_ms() >= at_s.saturating_mul(1000)) {
            return Err(Error::new(codes::TOKEN_EXPIRED));
        }
        let revocations = &self.engine.memory().revocations;
        let of = |token: &Arc<str>, principal: &str| Handles {
            token: Some(Key::of_token(token)),
            session: None,
            principal: Key::of_principal(principal),
            // Of a text of the files' alone nobody knows when it was made, so everything that was revoked covers it.
            issued_at_s: if known { Some(i64::MAX) } else { None },
        };
        let owner = auth.principal.owner_key();
        let mut handles = auth.credential.iter().chain(&auth.descent.handles).map(|id| of(id, &owner));
        if handles.any(|handles| revocations.cover(&handles)) {
            return Err(Error::new(codes::TOKEN_REVOKED));
        }
        Ok(())
    }
}

/// The method's name, in configuration and audit log.
pub(crate) const METHOD: &str = "start_up";

fn bearer(text: &str) -> Offered<'_> {
    Offered { place: Place::Bearer, text }
}

fn invalid(what: String) -> Error {
    Error::new(codes::HANDLER_INVALID).operator(what)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A request as `get_token` is shown it. Doorward's own cookies are no business of anybody else's code.
fn scope(presented: &Presented<'_>) -> Value {
    let line = presented.line;
    json!({
        "type": if line.is_some_and(|line| line.websocket) { "websocket" } else { "http" },
        "method": line.map_or("GET", |line| line.method),
        "path": line.map_or("/", |line| line.path),
        "query": line.map_or("", |line| line.query),
        "headers": shown_headers(presented.headers),
        "client": presented.client.map(|address| address.to_string()),
    })
}
