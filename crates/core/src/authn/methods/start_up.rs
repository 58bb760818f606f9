//! Tokens as a hub's start-up files find and read them (`register_auth_service` of Hypha).
//!
//! Where they registered nothing this declines everything. What `parse_token` reads it reads alone: nobody else is asked about a text
//! that it refuses.

use std::sync::Arc;

use super::{ConfigError, Descriptor, options};
use crate::authn::methods::visitor::somebody_new;
use crate::authn::{Answer, Authenticator, Outcome, Place, Presented};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::limits::shares::Shares;
use crate::start_up::{METHOD, NothingFound, TokenHooks};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {}

struct StartUp {
    engine: Engine,
    hooks: Arc<TokenHooks>,
    shares: Shares,
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: METHOD,
    build: |section, engine| {
        let Options {} = options(METHOD, &section)?;
        let problem = "no start-up files to ask".to_owned();
        let hooks = section.hooks.ok_or(ConfigError { method: METHOD, problem })?;
        Ok(Arc::new(StartUp { engine: engine.clone(), hooks, shares: Shares::default() }))
    },
};

impl Authenticator for StartUp {
    fn name(&self) -> &'static str {
        METHOD
    }

    fn authenticate<'a>(&'a self, presented: &'a Presented<'a>) -> Answer<'a> {
        let registered = self.hooks.registered();
        let finds = registered.get && presented.line.is_some();
        let reads = registered.parse && usual(presented).is_some();
        if !(finds || reads) {
            return Answer::Now(Outcome::NotPresent);
        }
        Answer::Later(Box::pin(async move {
            // One network cannot take the places of all others.
            let Some(_share) = self.shares.take(presented.client, self.hooks.of_one_network()) else {
                let why = "one network has its share of calls under way";
                return Outcome::Rejected(Error::new(codes::HANDLER_AWAY).operator(why).retry_after_s(1));
            };
            match self.found(presented, finds).await {
                Ok(outcome) => outcome,
                Err(error) => Outcome::Rejected(error),
            }
        }))
    }
}

/// The text in the usual places. Keys in a header of their own are Doorward's.
fn usual<'r>(presented: &Presented<'r>) -> Option<&'r str> {
    let offered = presented.offered?;
    matches!(offered.place, Place::Bearer | Place::OtherScheme).then_some(offered.text)
}

impl StartUp {
    async fn found(&self, presented: &Presented<'_>, finds: bool) -> Result<Outcome> {
        let found = if finds { self.hooks.find(presented).await? } else { None };
        let text = match (&found, self.hooks.nothing_found()) {
            (Some(text), _) => text.as_str(),
            (None, NothingFound::Nobody) if finds => {
                return Ok(Outcome::Accepted(Arc::new(somebody_new(&self.engine))));
            }
            (None, _) => match usual(presented) {
                Some(text) => text,
                None => return Ok(Outcome::NotPresent),
            },
        };
        if self.hooks.registered().parse {
            return Ok(Outcome::Accepted(self.hooks.read(text).await?));
        }
        match found {
            Some(text) => Ok(Outcome::Accepted(self.hooks.own_reading_in(&text, presented).await?)),
            None => Ok(Outcome::NotPresent),
        }
    }
}
