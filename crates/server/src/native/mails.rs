//! `/_mail`: letters that `dev` keeps instead of sending them, so that their links can be opened. Where letters leave there is no such
//! page.

use doorward_core::clock::rfc3339;
use doorward_core::error::{Error, Result, codes};
use doorward_core::ports::mailer::Kept;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::tags;
use crate::http::page::{escaped, page, wants_page};
use crate::http::respond::Answer;
use crate::openapi::{Also, Described, Nothing};
use crate::request::Request;

/// A letter that was kept.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Letter")]
struct Shown {
    at_ms: i64,
    to: String,
    subject: String,
    text: String,
    /// The same as a page, where it was sent as one too.
    html: Option<String>,
}

/// Letters that were kept, newest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Letters")]
pub(super) struct AllShown {
    mails: Vec<Shown>,
}

pub(super) static LIST: Described<Nothing, AllShown> =
    Described::new("listKeptLetters", &tags::LETTERS, "Letters that were kept instead of sent")
        .notes("In `dev` without `[mail]`, for callers on the same machine.")
        .answers(200)
        .also(&[Also::PAGE])
        .refuses(&[codes::NO_ROUTE, codes::LOOPBACK_ONLY]);

/// What is shown unbroken of a text without spaces.
const UNBROKEN_CHARS: usize = 16;

/// `GET /_mail`: a page for browsers, JSON for programs, and nothing for other machines.
pub(super) async fn list(request: Request) -> Result<Answer> {
    let Some(mails) = request.engine.kept_mails() else { return Err(Error::new(codes::NO_ROUTE)) };
    if !request.client.address.to_canonical().is_loopback() {
        return Err(Error::new(codes::LOOPBACK_ONLY));
    }
    if !wants_page(&request.headers) {
        let shown = mails.iter().map(|Kept { at_ms, to, subject, text, html }| Shown {
            at_ms: *at_ms,
            to: to.clone(),
            subject: subject.clone(),
            text: text.clone(),
            html: html.clone(),
        });
        return Ok(LIST.answer(&AllShown { mails: shown.collect() }));
    }
    let listed: String = mails.iter().map(article).collect();
    let empty = "<p>None yet. Newest first; they are kept in memory, at most a hundred.</p>\n";
    Ok(page(StatusCode::OK, "Mail", if listed.is_empty() { empty } else { &listed }))
}

fn article(mail: &Kept) -> String {
    let lines: String = mail.text.lines().map(line).collect();
    // Its source: what somebody else's words look like as a page is not for a page of ours to show.
    let sent_as_page = mail.html.as_deref().map(|html| {
        format!(
            "<details>\n<summary>Sent as a page too</summary>\n<p><code>{}</code></p>\n</details>\n",
            breaking(html)
        )
    });
    let sent_as_page = sent_as_page.unwrap_or_default();
    format!(
        "<article>\n<h2>{}</h2>\n<p>To {}, {}</p>\n<p>{lines}</p>\n{sent_as_page}</article>\n",
        escaped(&mail.subject),
        escaped(&mail.to),
        rfc3339(mail.at_ms),
    )
}

/// A line that is a link can be opened; everything is text.
fn line(text: &str) -> String {
    let shown = escaped(text);
    let is_link = text.starts_with("http://") || text.starts_with("https://");
    if is_link && !text.contains(char::is_whitespace) {
        return format!("<a href=\"{shown}\">{}</a><br>\n", breaking(text));
    }
    format!("{shown}<br>\n")
}

/// Text that may be broken anywhere: a link is longer than a telephone is wide, and there is no style here that would break it.
fn breaking(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let pieces = chars.chunks(UNBROKEN_CHARS).map(|piece| escaped(&piece.iter().collect::<String>()));
    pieces.collect::<Vec<_>>().join("<wbr>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_that_is_a_page_too_shows_its_source() {
        let mail = Kept {
            at_ms: 0,
            to: "a@example.org".into(),
            subject: "x".into(),
            html: Some("<img src=\"https://a.example/\"><script>alert(1)</script>".into()),
            text: "y".into(),
        };
        let html = article(&mail);
        assert!(html.contains("<details>") && !html.contains("<script") && !html.contains("<img"), "{html}");
        assert!(html.replace("<wbr>", "").contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{html}");
    }

    #[test]
    fn links_can_be_opened_and_nothing_else_is_markup() {
        let mail = Kept {
            at_ms: 0,
            to: "<b>@example.org".into(),
            subject: "<i>".into(),
            html: None,
            text: "<script>x</script>\nhttps://a.example/?b=c&d=\"e\njavascript:alert(1)".into(),
        };
        let html = article(&mail);
        assert!(html.contains("<a href=\"https://a.example/?b=c&amp;d=&quot;e\">"), "{html}");
        assert_eq!(html.matches("<a ").count(), 1, "{html}");
        for markup in ["<script", "<b>", "<i>"] {
            assert!(!html.contains(markup), "{html}");
        }
    }
}
