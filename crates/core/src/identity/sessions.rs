//! Sessions as a service: log in, refresh, log out.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use aws_lc_rs::digest::{SHA256, digest};
use doorward_protocols::encoding::base64url_encode;
use serde_json::{Map, Value, json};

use super::browser::Stay;
use super::model::{Session, SessionOrigin, User};
use super::password::Compared;
use super::validate::fold;
use crate::authz::catalogue::{Action, session, token};
use crate::engine::Engine;
use crate::error::{Error, Kind, Result, codes};
use crate::events::catalogue;
use crate::id::{FamilyId, SessionId, UserId};
use crate::memory::caches::SessionCopy;
use crate::memory::revocations::Key;
use crate::operation::{Origin, Permit};
use crate::ports::store::{Change, Write};
use crate::ports::{Conflict, StoreError};
use crate::principal::Principal;
use crate::secret::SecretText;
use crate::tokens::issue::{Issued, Subject, issue};
use crate::tokens::model::{Family, Revocation, Revoked};
use crate::tokens::profile::{RefreshForm, RefreshRules, TokenProfile};
use crate::tokens::refresh::{self, UNNAMED, Verdict, judge};
use crate::tokens::revoke::revoke_writes;

/// The store is told of a session's use this often.
const NOTE_EVERY_MS: i64 = 30_000;

/// The claim that holds the user's name, where the profile has it.
pub const USERNAME_CLAIM: &str = "username";

/// A log-in by password.
pub struct Login {
    /// E-mail address or user name.
    pub login: String,
    /// The password.
    pub password: SecretText,
    /// What the client calls itself; its refresh tokens are bound to it.
    pub client: Option<String>,
    /// Scopes to limit the tokens to, separated by spaces.
    pub scope: Option<String>,
    /// The application or way of login.
    pub source: Option<String>,
    /// A device name.
    pub device: Option<String>,
}

/// What a log-in or refresh gives.
pub struct Granted {
    /// The access token.
    pub access: Issued,
    /// The refresh token; `None` where the one that was presented stays good.
    pub refresh: Option<SecretText>,
    /// The session.
    pub session: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// Scopes, if limited.
    pub scope: Option<String>,
}

/// What a log-in leaves with its client.
#[derive(Clone, Copy)]
enum Keep {
    Tokens,
    Cookie,
}

/// Which sessions to end.
pub enum Which {
    /// This one.
    One(SessionId),
    /// All of the user.
    All,
    /// All but this one.
    Others(SessionId),
}

/// Sessions as a service.
pub struct Sessions<'e> {
    engine: &'e Engine,
}

fn client_of(named: Option<&str>, origin: &Origin) -> Result<String> {
    match named {
        Some(name) if !(1..=128).contains(&name.len()) || name.starts_with(UNNAMED) || !name.is_ascii() => {
            Err(Error::new(codes::BAD_FIELD).message("client_id: 1 to 128 ASCII characters."))
        }
        Some(name) => Ok(name.to_owned()),
        None => {
            let agent = origin.user_agent.as_deref().unwrap_or("");
            let print = digest(&SHA256, agent.as_bytes());
            Ok(format!("{UNNAMED}{}", base64url_encode(&print.as_ref()[..12])))
        }
    }
}

fn shortened(text: Option<&str>, most: usize) -> Option<String> {
    text.map(|text| text.chars().filter(|c| !c.is_control()).take(most).collect())
}

/// The tokens that were made, by what they are for; never the tokens.
fn tell_tokens<A: Action>(permit: &mut Permit<A>, granted: &Granted, refresh_until_ms: Option<i64>) {
    let (user, session, access) = (&granted.user, &granted.session, &granted.access);
    permit.tell(catalogue::TOKEN_GENERATED, || {
        json!({
            "user_id": user, "session_id": session, "token_type": "access", "token_id": access.id,
            "expires_in": access.expires_in_s, "expires_at": access.expires_at_s,
        })
    });
    if let (Some(_), Some(until_ms)) = (&granted.refresh, refresh_until_ms) {
        permit.tell(catalogue::TOKEN_GENERATED, || {
            json!({
                "user_id": user, "session_id": session, "token_type": "refresh",
                "expires_at": until_ms.div_euclid(1000),
            })
        });
    }
}

impl<'e> Sessions<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        Self { engine }
    }

    /// Logs in with a password and begins a session. Unknown users and wrong passwords cost and answer the same.
    ///
    /// # Errors
    /// `bad_credentials`, `user_disabled`, `too_many_failures`, `hashing_busy`, `bad_field`, `unknown_scope`.
    pub async fn login(&self, permit: Permit<session::Login>, login: Login) -> Result<Granted> {
        let (_, granted) = self.begin(permit, login, Keep::Tokens).await?;
        granted.ok_or_else(|| Error::new(codes::INTERNAL).operator("a log-in for tokens made none"))
    }

    /// Logs in as [`Sessions::login`] does, for a browser that keeps the session in a cookie and gets no tokens.
    ///
    /// # Errors
    /// As there.
    pub async fn login_browser(&self, permit: Permit<session::Login>, login: Login) -> Result<Stay> {
        let (session, _) = self.begin(permit, login, Keep::Cookie).await?;
        Ok(Stay {
            cookie: self.engine.session_cookie(&session.id),
            csrf_token: self.engine.csrf_token(&session.id),
            user: session.user,
            expires_at_ms: session.expires_at_ms,
            session: session.id,
        })
    }

    async fn begin(
        &self,
        mut permit: Permit<session::Login>,
        login: Login,
        keep: Keep,
    ) -> Result<(Session, Option<Granted>)> {
        let mount = Arc::clone(permit.mount());
        let origin = Arc::clone(&permit.call().origin);
        let mut tried = None;
        let prepared = async {
            let client = client_of(login.client.as_deref(), &origin)?;
            let scope = self.scope(login.scope.as_deref())?;
            // Folding costs time for each byte: what cannot be a name is not folded.
            let folded = if login.login.len() <= 1_024 { fold(&login.login) } else { String::new() };
            let user = match folded.len() {
                1..=254 => self.engine.store().user_by_login(&folded).await?,
                _ => None,
            };
            tried = user.as_ref().map(|user| user.id.clone());
            let phc = match &user {
                Some(user) => self.engine.store().password(&user.id).await?,
                None => None,
            };
            let compared =
                self.engine.hashing().compare(&login.password, phc.clone(), origin.address).await?;
            let (Some(user), Some(phc), false) = (user, phc, compared == Compared::Wrong) else {
                return Err(Error::new(codes::BAD_CREDENTIALS));
            };
            // A password changed since it was read makes this log-in one with the old password.
            let expected = Write::ExpectPassword { user: user.id.clone(), phc };
            if user.disabled {
                return Err(Error::new(codes::USER_DISABLED));
            }
            let rehash = match compared {
                Compared::RightButOld => {
                    let phc = self
                        .engine
                        .hashing()
                        .hash(self.engine.random(), &login.password, origin.address)
                        .await?;
                    Some(Write::SetPassword { user: user.id.clone(), phc, at_ms: self.engine.now_ms() })
                }
                _ => None,
            };
            Ok((user, client, scope, expected, rehash))
        };
        let prepared = prepared.await;
        if let (Some(user), Err(_)) = (&tried, &prepared) {
            // The account that was tried; never the text that was typed, which may be a password.
            permit.name_resource(user.as_str());
        }
        let (user, client, scope, expected, rehash) = match prepared {
            Ok(ready) => ready,
            Err(error) if error.code().kind == Kind::Unauthenticated => {
                return Err(permit.refuse(error).await);
            }
            Err(error) => return permit.close(Err(error)),
        };
        let origin = SessionOrigin {
            source: shortened(login.source.as_deref().or(Some("password")), 64),
            device: shortened(login.device.as_deref(), 128),
            address: origin.address.map(|address| address.to_string()),
            user_agent: shortened(origin.user_agent.as_deref(), 256),
        };
        // A stay that begins in the moment of a revocation must not fall under it.
        let principal = Key::of_principal(&Principal::local(&user.id).owner_key());
        let earliest_ms = self.engine.memory().revocations.earliest_ms(principal);
        let now_ms = earliest_ms.map_or(self.engine.now_ms(), |ms| ms.max(self.engine.now_ms()));
        let session = Session {
            id: SessionId::new(self.engine.clock(), self.engine.random()),
            user: user.id.clone(),
            mount: mount.name.to_string(),
            origin,
            created_at_ms: now_ms,
            last_seen_at_ms: now_ms,
            idle_limit_ms: mount.sessions.idle_ms,
            expires_at_ms: now_ms + mount.sessions.absolute_ms,
            ended_at_ms: None,
        };
        let family = match keep {
            Keep::Tokens => Some(self.family(&mount.tokens.refresh, &session, client, scope)),
            Keep::Cookie => None,
        };
        let granted = family
            .as_ref()
            .map(|family| self.granted(&mount.tokens, &user, family, Some((0, family.expires_at_ms))));
        let granted = match granted.transpose() {
            Ok(granted) => granted,
            Err(error) => return permit.close(Err(error)),
        };
        permit.name_resource(session.id.as_str());
        permit.name_principal(Principal::local(&user.id), "password");
        permit.tell(catalogue::SESSION_CREATED, || {
            json!({
                "user_id": user.id, "session_id": session.id, "expires_at_ms": session.expires_at_ms,
                "metadata": { "source": session.origin.source, "device": session.origin.device },
            })
        });
        if let (Some(granted), Some(family)) = (&granted, &family) {
            tell_tokens(&mut permit, granted, Some(family.expires_at_ms));
        }
        let mut writes = vec![expected, Write::InsertSession(session.clone())];
        writes.extend(family.map(Write::InsertFamily));
        writes.extend(rehash);
        permit.commit(writes).await?;
        Ok((session, granted))
    }

    fn family(
        &self,
        rules: &RefreshRules,
        session: &Session,
        client: String,
        scope: Option<String>,
    ) -> Family {
        let now_ms = session.created_at_ms;
        Family {
            id: FamilyId::new(self.engine.clock(), self.engine.random()),
            user: session.user.clone(),
            session: session.id.clone(),
            client,
            scope,
            counter: 0,
            advanced_at_ms: now_ms,
            expires_at_ms: now_ms + rules.ttl_ms,
            ends_at_ms: (now_ms + rules.absolute_ms).min(session.expires_at_ms),
            ended_at_ms: None,
        }
    }

    fn scope(&self, text: Option<&str>) -> Result<Option<String>> {
        match text.map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => {
                let scopes = crate::authz::scopes::parse(text.split_ascii_whitespace())?;
                Ok(Some(scopes.join(" ")))
            }
        }
    }

    fn granted(
        &self,
        profile: &TokenProfile,
        user: &User,
        family: &Family,
        next: Option<(i64, i64)>,
    ) -> Result<Granted> {
        let mut claims = Map::new();
        let roles = user.roles.iter().map(|role| Value::from(&**role)).collect::<Vec<_>>();
        claims.insert("roles".into(), roles.into());
        if profile.names_user
            && let Some(name) = user.username.as_ref().or(user.email.as_ref())
        {
            claims.insert(USERNAME_CLAIM.into(), name.as_str().into());
        }
        let subject = Subject {
            subject: user.id.as_str().to_owned(),
            session: Some(family.session.clone()),
            scope: family.scope.clone(),
            claims,
            ttl_s: None,
            not_after_ms: Some(family.ends_at_ms),
        };
        let refresh = match (next, profile.refresh.form) {
            (None, _) => None,
            (Some((counter, _)), RefreshForm::Opaque) => {
                Some(refresh::token(self.engine.refresh_key(), &family.id, counter))
            }
            (Some((counter, until_ms)), RefreshForm::Jwt) => {
                Some(refresh::jwt(profile, family, counter, self.engine.now_ms(), until_ms)?)
            }
        };
        Ok(Granted {
            access: issue(self.engine, profile, subject)?,
            refresh,
            session: family.session.clone(),
            user: user.id.clone(),
            scope: family.scope.clone(),
        })
    }

    /// Exchanges a refresh token (RFC 6749 §6, RFC 9700 §4.14.2).
    ///
    /// # Errors
    /// `refresh_token_invalid`, `refresh_token_reused` (which ended the session), `session_ended`, `user_disabled`,
    /// `too_many_failures`.
    pub async fn refresh(
        &self,
        mut permit: Permit<token::Refresh>,
        presented: &SecretText,
        client: Option<&str>,
    ) -> Result<Granted> {
        match self.exchange(&mut permit, presented, client).await {
            Ok(granted) => Ok(granted),
            Err(error) if error.code().kind == Kind::Unauthenticated => Err(permit.refuse(error).await),
            Err(error) => permit.close(Err(error)),
        }
    }

    async fn exchange(
        &self,
        permit: &mut Permit<token::Refresh>,
        presented: &SecretText,
        client: Option<&str>,
    ) -> Result<Granted> {
        let invalid = || Error::new(codes::REFRESH_INVALID);
        let mount = Arc::clone(permit.mount());
        let rules = mount.tokens.refresh;
        let client = client_of(client, &permit.call().origin)?;
        let (family_id, counter) = refresh::read(
            self.engine.refresh_key(),
            &mount.tokens,
            presented.expose(),
            self.engine.now_ms(),
        )?;
        permit.name_resource(family_id.as_str());
        // Of two exchanges at once one advances; the other looks again and finds itself repeating.
        for _ in 0..4 {
            let family = self.engine.store().family(&family_id).await?.ok_or_else(invalid)?;
            let now_ms = self.engine.now_ms();
            let writes = match judge(&family, counter, &client, &rules, now_ms) {
                Verdict::Ended => return Err(invalid()),
                Verdict::WrongClient => return Err(invalid().operator("another client")),
                Verdict::Reused => {
                    self.end_family(&family).await?;
                    return Err(Error::new(codes::REFRESH_REUSED));
                }
                Verdict::Repeat => Vec::new(),
                Verdict::Advance if !rules.rotation => Vec::new(),
                Verdict::Advance => vec![Write::AdvanceFamily {
                    id: family.id.clone(),
                    from: counter,
                    at_ms: now_ms,
                    expires_at_ms: (now_ms + rules.ttl_ms).min(family.ends_at_ms),
                }],
            };
            let session = self.engine.live_session(&family.session, now_ms).await?;
            if self.engine.stay_revoked(&session.session) {
                return Err(invalid().operator("the session was revoked"));
            }
            if session.session.mount != *mount.name {
                return Err(invalid().operator("another mount"));
            }
            let user = self.engine.store().user(&family.user).await?.ok_or_else(invalid)?;
            if user.disabled {
                return Err(Error::new(codes::USER_DISABLED));
            }
            permit.name_principal(Principal::local(&user.id), "refresh_token");
            let until_ms = (now_ms + rules.ttl_ms).min(family.ends_at_ms);
            let next = rules.rotation.then_some((counter + 1, until_ms));
            let granted = self.granted(&mount.tokens, &user, &family, next)?;
            permit.tell_nothing();
            tell_tokens(permit, &granted, next.map(|(_, until_ms)| until_ms));
            match permit.attempt(writes).await {
                Ok(()) => return Ok(granted),
                Err(StoreError::Conflict(Conflict::Stale)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::new(codes::CONFLICT))
    }

    /// The writes that end a family, with its session and their tokens.
    pub(crate) fn end_family_writes(&self, family: &Family) -> Vec<Write> {
        let now_ms = self.engine.now_ms();
        let mut writes = vec![Write::EndFamily { id: family.id.clone(), at_ms: now_ms }];
        writes.extend(self.end_one(&family.session, now_ms, family.ends_at_ms));
        writes
    }

    async fn end_family(&self, family: &Family) -> Result<()> {
        let writes = self.end_family_writes(family);
        match self.engine.commit(crate::ports::Batch::durable(writes)).await {
            // The session had ended by itself.
            Ok(()) | Err(StoreError::Conflict(Conflict::Missing)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn end_one(&self, id: &SessionId, now_ms: i64, until_ms: i64) -> Vec<Write> {
        let revocation =
            Revocation { revoked: Revoked::Session(id.as_str().to_owned()), at_ms: now_ms, until_ms };
        let mut writes = vec![
            Write::EndSession { id: id.clone(), at_ms: now_ms },
            Write::EndFamiliesOfSession { session: id.clone(), at_ms: now_ms },
            Write::Announce(Change::Session(id.clone())),
        ];
        writes.extend(revoke_writes(revocation));
        writes
    }

    /// Sessions of a user that go on, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, permit: Permit<session::Read>, user: &UserId) -> Result<Vec<Session>> {
        if let Err(error) = permit.must_reach(user.as_str(), &Principal::local(user).owner_key()) {
            return permit.close(Err(error));
        }
        let now_ms = self.engine.now_ms();
        let found = self.engine.store().sessions_of(user, now_ms).await.map(|mut sessions| {
            sessions.retain(|session| now_ms < session.last_seen_at_ms.saturating_add(session.idle_limit_ms));
            sessions
        });
        permit.close(found.map_err(Into::into))
    }

    /// Who a session belongs to, so that a permit can be asked for it.
    ///
    /// # Errors
    /// `not_found` for one that never was or has ended.
    pub async fn owner(&self, id: &SessionId) -> Result<UserId> {
        match self.engine.store().session(id).await? {
            Some(session) if session.ended_at_ms.is_none() => Ok(session.user),
            _ => Err(Error::new(codes::NOT_FOUND)),
        }
    }

    /// The writes that end a user's sessions, all but one.
    pub(crate) async fn end_writes(&self, user: &UserId, keep: Option<&SessionId>) -> Result<Vec<Write>> {
        let now_ms = self.engine.now_ms();
        let sessions = self.engine.store().sessions_of(user, now_ms).await?;
        let ending = sessions.iter().filter(|session| Some(&session.id) != keep);
        Ok(ending.flat_map(|session| self.end_one(&session.id, now_ms, session.expires_at_ms)).collect())
    }

    /// Ends sessions with their tokens; returns how many.
    ///
    /// # Errors
    /// `not_found` when the one named has ended.
    pub async fn end(&self, permit: Permit<session::End>, user: &UserId, which: Which) -> Result<usize> {
        let now_ms = self.engine.now_ms();
        let prepared = async {
            permit.must_reach(user.as_str(), &Principal::local(user).owner_key())?;
            let sessions = self.engine.store().sessions_of(user, now_ms).await?;
            let ending: Vec<_> = sessions
                .iter()
                .filter(|session| match &which {
                    Which::One(id) => session.id == *id,
                    Which::All => true,
                    Which::Others(id) => session.id != *id,
                })
                .collect();
            if ending.is_empty() && matches!(which, Which::One(_)) {
                return Err(Error::new(codes::NOT_FOUND));
            }
            let writes =
                ending.iter().flat_map(|s| self.end_one(&s.id, now_ms, s.expires_at_ms)).collect::<Vec<_>>();
            Ok((ending.len(), writes))
        };
        match prepared.await {
            Ok((count, writes)) => {
                permit.commit(writes).await?;
                Ok(count)
            }
            Err(error) => permit.close(Err(error)),
        }
    }
}

/// Whether a session that was last seen then goes on.
fn goes_on(session: &Session, last_seen_at_ms: i64, now_ms: i64) -> bool {
    session.ended_at_ms.is_none()
        && now_ms < session.expires_at_ms
        && now_ms - last_seen_at_ms < session.idle_limit_ms
}

impl Engine {
    /// Whether a session, or everything of its user since it began, was revoked.
    pub(crate) fn stay_revoked(&self, session: &Session) -> bool {
        let revocations = &self.memory().revocations;
        let owner = Key::of_principal(&Principal::local(&session.user).owner_key());
        revocations.holds(Key::of_session(session.id.as_str()))
            || revocations.cover_since(owner, session.created_at_ms)
    }

    /// A session that goes on, without using it: asking what a token is worth keeps nobody logged in.
    pub(crate) async fn session_unused(&self, id: &SessionId, now_ms: i64) -> Result<Option<Session>> {
        // The moment it was last seen reaches the store later.
        let in_memory = self.memory().caches.sessions.get(id);
        let seen_at_ms = in_memory.map_or(i64::MIN, |copy| copy.last_seen_at_ms.load(Ordering::Acquire));
        let session = self.store().session(id).await?;
        Ok(session.filter(|session| goes_on(session, session.last_seen_at_ms.max(seen_at_ms), now_ms)))
    }

    /// Notes that a session is used; false when it may have ended and the store has to be asked.
    pub(crate) fn use_session(&self, copy: &SessionCopy, now_ms: i64) -> bool {
        let session = &copy.session;
        let last_seen = copy.last_seen_at_ms.load(Ordering::Acquire);
        if !goes_on(session, last_seen, now_ms) {
            return false;
        }
        copy.last_seen_at_ms.fetch_max(now_ms, Ordering::AcqRel);
        let noted = copy.noted_at_ms.load(Ordering::Acquire);
        let due = now_ms - noted >= NOTE_EVERY_MS;
        if due
            && copy.noted_at_ms.compare_exchange(noted, now_ms, Ordering::AcqRel, Ordering::Acquire).is_ok()
        {
            self.journal().session_seen(&session.id, now_ms);
        }
        true
    }

    /// A session that goes on.
    ///
    /// # Errors
    /// `session_ended`.
    pub(crate) async fn live_session(&self, id: &SessionId, now_ms: i64) -> Result<Arc<SessionCopy>> {
        let ended = || Error::new(codes::SESSION_ENDED);
        if let Some(copy) = self.memory().caches.sessions.get(id)
            && self.memory().generations.is_current(copy.stamp)
            && self.use_session(&copy, now_ms)
        {
            return Ok(copy);
        }
        let stamp = self.memory().generations.stamp(id.as_str());
        let session = self.store().session(id).await?.ok_or_else(ended)?;
        let copy = Arc::new(SessionCopy {
            last_seen_at_ms: session.last_seen_at_ms.into(),
            noted_at_ms: session.last_seen_at_ms.into(),
            session,
            stamp,
        });
        if !self.use_session(&copy, now_ms) {
            return Err(ended());
        }
        self.memory().caches.sessions.insert(id.clone(), Arc::clone(&copy));
        Ok(copy)
    }
}
