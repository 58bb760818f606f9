//! Reading what clients send, with the framework's own 422: every flaw with its place.

use doorward_core::error::{Result, codes};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::http::extract::{Media, media};
use crate::http::pairs::Pairs;
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// What is wrong at one place.
#[derive(Serialize)]
pub(super) struct Flaw<'a> {
    loc: Vec<&'a str>,
    msg: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    /// More about it, where FastAPI has such things: `{"reason": …}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<Value>,
}

impl<'a> Flaw<'a> {
    pub(super) fn new(part: &'a str, name: &'a str, msg: &'a str, kind: &'a str) -> Self {
        Self { loc: vec![part, name], msg, kind, ctx: None }
    }

    pub(super) fn whole(part: &'a str, msg: &'a str, kind: &'a str) -> Self {
        Self { loc: vec![part], msg, kind, ctx: None }
    }

    /// Says which of its kind's few reasons it is.
    pub(super) fn because(self, reason: Option<&str>) -> Self {
        Self { ctx: reason.map(|reason| json!({ "reason": reason })), ..self }
    }

    fn missing(part: &'a str, name: &'a str) -> Self {
        Self::new(part, name, "Field required", "missing")
    }
}

/// 422 with what is wrong.
pub(super) fn unprocessable(flaws: &[Flaw<'_>]) -> Answer {
    json_answer(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "detail": flaws }))
}

/// What was read, or the answer that says why not.
pub(super) type Read<T> = std::result::Result<T, Box<Answer>>;

/// These members of an object, which all have to be texts.
fn texts<const N: usize>(members: &Map<String, Value>, names: [&'static str; N]) -> Read<[String; N]> {
    let flaws: Vec<Flaw<'_>> = names
        .iter()
        .filter_map(|name| match members.get(*name) {
            Some(Value::String(_)) => None,
            None => Some(Flaw::missing("body", name)),
            Some(_) => Some(Flaw::new("body", name, "Input should be a valid string", "string_type")),
        })
        .collect();
    if !flaws.is_empty() {
        return Err(Box::new(unprocessable(&flaws)));
    }
    Ok(names.map(|name| members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()))
}

/// The members of a JSON body.
///
/// # Errors
/// As [`Request::json`].
pub(super) async fn json<const N: usize>(
    request: &mut Request,
    names: [&'static str; N],
) -> Result<Read<[String; N]>> {
    let members: Map<String, Value> = request.json().await?;
    Ok(texts(&members, names))
}

/// A password form (RFC 6749 §4.3.2).
pub(super) struct LoginForm {
    pub(super) username: String,
    pub(super) password: String,
    pub(super) scope: Option<String>,
    pub(super) client: Option<String>,
}

/// Reads a password form. A body that is no form holds none of its fields, which is what is answered.
///
/// # Errors
/// As [`Pairs::form`].
pub(super) async fn login(request: &mut Request) -> Result<Read<LoginForm>> {
    let form = match media(&request.headers) {
        Ok(Media::Form) => Pairs::form(&request.bytes().await?)?,
        Ok(Media::Json | Media::Unnamed) => Pairs::default(),
        Err(error) if error.is(codes::UNSUPPORTED_MEDIA) => Pairs::default(),
        Err(error) => return Err(error),
    };
    let given = |name: &str| form.text(name).map(str::to_owned);
    let optional = |name: &str| given(name).filter(|text| !text.is_empty());
    if optional("grant_type").is_some_and(|grant| grant != "password") {
        let flaw = Flaw::new(
            "body",
            "grant_type",
            "String should match pattern '^password$'",
            "string_pattern_mismatch",
        );
        return Ok(Err(Box::new(unprocessable(&[flaw]))));
    }
    let (scope, client) = (optional("scope"), optional("client_id"));
    Ok(match (given("username"), given("password")) {
        (Some(username), Some(password)) => Ok(LoginForm { username, password, scope, client }),
        (username, password) => {
            let absent = [("username", username.is_none()), ("password", password.is_none())];
            let flaws: Vec<Flaw<'_>> = absent
                .iter()
                .filter(|(_, absent)| *absent)
                .map(|(name, _)| Flaw::missing("body", name))
                .collect();
            Err(Box::new(unprocessable(&flaws)))
        }
    })
}

/// The query's `message`.
///
/// # Errors
/// As [`Request::query`].
pub(super) fn message(request: &Request) -> Result<Read<String>> {
    Ok(match request.query()?.text("message") {
        Some(text) => Ok(text.to_owned()),
        None => Err(Box::new(unprocessable(&[Flaw::missing("query", "message")]))),
    })
}
