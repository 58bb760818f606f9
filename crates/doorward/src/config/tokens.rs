//! `[tokens]`: the tokens Doorward issues.

use std::path::PathBuf;

use doorward_protocols::jose::Algorithm;

use super::section::{Key, Section};

const YEAR_S: i64 = 365 * 86_400;

/// The tokens Doorward issues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// `iss`; `None` means the public address, or else `doorward`.
    pub issuer: Option<String>,
    /// `aud`.
    pub audience: String,
    /// How long an access token lives.
    pub access_ttl_s: i64,
    /// How long an unused refresh token lives.
    pub refresh_ttl_s: i64,
    /// How long a line of refresh tokens lives however often it is used.
    pub absolute_ttl_s: i64,
    /// How long a repeated refresh gets the same successor.
    pub reuse_window_s: i64,
    /// What new signing keys sign with.
    pub algorithm: Algorithm,
    /// The claim that names the user, beside `sub`.
    pub identity_claim: String,
    /// Keys of the operator's own, newest first, in place of the sealed ones.
    pub key_files: Vec<PathBuf>,
}

pub(super) const KEYS: &[Key] = &[
    Key::optional(
        "issuer",
        "\"https://auth.example.com\"",
        "The iss of our tokens. Default: server.public_url, or else \"doorward\".",
    ),
    Key::new("audience", "\"doorward\"", "The aud of our tokens, which is also demanded of them."),
    Key::new("access_ttl_s", "3600", "Seconds an access token lives."),
    Key::new("refresh_ttl_s", "2592000", "Seconds an unused refresh token lives (30 days)."),
    Key::new(
        "absolute_ttl_s",
        "7776000",
        "Seconds after which a person logs in again whatever happens (90 days).",
    ),
    Key::new(
        "reuse_window_s",
        "10",
        "Seconds in which a repeated refresh gets the same successor; 0 for never.",
    ),
    Key::new(
        "algorithm",
        "\"ES256\"",
        "What new signing keys sign with: ES256, ES384, ES512, EdDSA, RS256 to PS512, or HS256 to HS512.",
    ),
    Key::new(
        "identity_claim",
        "\"sub\"",
        "The claim that names the user; another, such as user_id, stands beside sub.",
    ),
    Key::new(
        "key_files",
        "[]",
        "Keys in files instead of Doorward's own, newest first: the first signs, all verify. PEM, JWK, JWK set or secret.",
    ),
];

impl Tokens {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let issuer = section.text("issuer");
        let audience = section.text("audience");
        let access_ttl_s = section.integer("access_ttl_s", 1..=YEAR_S);
        let refresh_ttl_s = section.integer("refresh_ttl_s", 1..=10 * YEAR_S);
        let absolute_ttl_s = section.integer("absolute_ttl_s", 1..=10 * YEAR_S);
        let reuse_window_s = section.integer("reuse_window_s", 0..=60);
        let names = Algorithm::ALL.map(|algorithm| (algorithm.name(), algorithm));
        let algorithm = section.word("algorithm", &names);
        let identity_claim = section.text("identity_claim");
        let key_files = section.paths("key_files");
        for (name, text) in
            [("issuer", &issuer), ("audience", &audience), ("identity_claim", &identity_claim)]
        {
            if text.as_deref() == Some("") {
                section.refuse(name, "it is empty", "give it, or leave the key out");
            }
        }
        if let (Some(refresh), Some(absolute)) = (refresh_ttl_s, absolute_ttl_s)
            && absolute < refresh
        {
            section.refuse(
                "absolute_ttl_s",
                format!("{absolute} is less than refresh_ttl_s, {refresh}"),
                "make it at least as long",
            );
        }
        section.finish();
        Some(Self {
            issuer,
            audience: audience?,
            access_ttl_s: access_ttl_s?,
            refresh_ttl_s: refresh_ttl_s?,
            absolute_ttl_s: absolute_ttl_s?,
            reuse_window_s: reuse_window_s?,
            algorithm: algorithm?,
            identity_claim: identity_claim?,
            key_files: key_files?,
        })
    }
}
