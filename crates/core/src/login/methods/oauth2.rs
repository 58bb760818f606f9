//! Providers that speak plain OAuth 2.0 and say at a URL who somebody is, as GitHub does.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::super::asking::{ask_with, authorize_url, code, exchange, plain, refused, says_yes};
use super::{Answered, Client, Descriptor, Endpoints, LoginMethod};
use crate::engine::Engine;
use crate::error::Result;
use crate::login::attempt::Attempt;
use crate::login::identified::Identified;

/// The row of the table.
pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "oauth2",
    build: |mut section, outbound| {
        let urls = &mut section.endpoints;
        let needed = [
            ("authorize_url", Some(&mut urls.authorize_url)),
            ("token_url", Some(&mut urls.token_url)),
            ("user_url", Some(&mut urls.user_url)),
            ("emails_url", urls.emails_url.as_mut()),
        ];
        for (name, url) in needed {
            let Some(url) = url else { continue };
            if url.is_empty() {
                return Err((name, "it is missing".to_owned()));
            }
            // Used in the spelling that was checked.
            *url = outbound.check(url).map_err(|error| (name, format!("{url}: {error}")))?;
        }
        if urls.subject_claim.is_empty() {
            return Err(("subject_claim", "it is empty".to_owned()));
        }
        Ok(Arc::new(OAuth2 { client: section.client, urls: section.endpoints }))
    },
};

struct OAuth2 {
    client: Client,
    urls: Endpoints,
}

impl LoginMethod for OAuth2 {
    fn name(&self) -> &'static str {
        DESCRIPTOR.name
    }

    fn authority(&self) -> &str {
        &self.urls.user_url
    }

    fn begin<'a>(&'a self, _: &'a Engine, attempt: &'a Attempt) -> BoxFuture<'a, Result<String>> {
        let url = authorize_url(&self.urls.authorize_url, &self.client, attempt, &[]);
        async { Ok(url) }.boxed()
    }

    fn identify<'a>(
        &'a self,
        engine: &'a Engine,
        attempt: &'a Attempt,
        answered: &'a Answered,
    ) -> BoxFuture<'a, Result<Identified>> {
        async move {
            let outbound = engine.outbound();
            let code = code(answered, None, false)?;
            let exchanged = exchange(outbound, &self.urls.token_url, &self.client, attempt, code).await?;
            let life_s = exchanged.life_s;
            let token = exchanged.access_token.ok_or_else(|| refused("it gave no bearer token"))?;
            let user = ask_with(outbound, &self.urls.user_url, &token).await?;
            let email = match &self.urls.emails_url {
                Some(url) => confirmed(&ask_with(outbound, url, &token).await?),
                None => self.own_email(&user),
            };
            let claim = |name: &Option<String>| name.as_deref().and_then(|name| plain(&user, name));
            let subject = plain(&user, &self.urls.subject_claim);
            let subject =
                subject.ok_or_else(|| refused(format!("{} is missing", self.urls.subject_claim)))?;
            let (name, username) = (claim(&self.urls.name_claim), claim(&self.urls.username_claim));
            let words = (email.as_deref(), name.as_deref(), username.as_deref());
            Ok(Identified { life_s, ..Identified::new(self.authority(), &subject, words)? })
        }
        .boxed()
    }
}

impl OAuth2 {
    fn own_email(&self, user: &Value) -> Option<String> {
        let confirmed = self.urls.email_verified_claim.as_deref().is_some_and(|name| says_yes(user, name));
        self.urls.email_claim.as_deref().filter(|_| confirmed).and_then(|name| plain(user, name))
    }
}

/// The first address of a list that is theirs and confirmed.
fn confirmed(emails: &Value) -> Option<String> {
    let mut all = emails.as_array()?.iter().take(100);
    let chosen = all.find(|email| says_yes(email, "primary") && says_yes(email, "verified"))?;
    plain(chosen, "email")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::confirmed;

    #[test]
    fn the_primary_address_counts_once_it_is_confirmed() {
        let list = |primary: bool, verified: bool| {
            json!([
                {"email": "old@x.org", "primary": false, "verified": true},
                {"email": "ann@x.org", "primary": primary, "verified": verified},
            ])
        };
        assert_eq!(confirmed(&list(true, true)).as_deref(), Some("ann@x.org"));
        for other in [list(true, false), list(false, true), json!([]), json!({"email": "a@b"}), json!(null)] {
            assert_eq!(confirmed(&other), None, "{other}");
        }
    }
}
