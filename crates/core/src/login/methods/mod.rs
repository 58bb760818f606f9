//! The ways to ask a provider. To add one: a file here, and a row in [`BUILTIN`].

mod oauth2;
mod oidc;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::attempt::Attempt;
use super::identified::Identified;
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::ports::Outbound;
use crate::secret::SecretText;
use crate::tokens::RemoteKeys;

/// What a browser came back with. Nothing of it is believed yet.
#[derive(Debug, Clone, Default)]
pub struct Answered {
    /// The code to exchange.
    pub code: Option<String>,
    /// Why there is none (RFC 6749 §4.1.2.1).
    pub error: Option<String>,
    /// Who answered (RFC 9207).
    pub iss: Option<String>,
}

/// Who came back, and what lets them in elsewhere.
pub struct Brought {
    /// Who it is.
    pub identified: Identified,
    /// The token that the provider gives for the audience it was asked for.
    pub access_token: SecretText,
    /// Whether it says that nobody has proven the person's address.
    pub unconfirmed: bool,
}

/// A way to ask. Methods never touch HTTP: the server carries the browser there and back.
pub trait LoginMethod: Send + Sync {
    /// What the audit log calls it.
    fn name(&self) -> &'static str;

    /// Who vouches for the subjects it identifies.
    fn authority(&self) -> &str;

    /// Where the browser goes.
    ///
    /// # Errors
    /// `provider_unavailable`.
    fn begin<'a>(&'a self, engine: &'a Engine, attempt: &'a Attempt) -> BoxFuture<'a, Result<String>>;

    /// Who came back.
    ///
    /// # Errors
    /// `provider_refused`, `provider_unavailable`.
    fn identify<'a>(
        &'a self,
        engine: &'a Engine,
        attempt: &'a Attempt,
        answered: &'a Answered,
    ) -> BoxFuture<'a, Result<Identified>>;

    /// Who came back, with the token that the provider gives for its `audience`; only methods that can be built with one do.
    ///
    /// # Errors
    /// As [`LoginMethod::identify`].
    fn bring<'a>(&'a self, _: &'a Engine, _: &'a Attempt, _: &'a Answered) -> BoxFuture<'a, Result<Brought>> {
        Box::pin(async { Err(Error::new(codes::INTERNAL).operator("this method brings no tokens")) })
    }
}

/// How we prove to a provider who we are (RFC 6749 §2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// In `Authorization: Basic`.
    #[default]
    Basic,
    /// In the body.
    Body,
}

/// What we are to a provider.
#[derive(Default)]
pub struct Client {
    /// The id it gave us.
    pub id: String,
    /// The secret it gave us; none for a public client, which PKCE protects.
    pub secret: Option<SecretText>,
    /// How the secret is shown.
    pub auth: ClientAuth,
    /// What is asked for.
    pub scopes: Vec<String>,
}

/// URLs of an OAuth 2.0 provider that describes itself nowhere, and how it says who somebody is.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    /// Where the browser goes.
    pub authorize_url: String,
    /// Where codes are exchanged.
    pub token_url: String,
    /// Who it is, as JSON.
    pub user_url: String,
    /// Their addresses as a list with `email`, `primary` and `verified`, where those are elsewhere.
    pub emails_url: Option<String>,
    /// The member that names the subject.
    pub subject_claim: String,
    /// The member with an address.
    pub email_claim: Option<String>,
    /// The member that says whether the address is confirmed; without one, no address of `user_url` is.
    pub email_verified_claim: Option<String>,
    /// The member with a name to show.
    pub name_claim: Option<String>,
    /// The member with a user name.
    pub username_claim: Option<String>,
}

/// What a method is built from.
#[derive(Default)]
pub struct Section {
    /// What we are to it.
    pub client: Client,
    /// The issuer, where it has one.
    pub issuer: Option<String>,
    /// The claim with the domain that its people belong to; an address stands for it where there is none.
    pub domain_claim: Option<&'static str>,
    /// URLs, where it describes itself nowhere.
    pub endpoints: Endpoints,
    /// What its access tokens are to be for, where somebody looks at those (Auth0: `audience`).
    pub audience: Option<String>,
    /// Its keys, where somebody else asks for them too.
    pub keys: Option<Arc<RemoteKeys>>,
}

/// A method, or the setting that is missing or wrong and what about it.
pub type Built = Result<Arc<dyn LoginMethod>, (&'static str, String)>;

/// A row of the table.
pub struct Descriptor {
    /// The name in configuration and audit log.
    pub name: &'static str,
    /// Builds it.
    pub build: fn(Section, &dyn Outbound) -> Built,
}

/// Every method.
pub static BUILTIN: &[Descriptor] = &[oauth2::DESCRIPTOR, oidc::DESCRIPTOR];

#[cfg(test)]
mod tests {
    use super::BUILTIN;

    #[test]
    fn every_file_of_a_method_has_a_row() {
        let files =
            std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/login/methods")).expect("the room");
        let name =
            |file: std::fs::DirEntry| file.path().file_stem().map(|name| name.to_string_lossy().into_owned());
        let mut files: Vec<String> = files.filter_map(|file| name(file.expect("a file"))).collect();
        files.retain(|name| name != "mod");
        files.sort();
        let rows: Vec<_> = BUILTIN.iter().map(|row| row.name.to_owned()).collect();
        assert_eq!(files, rows);
    }
}
