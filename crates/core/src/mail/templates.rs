//! The operator's own texts of letters, with the names and variables that Supabase's templates have.
//!
//! ```text
//! confirmation.txt   Subject: … · an empty line · the text        confirmation.html   the same as a page, beside it
//! {{ .ConfirmationURL }}  {{ .Token }}  {{ .TokenHash }}  {{ .SiteURL }}  {{ .RedirectTo }}  {{ .Email }}  {{ .NewEmail }}
//! ```
//! They are read once, at the start, and refused there: what a letter would get wrong, nobody sees before its reader does.

use doorward_protocols::html::escaped;
use std::collections::BTreeMap;

use super::letters;
use super::markup;
use crate::identity::proofs::Purpose;
use crate::ports::mailer::Mail;

/// Longest file.
const MAX_BYTES: usize = 65_536;
/// Longest subject.
const MAX_SUBJECT: usize = 200;

/// What files may be called, without their ending, and which letter that is.
const NAMES: [(&str, Purpose); 7] = [
    ("confirmation", Purpose::SignUp),
    ("recovery", Purpose::Recovery),
    ("magic_link", Purpose::MagicLink),
    ("invite", Purpose::Invite),
    ("email_change", Purpose::EmailChange),
    ("email_change_current", Purpose::EmailChangeCurrent),
    ("reauthentication", Purpose::Reauthentication),
];

/// What a letter says.
pub(crate) struct Facts<'a> {
    pub(crate) purpose: Purpose,
    /// The address it goes to.
    pub(crate) to: &'a str,
    /// What to open, where there is something.
    pub(crate) link: Option<&'a str>,
    /// What the link holds.
    pub(crate) token: &'a str,
    /// What to type, where there is something.
    pub(crate) digits: Option<&'a str>,
    /// The mount's site.
    pub(crate) site: &'a str,
    /// Where the link leads in the end.
    pub(crate) go_to: &'a str,
    /// The address that the account is to have.
    pub(crate) moving: Option<&'a str>,
    /// Whether the account was there before it was asked for.
    pub(crate) again: bool,
}

/// What stands between two braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    ConfirmationUrl,
    Token,
    TokenHash,
    SiteUrl,
    RedirectTo,
    Email,
    NewEmail,
}

const VARIABLES: [(&str, Variable); 7] = [
    (".ConfirmationURL", Variable::ConfirmationUrl),
    (".Token", Variable::Token),
    (".TokenHash", Variable::TokenHash),
    (".SiteURL", Variable::SiteUrl),
    (".RedirectTo", Variable::RedirectTo),
    (".Email", Variable::Email),
    (".NewEmail", Variable::NewEmail),
];

impl Variable {
    fn of<'a>(self, facts: &Facts<'a>) -> &'a str {
        match self {
            Self::ConfirmationUrl => facts.link.unwrap_or_default(),
            Self::Token => facts.digits.unwrap_or_default(),
            Self::TokenHash => facts.token,
            Self::SiteUrl => facts.site,
            Self::RedirectTo => facts.go_to,
            Self::Email => facts.to,
            Self::NewEmail => facts.moving.unwrap_or_default(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(Variable),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Template(Vec<Piece>);

impl Template {
    /// Reads a text; `Err` says where it cannot be used.
    fn read(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("{{") {
            let line = text[..text.len() - rest.len() + at].matches('\n').count() + 1;
            let inside = &rest[at + 2..];
            let end = inside.find("}}").ok_or_else(|| format!("line {line}: {{{{ is not closed"))?;
            let name = inside[..end].trim();
            let known = VARIABLES.iter().find(|(known, _)| *known == name);
            let (_, variable) = known.ok_or_else(|| {
                let names: Vec<_> = VARIABLES.iter().map(|(name, _)| *name).collect();
                let shown: String = name.chars().take(40).collect();
                format!("line {line}: {shown:?} is no variable; there are {}", names.join(", "))
            })?;
            pieces.push(Piece::Text(rest[..at].to_owned()));
            pieces.push(Piece::Variable(*variable));
            rest = &inside[end + 2..];
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    fn has(&self, variables: &[Variable]) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Variable(one) if variables.contains(one)))
    }

    fn fill(&self, facts: &Facts<'_>, escape: fn(&str) -> String) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Variable(variable) => escape(variable.of(facts)),
        };
        self.0.iter().map(piece).collect()
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Own {
    text: Option<(Template, Template)>,
    html: Option<Template>,
}

/// The texts of a mount's letters: the operator's, and ours where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Templates(BTreeMap<&'static str, Own>);

impl Templates {
    /// Reads files by name.
    ///
    /// # Errors
    /// What is wrong with the first file that cannot be used: its name, its variables, its markup.
    pub fn new(files: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut all: BTreeMap<&'static str, Own> = BTreeMap::new();
        for (file, text) in files {
            let wrong = |what: String| format!("{file}: {what}");
            let (stem, ending) = file.rsplit_once('.').unwrap_or((file, ""));
            let (name, purpose) = NAMES.into_iter().find(|(name, _)| *name == stem).ok_or_else(|| {
                let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
                wrong(format!("is no letter; there are {}, each .txt or .html", names.join(", ")))
            })?;
            if text.len() > MAX_BYTES {
                return Err(wrong(format!("is longer than {MAX_BYTES} bytes")));
            }
            if text.chars().any(|c| c.is_control() && !"\n\r\t".contains(c)) {
                return Err(wrong("holds control characters".to_owned()));
            }
            let text = text.replace("\r\n", "\n");
            let own = all.entry(name).or_default();
            let needed: &[Variable] = match purpose {
                Purpose::Reauthentication => &[Variable::Token],
                Purpose::EmailChange => &[Variable::ConfirmationUrl, Variable::TokenHash],
                _ => &[Variable::ConfirmationUrl, Variable::Token, Variable::TokenHash],
            };
            let body = match ending {
                "txt" => {
                    let (head, body) = text.split_once('\n').unwrap_or((&text, ""));
                    let subject = head
                        .strip_prefix("Subject:")
                        .map(str::trim)
                        .filter(|subject| (1..=MAX_SUBJECT).contains(&subject.chars().count()))
                        .ok_or_else(|| {
                            wrong("line 1: is to be Subject: and up to 200 characters".to_owned())
                        })?;
                    let body = body
                        .strip_prefix('\n')
                        .ok_or_else(|| wrong("line 2: is to be empty, and the text to follow".to_owned()))?;
                    let subject = Template::read(subject).map_err(wrong)?;
                    let body = Template::read(body).map_err(wrong)?;
                    own.text = Some((subject, body.clone()));
                    body
                }
                "html" => {
                    let body = Template::read(&text).map_err(wrong)?;
                    let marked = body.0.iter().map(|piece| match piece {
                        Piece::Text(text) => text.as_str(),
                        Piece::Variable(_) => markup::HOLE,
                    });
                    markup::check(&marked.collect::<String>()).map_err(wrong)?;
                    own.html = Some(body.clone());
                    body
                }
                _ => return Err(wrong("ends in neither .txt nor .html".to_owned())),
            };
            if !body.has(needed) {
                return Err(wrong("holds nothing that its reader could open or type".to_owned()));
            }
        }
        Ok(Self(all))
    }

    /// Writes a letter.
    pub(crate) fn write(&self, facts: &Facts<'_>) -> Mail {
        let name = NAMES.iter().find(|(_, purpose)| *purpose == facts.purpose).map(|(name, _)| *name);
        let own = name.and_then(|name| self.0.get(name));
        let (subject, text) = match own.and_then(|own| own.text.as_ref()) {
            Some((subject, body)) => {
                let plain: fn(&str) -> String = str::to_owned;
                (subject.fill(facts, plain), body.fill(facts, plain))
            }
            None => letters::asking(facts),
        };
        let html = own.and_then(|own| own.html.as_ref()).map(|html| html.fill(facts, escaped));
        Mail { to: facts.to.to_owned(), subject, text, html }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(given: &[(&str, &str)]) -> BTreeMap<String, String> {
        given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn facts() -> Facts<'static> {
        Facts {
            purpose: Purpose::SignUp,
            to: "o'a&b@example.org",
            link: Some("https://auth.example/verify?token=a&type=signup"),
            token: "a",
            digits: Some("123456"),
            site: "https://app.example/",
            go_to: "https://app.example/\"><b>",
            moving: None,
            again: false,
        }
    }

    #[test]
    fn an_operators_text_stands_in_the_place_of_ours_and_is_escaped_as_a_page() {
        let own = files(&[
            (
                "confirmation.txt",
                "Subject: Hello {{ .Email }}\n\nOpen {{.ConfirmationURL}} for {{ .Email }}\n",
            ),
            (
                "confirmation.html",
                "<a href=\"{{ .ConfirmationURL }}\" title='{{ .RedirectTo }}'>{{ .Email }}</a>",
            ),
        ]);
        let mail = Templates::new(&own).expect("usable").write(&facts());
        assert_eq!(mail.subject, "Hello o'a&b@example.org");
        assert_eq!(mail.text, "Open https://auth.example/verify?token=a&type=signup for o'a&b@example.org\n");
        let html = mail.html.expect("a page");
        assert_eq!(
            html,
            "<a href=\"https://auth.example/verify?token=a&amp;type=signup\" title='https://app.example/&quot;&gt;&lt;b&gt;'>\
             o&#39;a&amp;b@example.org</a>"
        );
        let ours = Templates::default().write(&facts());
        assert!(ours.html.is_none() && ours.text.contains("code: 123456\n"), "{}", ours.text);
    }

    #[test]
    fn what_a_letter_would_get_wrong_is_refused_at_the_start() {
        for (file, text, what) in [
            ("welcome.txt", "Subject: x\n\n{{ .Token }}", "is no letter"),
            ("recovery.md", "{{ .Token }}", "neither .txt nor .html"),
            ("recovery.txt", "{{ .Token }}", "line 1"),
            ("recovery.txt", "Subject: x\n{{ .Token }}", "line 2"),
            ("recovery.txt", "Subject: x\n\n\n{{ .Data.name }}", "is no variable"),
            ("recovery.txt", "Subject: x\n\n{{ .Token", "is not closed"),
            ("recovery.txt", "Subject: x\n\nhello", "nothing that its reader"),
            ("recovery.txt", "Subject: x\n\n\u{7}{{ .Token }}", "control characters"),
            ("email_change.txt", "Subject: x\n\n{{ .Token }}", "nothing that its reader"),
            ("recovery.html", "<script>{{ .Token }}</script>", "script"),
            ("recovery.html", "<a href={{ .ConfirmationURL }}>x</a>", "quotes"),
        ] {
            let refused = Templates::new(&files(&[(file, text)])).expect_err(file);
            assert!(refused.starts_with(file) && refused.contains(what), "{refused}");
        }
    }
}
