//! Where a link may lead in the end: an open redirect with a session behind its `#` would give accounts away.

/// Longest URL to go to.
const MAX_BYTES: usize = 2_048;
/// What no pattern lets through: these run or show what they are given.
const NEVER: &[&str] =
    &["javascript", "data", "vbscript", "file", "blob", "about", "filesystem", "view-source"];

/// Where links may lead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redirects {
    /// Where they lead when nothing else is asked for; `None` for the server's own root.
    pub site: Option<String>,
    /// Patterns of other places: `*` and `?` stand for anything but `.` and `/`, `**` for anything, `{a,b}` for one of some.
    pub allowed: Vec<String>,
}

impl Redirects {
    /// Where to go: what is wanted if it may be, else the site. `own` is the server's own root, such as `https://auth.example/`.
    /// Never has a fragment.
    #[must_use]
    pub fn choose(&self, wanted: Option<&str>, own: &str) -> String {
        let site = self.site.as_deref().unwrap_or(own);
        let wanted = wanted.map(without_fragment).filter(|url| self.lets(url, site, own));
        wanted.unwrap_or_else(|| without_fragment(site)).to_owned()
    }

    /// Our own origin is let through as the site exactly, and by patterns: other people's pages stand beneath it, a hub's among them.
    fn lets(&self, url: &str, site: &str, own: &str) -> bool {
        let Some(place) = Place::of(url) else { return false };
        let is_ours = Place::of(own).is_some_and(|own| own.is_same_origin(&place));
        url == without_fragment(site)
            || (!is_ours && Place::of(site).is_some_and(|site| site.is_same_site(&place)))
            || self
                .allowed
                .iter()
                .any(|pattern| matches(pattern.as_bytes(), url.as_bytes(), &mut MAX_STEPS.clone()))
    }
}

fn without_fragment(url: &str) -> &str {
    url.split('#').next().unwrap_or(url)
}

/// The parts of a URL that browsers and we read alike.
struct Place<'u> {
    scheme: String,
    host: String,
    port: &'u str,
}

impl<'u> Place<'u> {
    /// Refuses what has two readings (WHATWG URL §4.4): backslashes, spaces, control characters, text that is not ASCII, users, escapes in
    /// a host.
    fn of(url: &'u str) -> Option<Self> {
        if url.len() > MAX_BYTES || !url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return None;
        }
        let (scheme, rest) = url.split_once("://")?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(plain) {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if NEVER.contains(&scheme.as_str()) || authority.contains(['@', '%']) {
            return None;
        }
        let web = matches!(scheme.as_str(), "http" | "https");
        let (host, port) = match authority
            .rfind(']')
            .map_or_else(|| authority.rfind(':'), |end| authority[end..].find(':').map(|at| end + at))
        {
            Some(at) => (&authority[..at], &authority[at + 1..]),
            None => (authority, ""),
        };
        if !port.bytes().all(|b| b.is_ascii_digit()) || (web && host.is_empty()) {
            return None;
        }
        let usual = (scheme == "https" && port == "443") || (scheme == "http" && port == "80");
        Some(Self { scheme, host: host.to_ascii_lowercase(), port: if usual { "" } else { port } })
    }

    /// Scheme, host and port; on this machine the port does not matter.
    fn is_same_site(&self, other: &Self) -> bool {
        let local = matches!(self.host.as_str(), "localhost" | "127.0.0.1" | "[::1]");
        !self.host.is_empty()
            && self.scheme == other.scheme
            && self.host == other.host
            && (local || self.port == other.port)
    }

    /// RFC 6454 §4, the usual port being one that is not written.
    fn is_same_origin(&self, other: &Place<'_>) -> bool {
        let port = |place: &Place<'_>| match (place.port, &*place.scheme) {
            ("", "https") | ("443", "https") => "443".to_owned(),
            ("", "http") | ("80", "http") => "80".to_owned(),
            (port, _) => port.trim_start_matches('0').to_owned(),
        };
        self.scheme == other.scheme && self.host == other.host && port(self) == port(other)
    }
}

/// Most steps of one comparison: a pattern with many stars must not take longer than that.
const MAX_STEPS: u32 = 100_000;

/// Whether the whole text is of the pattern.
fn matches(pattern: &[u8], text: &[u8], steps: &mut u32) -> bool {
    *steps = steps.saturating_sub(1);
    if *steps == 0 {
        return false;
    }
    let separator = |b: u8| b == b'.' || b == b'/';
    match pattern {
        [] => text.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=text.len()).any(|n| matches(rest, &text[n..], steps)),
        [b'*', rest @ ..] => {
            let most = text.iter().position(|b| separator(*b)).unwrap_or(text.len());
            (0..=most).any(|n| matches(rest, &text[n..], steps))
        }
        [b'?', rest @ ..] => {
            text.split_first().is_some_and(|(b, text)| !separator(*b) && matches(rest, text, steps))
        }
        [b'{', rest @ ..] if rest.contains(&b'}') => {
            let end = rest.iter().position(|b| *b == b'}').unwrap_or(rest.len());
            rest[..end].split(|b| *b == b',').any(|choice| {
                text.strip_prefix(choice).is_some_and(|text| matches(&rest[end + 1..], text, steps))
            })
        }
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => {
            text.split_first().is_some_and(|(b, text)| b == literal && matches(rest, text, steps))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(site: Option<&str>, allowed: &[&str], wanted: &str) -> String {
        let allowed = allowed.iter().map(|&text| text.to_owned()).collect();
        let redirects = Redirects { site: site.map(str::to_owned), allowed };
        redirects.choose(Some(wanted), "https://auth.example/")
    }

    #[test]
    fn the_sites_own_pages_are_gone_to_and_no_open_redirect_is_found() {
        let site = "https://app.example/start";
        for good in [
            "https://app.example",
            "https://app.example/welcome?x=1",
            "https://APP.example/welcome",
            "https://app.example:443/x",
        ] {
            assert_eq!(chosen(Some(site), &[], good), good);
        }
        assert_eq!(
            chosen(Some(site), &[], "https://app.example/w#x=1"),
            "https://app.example/w",
            "no fragment"
        );
        for evil in [
            "",
            "/welcome",
            "//evil.example",
            "https://evil.example",
            "http://app.example/",
            "https://app.example:8443/",
            "https://app.example.evil/",
            "https://evil.example/https://app.example",
            "https://app.example@evil.example/",
            "https://user:pw@app.example/",
            "https://evil.example\\@app.example/",
            "https:\\\\app.example/",
            "https:/app.example/",
            "https://app.example\\.evil.example/",
            "https://app.example\u{2024}evil/",
            "https://app.example%2eevil/",
            "https://app.example\t.evil/",
            "https://app.example\r\nSet-Cookie: a=b",
            " https://app.example/",
            "javascript:alert(1)",
            "javascript://app.example/%0aalert(1)",
            "data:text/html,x",
            &format!("https://app.example/{}", "x".repeat(2_048)),
        ] {
            assert_eq!(chosen(Some(site), &[], evil), site, "{evil:?}");
        }
    }

    #[test]
    fn without_a_site_it_is_our_own_root_and_on_this_machine_the_port_does_not_matter() {
        assert_eq!(chosen(None, &[], "https://evil.example/"), "https://auth.example/");
        // Beneath our own root are other people's pages too: a hub's applications.
        for ours in ["https://auth.example/x", "https://auth.example:443/x", "https://AUTH.example/x"] {
            assert_eq!(chosen(None, &[], ours), "https://auth.example/");
            assert_eq!(
                chosen(Some("https://auth.example/welcome"), &[], ours),
                "https://auth.example/welcome"
            );
            assert_eq!(
                chosen(None, &["https://auth.example/x"], "https://auth.example/x"),
                "https://auth.example/x"
            );
        }
        assert_eq!(chosen(None, &[], "https://auth.example/"), "https://auth.example/");
        let site = Some("http://localhost:3000");
        assert_eq!(chosen(site, &[], "http://localhost:5173/x"), "http://localhost:5173/x");
        assert_eq!(chosen(site, &[], "http://127.0.0.1:3000/"), "http://localhost:3000");
        assert_eq!(chosen(site, &[], "https://localhost:3000/"), "http://localhost:3000");
    }

    #[test]
    fn a_star_ends_at_a_dot_or_slash_and_two_do_not() {
        for (pattern, url, expected) in [
            ("https://*.app.example/in", "https://a.app.example/in", true),
            ("https://*.app.example/in", "https://a.b.app.example/in", false),
            ("https://*.app.example/in", "https://evil.example/.app.example/in", false),
            ("https://app.example/*", "https://app.example/a?x=1", true),
            ("https://app.example/*", "https://app.example/a/b", false),
            ("https://app.example/**", "https://app.example/a/b.c", true),
            ("https://app.example/**", "https://app.example.evil/a", false),
            ("https://pr-?.app.example/", "https://pr-7.app.example/", true),
            ("https://pr-?.app.example/", "https://pr-.app.example/", false),
            ("https://{a,b}.example/", "https://b.example/", true),
            ("https://{a,b}.example/", "https://c.example/", false),
            ("myapp://callback", "myapp://callback", true),
            ("myapp://*", "myapp://x@evil", false),
            ("**", "javascript://%0aalert(1)", false),
            ("https://app.example/", "https://appXexample/", false),
        ] {
            let expected = if expected { url } else { "https://site.example/" };
            assert_eq!(chosen(Some("https://site.example/"), &[pattern], url), expected, "{pattern} {url}");
        }
    }

    #[test]
    fn a_pattern_full_of_stars_ends_soon() {
        let pattern = "https://".to_owned() + &"**a".repeat(30);
        let url = format!("https://{}", "a".repeat(2_000));
        assert_eq!(chosen(Some("https://site.example/"), &[&pattern], &(url + "b")), "https://site.example/");
    }
}
