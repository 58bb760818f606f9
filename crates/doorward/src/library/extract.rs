//! What handlers ask for in their arguments.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use doorward_core::authz::catalogue::{Access, Action, ActionDef};
use doorward_core::authz::filter::Filter;
use doorward_core::authz::{RoleName, Target};
use doorward_core::error::codes;
use doorward_core::operation::Grant;
use http::request::Parts;
use http::{HeaderMap, Method};

use super::arrived::Arrived;
use super::caller::Caller;
use super::error::{Error, Result};

/// Who sends the request: somebody who is known. `Option<Principal>` under a layer that is
/// [`optional`](crate::Protect::optional).
///
/// It derefs to a [`Caller`], so that it also acts: `principal.create_api_key(…)`.
#[derive(Clone)]
pub struct Principal(Caller);

impl Deref for Principal {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Error;

    /// # Errors
    /// `credentials_missing`; `internal` without the layer.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let arrived = arrived(parts)?;
        if arrived.auth().is_anonymous() {
            return Err(doorward_core::Error::new(codes::CREDENTIALS_MISSING).into());
        }
        Ok(Self(Caller::new(arrived.own_call())))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = Error;

    /// # Errors
    /// `internal` without the layer.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>> {
        let arrived = arrived(parts)?;
        let known = !arrived.auth().is_anonymous();
        Ok(known.then(|| Self(Caller::new(arrived.own_call()))))
    }
}

/// Leave to do `A`: the handler does not run without it.
///
/// An action that is no reading is refused to what another site's page had a browser send, by whatever method.
///
/// It says that the caller may do `A` at all, and [`filter`](Self::filter) to which things: where a role allows it for the holder's own
/// things, apply the filter to what is listed, and [`must_reach`](Self::must_reach) to what was found. Nobody's thing, such as a
/// dashboard, needs neither.
///
/// Its line in the audit log is written when the request is answered and says how: done, refused or failed. An action that changes
/// something has a line on stable storage before the handler runs.
pub struct RequirePermission<A: Action> {
    leave: Leave,
    action: PhantomData<fn() -> A>,
}

/// A role that the caller must have, or one that inherits from it.
///
/// To be of a role is the action `role:NAME`, decided as everything else: a credential that is limited to `read` does not pass for the whole
/// role, and neither does an everyday key of an administrator's for an administrator. Prefer permissions: they say what is to be done, and
/// roles can be cut anew around them.
pub struct RequireRole<R: RoleName> {
    leave: Leave,
    role: PhantomData<fn() -> R>,
}

impl<A: Action> RequirePermission<A> {
    /// Who was given leave.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller::new(self.leave.arrived.own_call())
    }

    /// Which things the action reaches: everything, or what one owner owns. It goes into the application's own query.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        self.leave.grant().filter()
    }

    /// Refuses what the action does not reach, as if it were not there, and names the thing in the audit log.
    ///
    /// # Errors
    /// `not_found`.
    pub fn must_reach(&mut self, id: &str, owner: &str) -> Result<()> {
        self.leave.grant_mut().name_resource(id);
        Ok(self.leave.grant().must_reach(id, owner)?)
    }
}

impl<R: RoleName> RequireRole<R> {
    /// Who has the role.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller::new(self.leave.arrived.own_call())
    }
}

impl<S: Send + Sync, A: Action> FromRequestParts<S> for RequirePermission<A> {
    type Rejection = Error;

    /// # Errors
    /// `credentials_missing`, `scope_missing`, `forbidden`, `rate_limited`; `cross_site` where it changes something and another site's page
    /// had a browser send it; `internal` without the layer, for an action that the builder was not told of, and for one that a limit by
    /// address is about where nobody says the address.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let page = (A::DEF.access != Access::Read).then_some((&parts.method, &parts.headers));
        let leave = Leave::ask(arrived(parts)?, A::DEF, page).await?;
        Ok(Self { leave, action: PhantomData })
    }
}

impl<S: Send + Sync, R: RoleName> FromRequestParts<S> for RequireRole<R> {
    type Rejection = Error;

    /// # Errors
    /// `credentials_missing`, `scope_missing`, `forbidden`, `rate_limited`; `internal` as there, and for a role that is not defined.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let arrived = arrived(parts)?;
        let undefined = || Error::internal(&format!("the role {:?} is not defined: Builder::role", R::NAME));
        let action = arrived.admission().engine().roles().being::<R>().ok_or_else(undefined)?;
        // To be somebody changes nothing; what the handler does is told by the method alone.
        let leave = Leave::ask(arrived, action, None).await?;
        Ok(Self { leave, role: PhantomData })
    }
}

/// What the layer left with the request. Without it nobody is let in: a layer that was forgotten must not look like a caller.
fn arrived(parts: &Parts) -> Result<Arc<Arrived>> {
    parts.extensions.get::<Arc<Arrived>>().cloned().ok_or_else(|| {
        let what = "an extractor of Doorward's stands on a route that is not under Doorward::layer";
        tracing::error!(path = parts.uri.path(), "{what}");
        Error::internal(what)
    })
}

/// Leave that was given to one request; its line is written with the answer.
struct Leave {
    arrived: Arc<Arrived>,
    grant: Option<Grant>,
}

impl Leave {
    /// `changes` is what the request came with, where the action changes something.
    async fn ask(
        arrived: Arc<Arrived>,
        action: &'static ActionDef,
        changes: Option<(&Method, &HeaderMap)>,
    ) -> Result<Self> {
        // 1. Counted first, so that what is refused counts too.
        arrived.count(action).await?;
        // 2. Nobody in particular is told to come back with a credential, whoever's page it was.
        let grant = arrived.call().permit_for(action, Target::any())?;
        // 3. Before anything is written of its having begun.
        let begun = match changes.map_or(Ok(()), |page| arrived.changes(page)) {
            Ok(()) => grant.begun().await,
            refused => refused,
        };
        if let Err(error) = begun {
            return match grant.close::<Infallible>(Err(error)) {
                Err(error) => Err(error.into()),
                Ok(never) => match never {},
            };
        }
        Ok(Self { arrived, grant: Some(grant) })
    }

    fn grant(&self) -> &Grant {
        self.grant.as_ref().expect("it is taken when it is dropped")
    }

    fn grant_mut(&mut self) -> &mut Grant {
        self.grant.as_mut().expect("it is taken when it is dropped")
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        if let Some(grant) = self.grant.take() {
            self.arrived.used(grant);
        }
    }
}
