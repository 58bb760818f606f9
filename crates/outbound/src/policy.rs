//! What may be asked for at all, before any name is resolved.

use std::net::IpAddr;
use std::sync::Arc;

use doorward_core::ports::OutboundError;
use url::{Host, Url};

use crate::address::is_public;

/// Longest URL.
const MAX_URL_BYTES: usize = 2_048;

/// Origins that are let through as they are; everything else is https to public addresses.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    allowed: Arc<[String]>,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) url: Url,
    /// Whether the operator listed its origin.
    pub(crate) listed: bool,
}

impl Policy {
    /// A policy that lets these origins through, such as `http://127.0.0.1:9000` or `https://idp.internal`.
    ///
    /// # Errors
    /// The first that is no origin.
    pub fn new(allowed: &[String]) -> Result<Self, String> {
        let allowed = allowed.iter().map(|text| origin_of(text)).collect::<Result<Arc<[_]>, _>>()?;
        Ok(Self { allowed })
    }

    /// Whether the operator listed this origin.
    pub(crate) fn lists(&self, origin: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == origin)
    }

    /// Whether an address may be connected to for an origin.
    pub(crate) fn reaches(&self, listed: bool, address: IpAddr) -> bool {
        listed || is_public(address)
    }

    /// Reads a URL and judges what can be judged without resolving its name.
    pub(crate) fn target(&self, text: &str) -> Result<Target, OutboundError> {
        let refused = |why: String| Err(OutboundError::Refused(why));
        if text.len() > MAX_URL_BYTES {
            return refused(format!("the URL is longer than {MAX_URL_BYTES} bytes"));
        }
        let Ok(url) = Url::parse(text) else { return refused("it is no URL".to_owned()) };
        let origin = url.origin().ascii_serialization();
        let listed = self.lists(&origin);
        if !listed && url.scheme() != "https" {
            return refused(format!("{origin} is not https; list it in outbound.allow to reach it anyway"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused(format!("the URL of {origin} holds a user or a password"));
        }
        let literal = match url.host() {
            None => return refused("the URL has no host".to_owned()),
            Some(Host::Domain(_)) => None,
            Some(Host::Ipv4(v4)) => Some(IpAddr::V4(v4)),
            Some(Host::Ipv6(v6)) => Some(IpAddr::V6(v6)),
        };
        if literal.is_some_and(|address| !self.reaches(listed, address)) {
            return refused(format!(
                "{origin} is an address of this machine or network; list it in outbound.allow to reach it anyway"
            ));
        }
        Ok(Target { url, listed })
    }
}

fn origin_of(text: &str) -> Result<String, String> {
    let plain = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    plain
        .map(|url| url.origin().ascii_serialization())
        .ok_or_else(|| format!("{text:?} is not an origin such as https://idp.internal:8443"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(policy: &Policy, url: &str) -> bool {
        matches!(policy.target(url), Err(OutboundError::Refused(_)))
    }

    #[test]
    fn https_to_a_public_name_or_address_is_let_out_and_nothing_else() {
        let policy = Policy::default();
        for good in ["https://idp.example/jwks", "https://1.1.1.1/", "https://[2606:4700::1111]:8443/x?y=z"] {
            assert!(policy.target(good).is_ok(), "{good}");
        }
        for bad in [
            "http://idp.example/",
            "ftp://idp.example/",
            "file:///etc/passwd",
            "idp.example/jwks",
            "",
            "https://user@idp.example/",
            "https://user:secret@idp.example/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://[::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://169.254.169.254/latest/meta-data",
            "https://0/",
            "https://%31%32%37.0.0.1/",
            "https://１２７.0.0.1/",
            "gopher://127.0.0.1:25/",
        ] {
            assert!(refused(&policy, bad), "{bad}");
        }
        assert!(refused(&policy, &format!("https://idp.example/{}", "x".repeat(MAX_URL_BYTES))));
    }

    #[test]
    fn a_listed_origin_is_let_out_as_it_is_and_its_neighbours_are_not() {
        let listed = ["http://127.0.0.1:9000".to_owned(), "https://idp.internal".to_owned()];
        let policy = Policy::new(&listed).expect("origins");
        for good in ["http://127.0.0.1:9000/jwks", "http://127.1:9000/jwks", "https://idp.internal:443/x"] {
            assert!(policy.target(good).expect(good).listed, "{good}");
        }
        for bad in
            ["http://127.0.0.1:9001/", "http://127.0.0.1/", "https://127.0.0.1:9000/", "http://idp.internal/"]
        {
            assert!(refused(&policy, bad), "{bad}");
        }
        assert!(refused(&policy, "http://user@127.0.0.1:9000/"), "listed or not");
    }

    #[test]
    fn only_an_origin_can_be_listed() {
        for bad in [
            "idp.internal",
            "https://idp/path",
            "https://idp/?q",
            "https://u@idp",
            "*",
            "ftp://idp",
            "https://",
        ] {
            assert!(Policy::new(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
