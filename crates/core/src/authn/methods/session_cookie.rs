//! The session that a browser carries in our cookie. The browser sends it with every request, whoever made the page: such a
//! credential is *ambient*. It counts only where no explicit one is offered; one that is stale, or not ours, makes its
//! sender nobody; and what it changes has to be asked for by a page of ours ([`Call::made_by_own_page`]).
//!
//! [`Call::made_by_own_page`]: crate::operation::Call::made_by_own_page

use std::sync::Arc;

use super::own_token::caller;
use super::{Descriptor, options};
use crate::authn::{Answer, Authenticator, Glanced, Outcome, Presented, Recall};
use crate::engine::Engine;
use crate::error::{Error, Kind, Result, codes};
use crate::id::SessionId;
use crate::principal::AuthContext;
use crate::tokens::seen::usable;

struct SessionCookie {
    engine: Engine,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "session_cookie",
    build: |section, engine| {
        let _: NoOptions = options("session_cookie", &section)?;
        Ok(Arc::new(SessionCookie { engine: engine.clone() }))
    },
};

impl Authenticator for SessionCookie {
    fn name(&self) -> &'static str {
        DESCRIPTOR.name
    }

    fn authenticate<'a>(&'a self, presented: &'a Presented<'a>) -> Answer<'a> {
        let cookie = presented.cookie.filter(|_| presented.offered.is_none());
        let Some(id) = cookie.and_then(|text| self.engine.session_of_cookie(text)) else {
            return Answer::Now(Outcome::NotPresent);
        };
        Answer::Later(Box::pin(async move {
            match staying(&self.engine, &id).await {
                Ok(auth) => Outcome::Accepted(Arc::new(auth)),
                // Stale: whoever sends it may not even know that it does.
                Err(error) if error.code().kind == Kind::Unauthenticated => Outcome::NotPresent,
                Err(error) => Outcome::Rejected(error),
            }
        }))
    }

    fn recall(&self, glanced: &Glanced<'_>, _: i64) -> Recall {
        let is_mine = glanced.offered.is_none() && glanced.cookie;
        if is_mine { Recall::Ask } else { Recall::NotMine }
    }
}

/// Who a session that a browser keeps is of.
///
/// # Errors
/// `session_ended`, `user_disabled`; the store's.
pub(crate) async fn staying(engine: &Engine, id: &SessionId) -> Result<AuthContext> {
    let session = engine.live_session(id, engine.now_ms()).await?;
    if engine.stay_revoked(&session.session) {
        return Err(Error::new(codes::SESSION_ENDED));
    }
    let user = engine.user_copy(&session.session.user).await?;
    let user = usable(user.as_ref(), engine.now_ms())?;
    Ok(AuthContext {
        method: DESCRIPTOR.name,
        ambient: true,
        session: Some(id.clone()),
        authenticated_at_s: Some(session.session.created_at_ms.div_euclid(1000)),
        expires_at_s: Some(session.session.expires_at_ms.div_euclid(1000)),
        ..caller(&user.user, engine.now_ms())?
    })
}
