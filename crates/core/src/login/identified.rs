//! What a provider said.

use doorward_protocols::encoding::base64url_encode;

use aws_lc_rs::digest::{SHA256, digest};

use super::asking::UNSAID_LIFE_S;
use crate::error::{Error, Result, codes};
use crate::identity::validate;
use crate::principal::is_subject;

/// Who somebody is, in a provider's words. Everything in it is checked and bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// Who vouches for the subject.
    pub authority: String,
    /// The subject: never given to somebody else by the authority.
    pub subject: String,
    /// An address that the provider confirmed to be theirs, in its one spelling.
    pub email: Option<String>,
    /// What to call them.
    pub name: Option<String>,
    /// What they are called at the provider.
    pub username: Option<String>,
    /// The domain they belong to, where the provider says so by itself: an address alone may outlive its owner's place there.
    pub domain: Option<Option<String>>,
    /// For how long the provider answers for it, in seconds: as long as the token lives that it gave.
    pub life_s: i64,
}

impl Identified {
    /// What was said, as far as it can be used. `email` has to be confirmed.
    ///
    /// # Errors
    /// `provider_refused` when there is no subject that could be one.
    pub fn new(
        authority: &str,
        subject: &str,
        (email, name, username): (Option<&str>, Option<&str>, Option<&str>),
    ) -> Result<Self> {
        if !is_subject(subject) {
            return Err(
                Error::new(codes::PROVIDER_REFUSED).operator("its subject is empty, too long or no text")
            );
        }
        Ok(Self {
            authority: authority.to_owned(),
            subject: subject.to_owned(),
            email: email.and_then(|email| validate::email(email).ok()),
            name: name.and_then(|name| validate::display_name(name).ok()),
            username: username.and_then(|name| validate::username(name).ok()),
            domain: None,
            life_s: UNSAID_LIFE_S,
        })
    }

    /// How its owner recognises the identity.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        self.email.clone().or_else(|| self.username.clone()).or_else(|| self.name.clone())
    }

    /// A user name for whoever has no confirmed address: the provider's name and the subject, shortened to what a name may hold.
    #[must_use]
    pub fn fallback_username(&self, provider: &str) -> String {
        let plain: String = self.subject.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
        // Room for what makes it unique, here and when somebody took it first.
        let name: String = format!("{provider}-{plain}").to_lowercase().chars().take(48).collect();
        if plain == self.subject && self.subject.chars().all(|c| c.is_ascii_digit()) {
            return name;
        }
        let hash = digest(&SHA256, self.subject.as_bytes());
        let hash: String = hash.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{name}-{hash}")
    }

    /// Whether the address is of one of these domains; every one is of none.
    #[must_use]
    pub fn is_of(&self, domains: &[String]) -> bool {
        let of_email =
            self.email.as_deref().and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain);
        let domain = match &self.domain {
            Some(said) => said.as_deref(),
            None => of_email,
        };
        domains.is_empty() || domains.iter().any(|allowed| domain == Some(allowed.as_str()))
    }
}

/// The challenge that goes with a PKCE verifier (RFC 7636 §4.2, S256).
#[must_use]
pub(crate) fn pkce_challenge(verifier: &str) -> String {
    base64url_encode(digest(&SHA256, verifier.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(subject: &str, email: Option<&str>) -> Identified {
        Identified::new("https://idp.example", subject, (email, None, None)).expect("a subject")
    }

    #[test]
    fn a_challenge_is_the_one_of_the_rfc() {
        // RFC 7636, appendix B.
        let challenge = pkce_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_subject_without_an_address_gets_a_name_that_nobody_else_gets() {
        assert_eq!(of("583231", None).fallback_username("github"), "github-583231");
        let long = of("auth0|0123456789abcdef01234567", None).fallback_username(&"p".repeat(40));
        assert!(long.len() <= 57, "{long}: there is room for what makes it unique");
        let names = ["auth0|5831", "auth05831", "AUTH05831", "ünï", "日本", &"x".repeat(200)]
            .map(|subject| of(subject, None).fallback_username("idp"));
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
        assert!(
            names.iter().all(|name| validate::username(name).is_ok_and(|valid| valid == *name)),
            "{names:?}"
        );
    }

    #[test]
    fn a_domain_is_the_whole_of_what_stands_behind_the_at() {
        let allowed = ["example.com".to_owned()];
        for (email, expected) in [
            (Some("ann@example.com"), true),
            (Some("ann@sub.example.com"), false),
            (Some("ann@evilexample.com"), false),
            (Some("ann@example.com.evil"), false),
            (None, false),
        ] {
            assert_eq!(of("1", email).is_of(&allowed), expected, "{email:?}");
        }
        assert!(of("1", None).is_of(&[]));
        // A private account at Google that was made with an address of a former employer.
        let left = Identified { domain: Some(None), ..of("1", Some("ann@example.com")) };
        let hosted = Identified { domain: Some(Some("example.com".into())), ..left.clone() };
        assert!(!left.is_of(&allowed) && left.is_of(&[]) && hosted.is_of(&allowed));
    }

    #[test]
    fn what_cannot_be_used_is_left_out_and_a_subject_must_be_one() {
        let said = Identified::new("a", "1", (Some("no address"), Some("\u{1b}[2J"), Some("a b")))
            .expect("a subject");
        assert_eq!((said.email, said.name, said.username), (None, None, None));
        for bad in ["", "a\nb", &"x".repeat(513)] {
            assert!(Identified::new("a", bad, (None, None, None)).is_err());
        }
    }
}
