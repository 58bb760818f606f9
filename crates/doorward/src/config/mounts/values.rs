//! Values of a mount's settings that have a form of their own.

use doorward_server::{MessageRate, TokenSource, TokenSourceError};

use super::SurfaceKind;
use crate::config::section::Section;
use crate::config::server::base_url;

/// Most places in which a token is looked for.
const MAX_TOKEN_SOURCES: usize = 16;

pub(super) fn prefix(
    name: &str,
    surface: Option<SurfaceKind>,
    own_listener: bool,
    section: &mut Section<'_>,
) -> Option<String> {
    if !section.is_given("prefix") {
        let root = own_listener || surface == Some(SurfaceKind::Native);
        return Some(if root { String::new() } else { format!("/{name}") });
    }
    let text = section.text("prefix")?;
    let trimmed = text.trim_end_matches('/');
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if trimmed.is_empty() || trimmed.strip_prefix('/').is_some_and(|rest| rest.split('/').all(plain)) {
        return Some(trimmed.to_owned());
    }
    section.refuse("prefix", format!("{text:?} cannot be a prefix"), "write it like /agentflow");
    None
}

pub(super) fn upstream(section: &mut Section<'_>) -> Option<String> {
    let text = section.text("upstream")?;
    let url = base_url(&text).filter(|url| url.starts_with("http://"));
    if url.is_none() {
        section.refuse(
            "upstream",
            format!("{text:?} is not an agent server's address"),
            "write it like http://127.0.0.1:8000",
        );
    }
    url
}

/// A word that can stand in JSON and in `metadata["langgraph_node"] == ...` of whoever reads streams.
pub(super) fn node(section: &mut Section<'_>) -> Option<String> {
    let text = section.text("node")?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if text.is_empty() || text.len() > 64 || !text.bytes().all(plain) {
        section.refuse(
            "node",
            format!("{text:?} cannot be a node's name"),
            "use up to 64 letters, digits, - and _",
        );
        return None;
    }
    Some(text)
}

/// Origins as browsers send them: a scheme, a host, perhaps a port, and nothing behind.
pub(super) fn origins(section: &mut Section<'_>) -> Option<Vec<String>> {
    let given = section.list("cors_origins")?;
    let plain = |text: &String| {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        host.is_some_and(|host| {
            !host.is_empty()
                && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:[]".contains(&b))
        })
    };
    if let Some(bad) = given.iter().find(|text| !plain(text)) {
        section.refuse(
            "cors_origins",
            format!("{bad:?} is not an origin"),
            "name each as browsers send it: https://app.example, in lower case, without a path or *",
        );
        return None;
    }
    Some(given)
}

pub(super) fn header(section: &mut Section<'_>) -> Option<String> {
    let text = section.text("trusted_header")?.to_ascii_lowercase();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let good = (1..=64).contains(&text.len()) && text.bytes().all(plain);
    if !good || ["authorization", "cookie", "host", "x-api-key", "x-forwarded-for"].contains(&text.as_str()) {
        section.refuse(
            "trusted_header",
            format!("{text:?} cannot be the header that names the caller"),
            "use a header of its own, such as x-forwarded-user",
        );
        return None;
    }
    Some(text)
}

/// How many messages a connected client may send.
pub(super) fn message_rate(section: &mut Section<'_>) -> Option<MessageRate> {
    let each_second = section.integer("messages_per_s", 1..=1_000_000);
    let burst = section.integer("message_burst", 1..=1_000_000);
    Some(MessageRate { each_second: u32::try_from(each_second?).ok()?, burst: u32::try_from(burst?).ok()? })
}

/// How much may wait in a hub, in bytes.
pub(super) fn waiting_bytes(section: &mut Section<'_>) -> Option<usize> {
    let mib = section.integer("waiting_mib", 64..=65_536)?;
    usize::try_from(mib).ok()?.checked_mul(1 << 20)
}

/// Places where callers may show who they are, in their order; none for the surface's own. `proxied` is the header in which a proxy
/// names whom it let in.
pub(super) fn token_sources(section: &mut Section<'_>, proxied: Option<&str>) -> Option<Vec<TokenSource>> {
    let given = section.list("token_sources")?;
    let mut sources: Vec<TokenSource> = Vec::with_capacity(given.len().min(MAX_TOKEN_SOURCES));
    for text in &given {
        let (what, mend) = match text.parse::<TokenSource>() {
            Ok(source) if sources.contains(&source) => {
                (format!("{source} is listed twice"), "list each place once")
            }
            Ok(TokenSource::Header(name)) if proxied == Some(name.as_str()) => (
                format!("{name} is the trusted_header, by which a proxy names callers"),
                "let the proxy name them, or have them show tokens, in a header of its own each",
            ),
            Ok(source) => {
                sources.push(source);
                continue;
            }
            Err(error @ TokenSourceError::Form(_)) => (
                error.to_string(),
                "write authorization, header:NAME, cookie:NAME or query:NAME, such as header:x-api-key",
            ),
            Err(error @ TokenSourceError::Taken(_)) => (
                error.to_string(),
                "write authorization for that header; else use one of its own, such as x-auth-token",
            ),
            Err(error @ TokenSourceError::OurCookie(_)) => {
                (error.to_string(), "use another; cookie_sessions says whether ours are taken")
            }
        };
        section.refuse("token_sources", what, mend);
        return None;
    }
    if sources.len() > MAX_TOKEN_SOURCES {
        section.refuse("token_sources", format!("{} places are listed", sources.len()), "list up to 16");
        return None;
    }
    Some(sources)
}
