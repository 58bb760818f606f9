//! Sessions as a service: log in, refresh, log out.

mod claims;
mod exchange;
mod live;
mod login;

use aws_lc_rs::digest::{SHA256, digest};
use doorward_protocols::encoding::base64url_encode;
use serde_json::json;

use super::model::{Session, User};
use crate::authz::catalogue::{Action, session};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::events::catalogue;
use crate::id::{FamilyId, SessionId, UserId};
use crate::operation::{Origin, Permit};
use crate::ports::store::{Change, Write};
use crate::principal::Principal;
use crate::secret::SecretText;
use crate::tokens::issue::{Issued, Subject, issue};
use crate::tokens::model::{Family, Revocation, Revoked};
use crate::tokens::profile::{RefreshForm, RefreshRules, TokenProfile};
use crate::tokens::refresh::{self, UNNAMED};
use crate::tokens::revoke::revoke_writes;

pub use login::Login;
pub(crate) use login::{Arrival, Keep};

pub use claims::{USERNAME_CLAIM, app_metadata};

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
    /// The account as it is.
    pub account: User,
    /// When the session began.
    pub begun_at_ms: i64,
    /// Whether it is what an earlier exchange of the same refresh token gave.
    pub repeated: bool,
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
    pub(super) engine: &'e Engine,
}

pub(crate) fn client_of(named: Option<&str>, origin: &Origin) -> Result<String> {
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
                let scopes = crate::authz::scopes::parse(
                    self.engine.roles().catalogue(),
                    text.split_ascii_whitespace(),
                )?;
                Ok(Some(scopes.join(" ")))
            }
        }
    }

    fn granted(
        &self,
        profile: &TokenProfile,
        user: &User,
        session: &Session,
        family: &Family,
        next: Option<(i64, i64)>,
    ) -> Result<Granted> {
        let claims = claims::of(profile, user, session);
        let subject = Subject {
            subject: user.id.as_str().to_owned(),
            session: Some(session.id.clone()),
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
            account: user.clone(),
            begun_at_ms: session.created_at_ms,
            repeated: false,
        })
    }

    /// The writes that end a family, with its session and their tokens.
    pub(crate) fn end_family_writes(&self, family: &Family) -> Vec<Write> {
        let now_ms = self.engine.now_ms();
        let mut writes = vec![Write::EndFamily { id: family.id.clone(), at_ms: now_ms }];
        writes.extend(self.end_one(&family.session, now_ms, family.ends_at_ms));
        writes
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
        let found = self.engine.store().sessions_of(user, now_ms).await;
        permit.close(found.map(|sessions| self.engine.going_on(sessions, now_ms)).map_err(Into::into))
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
            if let Some(account) = self.engine.store().user(user).await? {
                self.engine.within_key(&permit, &account)?;
            }
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
