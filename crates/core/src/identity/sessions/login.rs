//! Log-in: from a proof of who somebody is to a session.

use std::sync::Arc;

use serde_json::json;

use super::{Granted, Sessions, client_of, shortened, tell_tokens};
use crate::authz::catalogue::session;
use crate::error::{Code, Error, Kind, Result, codes};
use crate::events::catalogue;
use crate::id::SessionId;
use crate::identity::browser::Stay;
use crate::identity::model::{Session, SessionOrigin, User};
use crate::identity::password::Compared;
use crate::identity::validate::fold;
use crate::login::directory::{Entered, METHOD};
use crate::memory::revocations::Key;
use crate::operation::{Origin, Permit};
use crate::ports::store::{Conflict, StoreError, Write};
use crate::principal::Principal;
use crate::secret::SecretText;

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

/// Somebody who has proven to be a user.
pub(crate) struct Arrival {
    pub(crate) user: User,
    /// The method of the proof, as the audit log names it.
    pub(crate) method: &'static str,
    /// The application or way of login.
    pub(crate) source: Option<String>,
    /// A device name.
    pub(crate) device: Option<String>,
    /// What has to hold, and what else is to be written, when the session begins.
    pub(crate) writes: Vec<Write>,
    /// The refusal when the log-in is too odd: for a guessable proof, the same as for a wrong one.
    pub(crate) refusal: &'static Code,
    /// The name that was typed, where the proof could be guessed: a refusal counts as every wrong guess does.
    pub(crate) typed: Option<String>,
    /// The hash to be renewed.
    pub(crate) renewal: Option<Renewal>,
}

/// A password that was right, and the hash it was compared with, which is not one as we make them today.
pub(crate) struct Renewal {
    password: SecretText,
    phc: String,
}

/// Whose password it was.
struct Proven {
    user: User,
    /// What compared it.
    method: &'static str,
    /// What must still hold when the session begins, and what changes with it.
    writes: Vec<Write>,
    /// The hash, where it is not one as we make them today. Its renewal expects it, so `writes` do not.
    old: Option<String>,
}

/// What a log-in leaves with its client.
pub(crate) enum Keep {
    /// Tokens for this client, limited to a scope.
    Tokens { client: String, scope: Option<String> },
    /// A cookie.
    Cookie,
}

impl Sessions<'_> {
    /// Logs in with a password and begins a session. Unknown users and wrong passwords cost and answer the same.
    ///
    /// # Errors
    /// `bad_credentials`, `user_disabled`, `too_many_failures`, `hashing_busy`, `bad_field`, `unknown_scope`.
    pub async fn login(&self, permit: Permit<session::Login>, login: Login) -> Result<Granted> {
        let wanted = client_of(login.client.as_deref(), &permit.call().origin)
            .and_then(|client| Ok(Keep::Tokens { client, scope: self.scope(login.scope.as_deref())? }));
        let keep = match wanted {
            Ok(keep) => keep,
            Err(error) => return permit.close(Err(error)),
        };
        let (_, granted) = self.by_password(permit, login, keep).await?;
        granted.ok_or_else(|| Error::new(codes::INTERNAL).operator("a log-in for tokens made none"))
    }

    /// Logs in as [`Sessions::login`] does, for a browser that keeps the session in a cookie and gets no tokens.
    ///
    /// # Errors
    /// As there.
    pub async fn login_browser(&self, permit: Permit<session::Login>, login: Login) -> Result<Stay> {
        let (session, _) = self.by_password(permit, login, Keep::Cookie).await?;
        Ok(self.stay(session))
    }

    /// What a browser keeps of a session.
    pub(crate) fn stay(&self, session: Session) -> Stay {
        Stay {
            cookie: self.engine.session_cookie(&session.id),
            csrf_token: self.engine.csrf_token(&session.id),
            user: session.user,
            expires_at_ms: session.expires_at_ms,
            session: session.id,
        }
    }

    async fn by_password(
        &self,
        mut permit: Permit<session::Login>,
        login: Login,
        keep: Keep,
    ) -> Result<(Session, Option<Granted>)> {
        let origin = Arc::clone(&permit.call().origin);
        // Folding costs time for each byte: what cannot be a name is not folded.
        let folded = if login.login.len() <= 1_024 { fold(&login.login) } else { String::new() };
        let mut tried = None;
        let checked = self.checked(&mut permit, &folded, &login.password, &mut tried).await;
        // Only whoever knows the password learns that the address waits to be confirmed.
        let must_confirm = permit.mount().email.as_ref().is_some_and(|rules| rules.confirm);
        let unproven = |user: &User| user.email.is_some() && user.email_confirmed_at_ms.is_none();
        let checked = checked.and_then(|proven| match must_confirm && unproven(&proven.user) {
            true => Err(Error::new(codes::EMAIL_NOT_CONFIRMED)),
            false => Ok(proven),
        });
        match checked {
            Ok(Proven { user, method, writes, old }) => {
                let source = login.source.or_else(|| Some(method.to_owned()));
                let renewal = old.map(|phc| Renewal { password: login.password, phc });
                let arrival = Arrival {
                    user,
                    method,
                    source,
                    device: login.device,
                    writes,
                    refusal: codes::BAD_CREDENTIALS,
                    typed: Some(folded),
                    renewal,
                };
                self.begin(permit, arrival, keep).await
            }
            Err(error) => {
                if let Some(user) = &tried {
                    // The account that was tried; never the text that was typed, which may be a password.
                    permit.name_resource(user.id.as_str());
                }
                if error.code().kind == Kind::Unauthenticated {
                    permit.suspect(self.engine.odd_failure(&folded, &origin).await);
                    return Err(permit.refuse_login(&folded, error).await);
                }
                permit.close(Err(error))
            }
        }
    }

    /// Whose password this is; `tried` is whose it was compared with. Whoever has none here may have one in the directory.
    async fn checked(
        &self,
        permit: &mut Permit<session::Login>,
        folded: &str,
        password: &SecretText,
        tried: &mut Option<User>,
    ) -> Result<Proven> {
        let store = self.engine.store();
        *tried = match folded.len() {
            1..=254 => store.user_by_login(folded).await?,
            _ => None,
        };
        let phc = match &*tried {
            Some(user) => store.password(&user.id).await?,
            None => None,
        };
        let from = permit.call().origin.address;
        let compared = self.engine.hashing().compare(password, phc.clone(), from).await?;
        let proven = match (tried.clone(), phc, compared) {
            (Some(user), Some(phc), Compared::Right | Compared::RightButOld) => {
                // A password changed since it was read makes this log-in one with the old password.
                let (old, writes) = match compared == Compared::RightButOld {
                    true => (Some(phc), Vec::new()),
                    false => (None, vec![Write::ExpectPassword { user: user.id.clone(), phc }]),
                };
                Some(Proven { user, method: "password", writes, old })
            }
            // A password of ours stands before the directory's, whatever was typed.
            (_, Some(_), _) => {
                self.engine.logins().directory_at_hand()?;
                None
            }
            (_, None, _) => {
                let entered = self.engine.logins().by_directory(permit, folded, password).await?;
                entered.map(|Entered { user, writes }| {
                    *tried = Some(user.clone());
                    Proven { user, method: METHOD, writes, old: None }
                })
            }
        };
        match proven {
            None => Err(Error::new(codes::BAD_CREDENTIALS)),
            Some(proven) if proven.user.is_kept_out(self.engine.now_ms()) => {
                Err(Error::new(codes::USER_DISABLED))
            }
            Some(proven) => Ok(proven),
        }
    }

    /// What must hold when the session begins after all, though another log-in renewed the hash first: several programs of one person log
    /// in at once. Refused if it was not renewed but changed.
    async fn renewed_meanwhile(&self, user: &User, password: &SecretText, origin: &Origin) -> Result<Write> {
        let phc = self.engine.store().password(&user.id).await?;
        match (self.engine.hashing().compare(password, phc.clone(), origin.address).await?, phc) {
            (Compared::Right | Compared::RightButOld, Some(phc)) => {
                Ok(Write::ExpectPassword { user: user.id.clone(), phc })
            }
            _ => Err(StoreError::Conflict(Conflict::Stale).into()),
        }
    }

    /// Begins the session of somebody who has proven to be a user, unless that is too odd.
    ///
    /// # Errors
    /// The arrival's refusal; the store's, among them a conflict of the arrival's writes.
    pub(crate) async fn begin(
        &self,
        mut permit: Permit<session::Login>,
        arrival: Arrival,
        keep: Keep,
    ) -> Result<(Session, Option<Granted>)> {
        let mount = Arc::clone(permit.mount());
        let origin = Arc::clone(&permit.call().origin);
        let Arrival { user, method, source, device, mut writes, refusal, typed, renewal } = arrival;
        let findings = match self.engine.odd_login(&user.id, &origin).await {
            Ok(findings) => findings,
            Err(error) => return permit.close(Err(error)),
        };
        permit.name_resource(user.id.as_str());
        permit.name_principal(Principal::local(&user.id), method);
        if findings.iter().any(|finding| finding.blocks) {
            permit.suspect(findings);
            let Some(typed) = &typed else {
                return Err(permit.refuse(Error::new(refusal)).await);
            };
            permit.suspect(self.engine.odd_failure(typed, &origin).await);
            return Err(permit.refuse_login(typed, Error::new(refusal)).await);
        }
        // After the verdict: a refusal must not take longer for being of the right password.
        let renewed = match &renewal {
            Some(Renewal { password, .. }) => {
                let hashing = self.engine.hashing();
                match hashing.hash(self.engine.random(), password, origin.address).await {
                    Ok(phc) => Some(phc),
                    Err(error) => return permit.close(Err(error)),
                }
            }
            None => None,
        };
        // A stay that begins in the moment of a revocation must not fall under it.
        let principal = Key::of_principal(&Principal::local(&user.id).owner_key());
        let earliest_ms = self.engine.memory().revocations.earliest_ms(principal);
        let now_ms = earliest_ms.map_or(self.engine.now_ms(), |ms| ms.max(self.engine.now_ms()));
        let session = Session {
            id: SessionId::new(self.engine.clock(), self.engine.random()),
            user: user.id.clone(),
            mount: mount.name.to_string(),
            origin: SessionOrigin {
                source: shortened(source.as_deref(), 64),
                device: shortened(device.as_deref(), 128),
                address: origin.address.map(|address| address.to_string()),
                user_agent: shortened(origin.user_agent.as_deref(), 256),
            },
            created_at_ms: now_ms,
            last_seen_at_ms: now_ms,
            idle_limit_ms: mount.sessions.idle_ms,
            expires_at_ms: now_ms + mount.sessions.absolute_ms,
            ended_at_ms: None,
        };
        let family = match keep {
            Keep::Tokens { client, scope } => {
                Some(self.family(&mount.tokens.refresh, &session, client, scope))
            }
            Keep::Cookie => None,
        };
        let granted = family.as_ref().map(|family| {
            self.granted(&mount.tokens, &user, &session, family, Some((0, family.expires_at_ms)))
        });
        let granted = match granted.transpose() {
            Ok(granted) => granted,
            Err(error) => return permit.close(Err(error)),
        };
        permit.name_resource(session.id.as_str());
        permit.suspect(findings);
        permit.tell(catalogue::SESSION_CREATED, || {
            json!({
                "user_id": user.id, "session_id": session.id, "expires_at_ms": session.expires_at_ms,
                "metadata": { "source": session.origin.source, "device": session.origin.device },
            })
        });
        if let (Some(granted), Some(family)) = (&granted, &family) {
            tell_tokens(&mut permit, granted, Some(family.expires_at_ms));
        }
        let begun = || {
            let family = family.clone().map(Write::InsertFamily);
            std::iter::once(Write::InsertSession(session.clone())).chain(family)
        };
        if let (Some(Renewal { password, phc }), Some(renewed)) = (renewal, renewed) {
            let renewing = [
                Write::ExpectPassword { user: user.id.clone(), phc },
                Write::SetPassword { user: user.id.clone(), phc: renewed, at_ms: self.engine.now_ms() },
            ];
            match permit.attempt(renewing.into_iter().chain(begun()).collect()).await {
                Ok(()) => return Ok((session, granted)),
                Err(StoreError::Conflict(Conflict::Stale)) => {
                    match self.renewed_meanwhile(&user, &password, &origin).await {
                        Ok(expected) => writes.push(expected),
                        Err(error) => return permit.close(Err(error)),
                    }
                }
                Err(error) => return permit.close(Err(error.into())),
            }
        }
        writes.extend(begun());
        permit.commit(writes).await?;
        Ok((session, granted))
    }
}
