//! `/_mail`: letters that `dev` keeps instead of sending them, so that their links can be opened. Where letters leave there is no such
//! page.

use doorward_core::clock::rfc3339;
use doorward_core::error::{Error, Result, codes};
use doorward_core::ports::mailer::Kept;
use http::StatusCode;
use serde_json::{Value, json};

use crate::http::page::{escaped, page, wants_page};
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// `GET /_mail`: a page for browsers, JSON for programs, and nothing for other machines.
pub(super) async fn list(request: Request) -> Result<Answer> {
    let Some(mails) = request.engine.kept_mails() else { return Err(Error::new(codes::NO_ROUTE)) };
    if !request.client.address.to_canonical().is_loopback() {
        return Err(Error::new(codes::LOOPBACK_ONLY));
    }
    if !wants_page(&request.headers) {
        let shown: Vec<Value> = mails
            .iter()
            .map(|mail| json!({ "at_ms": mail.at_ms, "to": mail.to, "subject": mail.subject, "text": mail.text, "html": mail.html }))
            .collect();
        return Ok(json_answer(StatusCode::OK, &json!({ "mails": shown })));
    }
    let listed: String = mails.iter().map(article).collect();
    let empty = "<p>None yet. Newest first; they are kept in memory, at most a hundred.</p>\n";
    Ok(page(StatusCode::OK, "Mail", if listed.is_empty() { empty } else { &listed }))
}

fn article(mail: &Kept) -> String {
    let lines: String = mail.text.lines().map(line).collect();
    format!(
        "<article>\n<h2>{}</h2>\n<p>To {}, {}</p>\n<p>{lines}</p>\n</article>\n",
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
        return format!("<a href=\"{shown}\">{shown}</a><br>\n");
    }
    format!("{shown}<br>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

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
