//! What pages in letters may hold: no scripts, nothing that runs or fetches by itself, and variables only where escaping holds.

/// Stands for a variable in what is checked.
pub(super) const HOLE: &str = "\0";

/// Elements that run, load or send something.
const NEVER: &[&str] = &[
    "script", "iframe", "frame", "object", "embed", "applet", "form", "base", "meta", "link", "svg", "math",
];

/// Reads a page tag by tag, in which each [`HOLE`] is a variable.
///
/// # Errors
/// The first thing that is not allowed.
pub(super) fn check(page: &str) -> Result<(), String> {
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        let inside = &rest[at + 1..];
        rest = if let Some(comment) = inside.strip_prefix("!--") {
            let end = comment.find("-->").ok_or("a comment is not closed")?;
            no_hole(&comment[..end], "a comment")?;
            &comment[end + 3..]
        } else if let Some(closing) = inside.strip_prefix('/') {
            let end = closing.find('>').ok_or("a tag is not closed")?;
            no_hole(&closing[..end], "a tag, outside quotes")?;
            &closing[end + 1..]
        } else if inside.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!') {
            tag(inside)?
        } else if inside.starts_with(['?', '\0']) {
            return Err("a tag has no name".to_owned());
        } else {
            inside
        };
    }
    Ok(())
}

/// Reads one tag; what comes after it.
fn tag(text: &str) -> Result<&str, String> {
    let ends = |c: char| c.is_ascii_whitespace() || c == '/' || c == '>';
    let (name, mut rest) = text.split_at(text.find(ends).ok_or("a tag is not closed")?);
    let name = name.to_ascii_lowercase();
    no_hole(&name, "a tag, outside quotes")?;
    if NEVER.contains(&name.as_str()) {
        return Err(format!("<{name}> may not stand in a letter"));
    }
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if let Some(after) = rest.strip_prefix('>') {
            return if name == "style" { style(after) } else { Ok(after) };
        }
        let end = rest.find(|c: char| ends(c) || c == '=').ok_or("a tag is not closed")?;
        let (attribute, after) = rest.split_at(end.max(1).min(rest.len()));
        no_hole(attribute, "a tag, outside quotes")?;
        let attribute = attribute.to_ascii_lowercase();
        if attribute.starts_with("on") || attribute == "srcdoc" {
            return Err(format!("{attribute} may not stand in a letter"));
        }
        let trimmed = after.trim_start();
        let Some(value) = trimmed.strip_prefix('=').map(str::trim_start) else {
            rest = after;
            continue;
        };
        let quoted = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, after) = match quoted {
            Some(quote) => {
                let value = &value[1..];
                let end = value.find(quote).ok_or("a quote is not closed")?;
                (&value[..end], &value[end + 1..])
            }
            None => {
                let end = value.find(|c: char| c.is_ascii_whitespace() || c == '>');
                let (value, after) = value.split_at(end.ok_or("a tag is not closed")?);
                no_hole(value, "an attribute without quotes")?;
                (value, after)
            }
        };
        runs(value)?;
        rest = after;
    }
}

/// Refuses URLs that run what they say.
fn runs(value: &str) -> Result<(), String> {
    let plain: String = value.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
    for scheme in ["javascript:", "vbscript:", "data:text"] {
        if plain.starts_with(scheme) {
            return Err(format!("{scheme} may not stand in a letter"));
        }
    }
    // An escaped letter could spell one of them.
    let first = plain.split(['/', '?']).next().unwrap_or_default();
    if first.contains("&#") { Err("an escaped scheme may not stand in a letter".to_owned()) } else { Ok(()) }
}

fn style(text: &str) -> Result<&str, String> {
    let end = text.to_ascii_lowercase().find("</style").ok_or("<style> is not closed")?;
    no_hole(&text[..end], "<style>")?;
    if text[..end].to_ascii_lowercase().contains("@import") {
        return Err("@import may not stand in a letter".to_owned());
    }
    Ok(&text[end..])
}

fn no_hole(text: &str, place: &str) -> Result<(), String> {
    if text.contains(HOLE) {
        return Err(format!("a variable stands in {place}, where it cannot be escaped; write it in quotes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_pages_pass_and_whatever_runs_does_not() {
        for good in [
            "<!DOCTYPE html><html><head><title>x</title><style>p{color:red}</style></head><body><p>\0</p></body></html>",
            "<a href=\"\0\">x</a> <img src='https://app.example/logo.png' alt=\"\0\"/>",
            "<!-- note --><br/><p class=x>1 < 2 & 3</p>",
            "<a href=\"https://app.example/?to=\0\">x</a>",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "<script>x</script>",
            "<SCRIPT src=x></SCRIPT>",
            "<img src=x onerror=alert(1)>",
            "<p ONCLICK='x'>",
            "<a href=\"javascript:alert(1)\">",
            "<a href=' java\nscript:alert(1)'>",
            "<a href=\"&#106;avascript:x\">",
            "<iframe srcdoc='x'>",
            "<form action='/'>",
            "<base href='//evil.example'>",
            "<meta http-equiv=refresh>",
            "<a href=\0>",
            "<\0>",
            "<p \0='x'>",
            "<!-- \0 -->",
            "<style>p{background:\0}</style>",
            "<a href=\"x",
            "<svg onload=x>",
            "<style>@import 'x'</style>",
            "<p",
            "</\0>",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
