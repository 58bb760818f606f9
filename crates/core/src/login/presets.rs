//! Providers that many people use, as data: what an operator would otherwise have to look up.

use super::methods::ClientAuth;

/// A provider as its own documentation describes it.
#[derive(Debug)]
pub struct Preset {
    /// The word in configuration.
    pub name: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// The method ([`super::methods::BUILTIN`]).
    pub method: &'static str,
    /// The issuer, where it has one for everybody.
    pub issuer: Option<&'static str>,
    /// Where the browser goes, where codes are exchanged, who it is, their addresses.
    pub urls: [Option<&'static str>; 4],
    /// Members that name the subject, an address, whether it is confirmed, a name, a user name.
    pub claims: [Option<&'static str>; 5],
    /// The claim with the domain that people belong to, where addresses do not tell.
    pub domain_claim: Option<&'static str>,
    /// What is asked for.
    pub scopes: &'static [&'static str],
    /// How we prove who we are.
    pub auth: ClientAuth,
}

const OIDC: Preset = Preset {
    name: "oidc",
    label: "Single sign-on",
    method: "oidc",
    issuer: None,
    urls: [None; 4],
    claims: [None; 5],
    domain_claim: None,
    scopes: &["openid", "email", "profile"],
    auth: ClientAuth::Basic,
};

/// Every one.
pub static ALL: &[Preset] = &[
    OIDC,
    // Any other; the operator gives URLs and claims.
    Preset {
        name: "oauth2",
        label: "OAuth",
        method: "oauth2",
        claims: [Some("id"), None, None, Some("name"), None],
        scopes: &[],
        ..OIDC
    },
    // https://accounts.google.com/.well-known/openid-configuration
    // `hd`: an address of a company can be confirmed for a private account, and stays so after its owner has left.
    Preset {
        name: "google",
        label: "Google",
        issuer: Some("https://accounts.google.com"),
        domain_claim: Some("hd"),
        ..OIDC
    },
    // https://gitlab.com/.well-known/openid-configuration
    Preset { name: "gitlab", label: "GitLab", issuer: Some("https://gitlab.com"), ..OIDC },
    // https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
    Preset {
        name: "github",
        label: "GitHub",
        method: "oauth2",
        urls: [
            Some("https://github.com/login/oauth/authorize"),
            Some("https://github.com/login/oauth/access_token"),
            Some("https://api.github.com/user"),
            Some("https://api.github.com/user/emails"),
        ],
        claims: [Some("id"), None, None, Some("name"), Some("login")],
        scopes: &["read:user", "user:email"],
        auth: ClientAuth::Body,
        ..OIDC
    },
    // https://discord.com/developers/docs/topics/oauth2
    Preset {
        name: "discord",
        label: "Discord",
        method: "oauth2",
        urls: [
            Some("https://discord.com/oauth2/authorize"),
            Some("https://discord.com/api/oauth2/token"),
            Some("https://discord.com/api/users/@me"),
            None,
        ],
        claims: [Some("id"), Some("email"), Some("verified"), Some("global_name"), Some("username")],
        scopes: &["identify", "email"],
        ..OIDC
    },
];

/// The one of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Preset> {
    ALL.iter().find(|preset| preset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::methods::BUILTIN;

    #[test]
    fn each_has_a_method_and_one_name() {
        for preset in ALL {
            assert!(BUILTIN.iter().any(|row| row.name == preset.method), "{}", preset.name);
            assert!(std::ptr::eq(find(preset.name).expect("there"), preset), "{}", preset.name);
        }
    }
}
