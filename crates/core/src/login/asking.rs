//! What is said to providers: the exchange of a code, and questions with the token that it gave.

use doorward_protocols::json::{self, Limits};
use serde_json::Value;

use super::attempt::Attempt;
use super::methods::{Answered, Client, ClientAuth};
use crate::error::{Error, Result, codes};
use crate::forms::{basic, pairs};
use crate::ports::{Ask, Outbound, OutboundError};
use crate::secret::SecretText;

/// Longest token that a provider may give.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// The provider cannot be asked; for the log, why.
pub(super) fn away(why: impl Into<String>) -> Error {
    Error::new(codes::PROVIDER_UNAVAILABLE).operator(why)
}

/// The provider does not say who it is; for the log, why.
pub(super) fn refused(why: impl Into<String>) -> Error {
    Error::new(codes::PROVIDER_REFUSED).operator(why)
}

fn not_asked(error: OutboundError) -> Error {
    away(error.to_string())
}

/// A URL with more in its query.
pub(super) fn with_query(url: &str, more: &[(&str, &str)]) -> String {
    let joint = match url.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    format!("{url}{joint}{}", pairs(more))
}

/// What the browser is sent to a provider with (RFC 6749 §4.1.1, RFC 7636 §4.3).
pub(super) fn authorize_url(url: &str, client: &Client, attempt: &Attempt, more: &[(&str, &str)]) -> String {
    let scope = client.scopes.join(" ");
    let challenge = super::identified::pkce_challenge(&attempt.verifier);
    let mut query = vec![
        ("response_type", "code"),
        ("client_id", client.id.as_str()),
        ("redirect_uri", attempt.redirect_uri.as_str()),
        ("state", attempt.state.as_str()),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    if !scope.is_empty() {
        query.push(("scope", scope.as_str()));
    }
    query.extend_from_slice(more);
    with_query(url, &query)
}

/// The code that a browser brought, unless it brought a refusal, or an answer of somebody else's (RFC 9207 §2.4).
pub(super) fn code<'a>(answered: &'a Answered, issuer: Option<&str>, must_name: bool) -> Result<&'a str> {
    match (answered.iss.as_deref(), issuer) {
        (Some(said), Some(issuer)) if said != issuer => {
            return Err(refused("the answer is of another issuer"));
        }
        (None, Some(_)) if must_name => {
            return Err(refused("the answer names no issuer, though this one always does"));
        }
        _ => {}
    }
    if let Some(error) = &answered.error {
        // RFC 6749 §4.1.2.1: visible ASCII; whatever else stands there is a stranger's.
        let shown: String = error.chars().filter(char::is_ascii_graphic).take(64).collect();
        return Err(refused(format!("it answered {shown}")));
    }
    answered.code.as_deref().filter(|code| !code.is_empty()).ok_or_else(|| refused("it gave no code"))
}

/// What a code was exchanged for.
pub(super) struct Exchanged {
    pub(super) access_token: Option<SecretText>,
    pub(super) id_token: Option<String>,
    /// How long the provider answers for it, in seconds.
    pub(super) life_s: i64,
}

/// How long a provider answers for somebody that does not say (RFC 6749 §5.1 leaves it out; Hypha's document counts this).
pub(super) const UNSAID_LIFE_S: i64 = 3600;

/// `expires_in`, as a number or, as some have it, as the text of one.
fn life_s(said: &Value) -> i64 {
    let given = said.get("expires_in");
    let seconds = given.and_then(|given| given.as_f64().or_else(|| given.as_str()?.trim().parse().ok()));
    // What is no time at all says nothing.
    seconds.filter(|seconds| (1.0..=1e12).contains(seconds)).map_or(UNSAID_LIFE_S, |seconds| seconds as i64)
}

/// Exchanges a code (RFC 6749 §4.1.3).
pub(super) async fn exchange(
    outbound: &dyn Outbound,
    token_url: &str,
    client: &Client,
    attempt: &Attempt,
    code: &str,
) -> Result<Exchanged> {
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", attempt.redirect_uri.as_str()),
        ("code_verifier", attempt.verifier.as_str()),
    ];
    let mut headers = Vec::new();
    match (&client.secret, client.auth) {
        (Some(secret), ClientAuth::Basic) => {
            headers.push(("authorization", basic(&client.id, secret.expose())));
        }
        (Some(secret), ClientAuth::Body) => {
            form.push(("client_id", client.id.as_str()));
            form.push(("client_secret", secret.expose().as_str()));
        }
        (None, _) => form.push(("client_id", client.id.as_str())),
    }
    let body = pairs(&form).into_bytes();
    let ask =
        Ask { url: token_url.to_owned(), body: Some(("application/x-www-form-urlencoded", body)), headers };
    let reply = outbound.send(ask).await.map_err(not_asked)?;
    if reply.status >= 500 || reply.status == 429 {
        return Err(away(format!("the exchange of the code was answered {}", reply.status)));
    }
    let said = json::parse(&reply.body, Limits::STRANGER).map_err(|error| {
        away(format!("the exchange of the code was answered {} with no JSON: {error}", reply.status))
    })?;
    // Some providers say 200 and mean a refusal.
    if let Some(error) = said.get("error") {
        let shown: String =
            error.as_str().unwrap_or("?").chars().filter(char::is_ascii_graphic).take(64).collect();
        return Err(refused(format!("it does not take the code: {shown}")));
    }
    if !reply.is_success() {
        return Err(refused(format!("the exchange of the code was answered {}", reply.status)));
    }
    let text = |name: &str| {
        let text = said.get(name).and_then(Value::as_str);
        text.filter(|text| {
            !text.is_empty() && text.len() <= MAX_TOKEN_BYTES && text.bytes().all(|b| b.is_ascii_graphic())
        })
    };
    let bearer =
        said.get("token_type").and_then(Value::as_str).is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    let access_token = text("access_token").filter(|_| bearer).map(SecretText::from);
    let id_token = text("id_token").map(str::to_owned);
    Ok(Exchanged { access_token, id_token, life_s: life_s(&said) })
}

/// What a URL of the provider says of whoever the token is for.
pub(super) async fn ask_with(outbound: &dyn Outbound, url: &str, token: &SecretText) -> Result<Value> {
    let headers = vec![("authorization", format!("Bearer {}", token.expose()))];
    let reply = outbound.send(Ask { url: url.to_owned(), body: None, headers }).await.map_err(not_asked)?;
    match reply.status {
        200 => json::parse(&reply.body, Limits::STRANGER)
            .map_err(|error| away(format!("who it is was answered with no JSON: {error}"))),
        status @ (401 | 403) => Err(refused(format!("who it is was answered {status}"))),
        status => Err(away(format!("who it is was answered {status}"))),
    }
}

/// A text or a whole number, as text.
pub(super) fn plain(value: &Value, name: &str) -> Option<String> {
    match value.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// Whether a member says yes: some providers say it in a text.
pub(super) fn says_yes(value: &Value, name: &str) -> bool {
    matches!(value.get(name), Some(Value::Bool(true)))
        || value.get(name).and_then(Value::as_str) == Some("true")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_query_joins_what_is_there_and_every_value_is_escaped() {
        let more = [("a", "x y&z=1#?"), ("b", "é")];
        let query = "a=x%20y%26z%3D1%23%3F&b=%C3%A9";
        assert_eq!(with_query("https://a/b", &more), format!("https://a/b?{query}"));
        assert_eq!(with_query("https://a/b?", &more), format!("https://a/b?{query}"));
        assert_eq!(with_query("https://a/b?p=1", &more), format!("https://a/b?p=1&{query}"));
    }

    #[test]
    fn a_provider_that_does_not_say_for_how_long_answers_for_an_hour() {
        for (said, expected) in [
            (json!({}), 3600),
            (json!({"expires_in": 600}), 600),
            (json!({"expires_in": "600"}), 600),
            (json!({"expires_in": 599.9}), 599),
            (json!({"expires_in": null}), 3600),
            (json!({"expires_in": "soon"}), 3600),
            (json!({"expires_in": 0}), 3600),
            (json!({"expires_in": -5}), 3600),
            (json!({"expires_in": 1e300}), 3600),
            (json!({"expires_in": [60]}), 3600),
        ] {
            assert_eq!(life_s(&said), expected, "{said}");
        }
    }

    #[test]
    fn an_answer_of_somebody_else_brings_no_code() {
        let said = |code: &str, error: Option<&str>, iss: Option<&str>| Answered {
            code: Some(code.into()),
            error: error.map(str::to_owned),
            iss: iss.map(str::to_owned),
        };
        let us = Some("https://idp.example");
        assert!(code(&said("c", None, None), us, false).is_ok_and(|code| code == "c"));
        assert!(code(&said("c", None, us), us, true).is_ok());
        for bad in [
            code(&said("c", None, Some("https://evil.example")), us, false),
            code(&said("c", None, None), us, true),
            code(&said("c", Some("access_denied"), us), us, true),
            code(&said("", None, us), us, true),
        ] {
            assert!(bad.is_err_and(|error| error.is(codes::PROVIDER_REFUSED)));
        }
        let hostile = said("c", Some("a\r\n\u{1b}[31mb"), None);
        let error = code(&hostile, us, false).expect_err("refused");
        assert_eq!(error.operator_detail(), Some("it answered a[31mb"));
    }
}
