//! Refresh: an old token for a new one.

use std::sync::Arc;

use super::{Granted, Sessions, client_of, tell_tokens};
use crate::authz::catalogue::token;
use crate::error::{Error, Kind, Result, codes};
use crate::operation::Permit;
use crate::ports::store::Write;
use crate::ports::{Conflict, StoreError};
use crate::principal::Principal;
use crate::secret::SecretText;
use crate::tokens::model::Family;
use crate::tokens::refresh::{self, Verdict, judge};

impl Sessions<'_> {
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
            let verdict = judge(&family, counter, &client, &rules, now_ms);
            let repeated = verdict == Verdict::Repeat;
            let writes = match verdict {
                Verdict::Ended => return Err(invalid()),
                Verdict::WrongClient => return Err(invalid().operator("another client")),
                Verdict::Reused => {
                    permit.name_principal(Principal::local(&family.user), "refresh_token");
                    let findings = self.engine.odd_refresh(family.advanced_at_ms, &permit.call().origin);
                    let all = findings.iter().any(|finding| finding.blocks);
                    permit.suspect(findings);
                    self.end_copied(permit, &family, all).await?;
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
            if user.is_kept_out(now_ms) {
                return Err(Error::new(codes::USER_DISABLED));
            }
            permit.name_principal(Principal::local(&user.id), "refresh_token");
            let until_ms = (now_ms + rules.ttl_ms).min(family.ends_at_ms);
            let present = if repeated { family.counter } else { counter + 1 };
            let next = rules.rotation.then_some((present, until_ms));
            let mut granted = self.granted(&mount.tokens, &user, &session.session, &family, next)?;
            granted.repeated = repeated;
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

    /// Ends a family of which somebody has a copy, with its session, or with every session of its user; the findings go into the same
    /// transaction.
    async fn end_copied(
        &self,
        permit: &mut Permit<token::Refresh>,
        family: &Family,
        all: bool,
    ) -> Result<()> {
        for _ in 0..8 {
            let now_ms = self.engine.now_ms();
            let mut writes = vec![Write::EndFamily { id: family.id.clone(), at_ms: now_ms }];
            if all {
                writes.extend(self.end_writes(&family.user, None).await?);
            } else {
                let session = self.engine.store().session(&family.session).await?;
                let lives = session.is_some_and(|session| session.ended_at_ms.is_none());
                writes.extend(
                    lives
                        .then(|| self.end_one(&family.session, now_ms, family.ends_at_ms))
                        .into_iter()
                        .flatten(),
                );
            }
            match permit.act_on_findings(writes).await {
                Ok(()) => return Ok(()),
                // A session ended in this moment; the others are looked at again.
                Err(StoreError::Conflict(Conflict::Missing)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::new(codes::CONFLICT))
    }
}
