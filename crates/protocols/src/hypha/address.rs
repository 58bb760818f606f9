//! Names: of clients (`workspace/client`) and of services (`workspace/client:service@app`).

use std::fmt;

/// Longest name of a workspace, a client, a service or an app.
pub const MAX_NAME_BYTES: usize = 128;

/// What [`is_name`] wants, for whoever gave something else.
pub const NAME_WANTED: &str =
    "1 to 128 characters that can be seen, without spaces and / : * @ ? #, and not . or ..";

/// What is not seen, or changes how what stands around it is read: format characters, among them those that order text, and what is
/// ignored where it cannot be shown (Unicode 16: Cf, and Default_Ignorable_Code_Point), with the blank pattern of Braille.
fn is_unseen(c: char) -> bool {
    const RANGES: &[(u32, u32)] = &[
        (0xad, 0xad),
        (0x34f, 0x34f),
        (0x600, 0x605),
        (0x61c, 0x61c),
        (0x6dd, 0x6dd),
        (0x70f, 0x70f),
        (0x890, 0x891),
        (0x8e2, 0x8e2),
        (0x115f, 0x1160),
        (0x17b4, 0x17b5),
        (0x180b, 0x180f),
        (0x200b, 0x200f),
        (0x202a, 0x202e),
        (0x2060, 0x206f),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xfe00, 0xfe0f),
        (0xfeff, 0xfeff),
        (0xffa0, 0xffa0),
        (0xfff0, 0xfffb),
        (0x110bd, 0x110bd),
        (0x110cd, 0x110cd),
        (0x13430, 0x1343f),
        (0x1bca0, 0x1bca3),
        (0x1d173, 0x1d17a),
        (0xe0000, 0xe0fff),
    ];
    RANGES.iter().any(|(first, last)| (*first..=*last).contains(&u32::from(c)))
}

/// Whether a text can name a client: `/`, `:`, `*` and `@` mean something in addresses, and control characters nothing good.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let means = |c: char| matches!(c, '/' | ':' | '*' | '@' | '?' | '#');
    // Nearly all of them are ASCII, and each frame has two: what a letter of all the world's is need not be asked of those.
    let good = match text.is_ascii() {
        true => text.bytes().all(|b| b.is_ascii_graphic() && !means(b.into())),
        false => text.chars().all(|c| !c.is_control() && !c.is_whitespace() && !is_unseen(c) && !means(c)),
    };
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && good && text != "." && text != ".."
}

/// Where a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'a> {
    /// The workspace; `*` for the server's own.
    pub workspace: &'a str,
    /// The client; `*` for all of them.
    pub client: &'a str,
}

impl<'a> Address<'a> {
    /// Reads `client`, `workspace/client`, `workspace/*`, `*/client` or `*`; without a workspace it is in `home`.
    #[must_use]
    pub fn read(text: &'a str, home: &'a str) -> Option<Self> {
        let (workspace, client) = text.split_once('/').unwrap_or((home, text));
        let good = |part: &str| part == "*" || is_name(part);
        (good(workspace) && good(client)).then_some(Self { workspace, client })
    }
}

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.workspace, self.client)
    }
}

/// Which service is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceId {
    /// The workspace; `*` for any that is public.
    pub workspace: String,
    /// The client; `*` for any.
    pub client: String,
    /// The service's own name; `*` for any.
    pub service: String,
    /// The app; `*` for any.
    pub app: String,
}

impl ServiceId {
    /// Reads `service`, `client:service`, `workspace/service` or `workspace/client:service`, each perhaps with `@app`.
    /// What is left out is `home` or `*`.
    #[must_use]
    pub fn read(text: &str, home: &str) -> Option<Self> {
        let (workspace, rest) = text.split_once('/').unwrap_or((home, text));
        let (rest, app) = rest.split_once('@').unwrap_or((rest, "*"));
        let (client, service) = rest.split_once(':').unwrap_or(("*", rest));
        let good = |part: &str| part == "*" || is_name(part);
        let all = good(workspace) && good(client) && good(app) && (good(service) || service == "~");
        all.then(|| Self {
            workspace: workspace.to_owned(),
            client: client.to_owned(),
            service: service.to_owned(),
            app: app.to_owned(),
        })
    }

    /// Whether a service is one of those that are meant.
    #[must_use]
    pub fn covers(&self, client: &str, service: &str, app: &str) -> bool {
        let same = |wanted: &str, is: &str| wanted == "*" || wanted == is;
        same(&self.client, client) && same(&self.service, service) && same(&self.app, app)
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}@{}", self.workspace, self.client, self.service, self.app)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_service_ids_are_read_and_what_is_none_is_not() {
        let read = |text| Address::read(text, "home").map(|address| address.to_string());
        assert_eq!(read("bob").as_deref(), Some("home/bob"));
        assert_eq!(read("ws-a/bob").as_deref(), Some("ws-a/bob"));
        assert_eq!(read("*").as_deref(), Some("home/*"));
        assert_eq!(read("*/manager-1").as_deref(), Some("*/manager-1"));
        for bad in ["", "/", "a/", "/b", "a/b/c", "a b", "..", "a/..", "a/b*", "\u{7}"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        let read = |text| ServiceId::read(text, "home").map(|id| id.to_string());
        assert_eq!(read("echo").as_deref(), Some("home/*:echo@*"));
        assert_eq!(read("bob:echo").as_deref(), Some("home/bob:echo@*"));
        assert_eq!(read("ws-a/echo@app").as_deref(), Some("ws-a/*:echo@app"));
        assert_eq!(read("ws-a/bob:echo").as_deref(), Some("ws-a/bob:echo@*"));
        assert_eq!(read("~").as_deref(), Some("home/*:~@*"));
        for bad in ["", "a/b/c:d", "a:b:c", "a/../c", "a@b@c", "a?b", "x\n"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        // What is not seen could make a name read as another one.
        for unseen in [
            "a\u{202e}b",
            "w\u{200b}",
            "\u{feff}a",
            "a\u{ad}b",
            "\u{2066}a\u{2069}",
            "admin\u{3164}",
            "\u{2800}",
        ] {
            assert!(!is_name(unseen), "{unseen:?}");
        }
        assert!(is_name("名前") && is_name("Zoë"));
        assert!(!is_name(&long) && Address::read(&long, "home").is_none());
    }
}
