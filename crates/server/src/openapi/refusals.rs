//! What an operation may refuse: what its gate, its body and its parameters lead to, and what its description adds.

use std::collections::BTreeMap;

use doorward_core::error::{Code, codes};
use http::Method;
use serde_json::{Map, Value, json};

use super::operation::Facts;
use crate::route::{Gate, Route};

/// Whatever is asked (http::guard, desk).
static ANY: &[&Code] = &[
    codes::BAD_REQUEST,
    codes::BAD_PATH,
    codes::BAD_HEADER,
    codes::TOO_LARGE,
    codes::RATE_LIMITED,
    codes::INTERNAL,
];
/// Where the caller is found out and the decision function asked.
static GUARDED: &[&Code] = &[
    codes::CREDENTIALS_MISSING,
    codes::TOKEN_INVALID,
    codes::TOKEN_EXPIRED,
    codes::TOKEN_REVOKED,
    codes::ALGORITHM_INVALID,
    codes::SESSION_ENDED,
    codes::KEY_INVALID,
    codes::KEY_EXPIRED,
    codes::KEY_REVOKED,
    codes::USER_DISABLED,
    codes::HANDLER_REFUSED,
    codes::HANDLER_INVALID,
    codes::FORBIDDEN,
    codes::SCOPE_MISSING,
    codes::NOT_FOUND,
    codes::TOO_MANY_FAILURES,
    codes::STORE_UNAVAILABLE,
    codes::FEED_STALE,
    codes::HANDLER_AWAY,
    codes::ISSUER_UNAVAILABLE,
    codes::HANDLER_FAILED,
    codes::HANDLER_FILTER,
];
/// Where a page could have sent it.
static CHANGING: &[&Code] = &[codes::CROSS_SITE, codes::UNSUPPORTED_MEDIA];
/// Where a body is read.
static BODY: &[&Code] = &[codes::BAD_JSON, codes::BAD_FIELD, codes::UNSUPPORTED_MEDIA];
/// Where something is named in the path.
static NAMED: &[&Code] = &[codes::NOT_FOUND, codes::NO_ROUTE];
static PARAMETERS: &[&Code] = &[codes::BAD_FIELD];

/// The codes of an operation by status, each in the order of the table of codes.
pub(super) fn refusals(route: &Route, facts: &Facts) -> BTreeMap<u16, Vec<&'static Code>> {
    let guarded = matches!(route.gate, Gate::Guarded(_));
    let lists = [
        Some(ANY),
        Some(facts.refuses),
        guarded.then_some(GUARDED),
        (guarded && route.method != Method::GET).then_some(CHANGING),
        facts.body.map(|_| BODY),
        route.pattern.contains('{').then_some(NAMED),
        (!facts.parameters.is_empty()).then_some(PARAMETERS),
    ];
    let mentioned: Vec<&str> = lists.into_iter().flatten().flatten().map(|code| code.name).collect();
    let mut by_status = BTreeMap::<u16, Vec<&'static Code>>::new();
    for code in codes::ALL.iter().filter(|code| mentioned.contains(&code.name)) {
        by_status.entry(code.kind.status()).or_default().push(code);
    }
    by_status
}

/// What a status means here, in a few words.
pub(super) fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The request has to be mended.",
        401 => "A credential is missing, or is not good any more.",
        403 => "It is not allowed.",
        404 => "It is not there, or not the caller's to see.",
        409 => "The state is not what the request takes for granted.",
        413 => "The request is too large.",
        415 => "The body's media type is not taken here.",
        429 => "Too much at once: wait as long as Retry-After says.",
        502 => "What stands behind Doorward answered badly.",
        503 => "Something that is needed is away: try again.",
        _ => "A fault of this side's, to be reported with the request id.",
    }
}

/// What a status is called among the responses that operations share.
pub(super) fn called(status: &str) -> &'static str {
    match status {
        "400" => "BadRequest",
        "401" => "Unauthenticated",
        "403" => "Forbidden",
        "404" => "NotFound",
        "409" => "Conflict",
        "413" => "TooLarge",
        "415" => "UnsupportedMediaType",
        "429" => "TooMany",
        "502" => "UpstreamFailed",
        "503" => "Unavailable",
        _ => "Failed",
    }
}

/// A refusal as an OpenAPI response.
pub(super) fn response(status: u16, codes: &[&Code]) -> Value {
    let names: Vec<&str> = codes.iter().map(|code| code.name).collect();
    let mut description = meaning(status).to_owned();
    for code in codes {
        description.push_str(&format!("\n- `{}`: {}", code.name, code.message));
    }
    let schema = json!({ "allOf": [
        { "$ref": "#/components/schemas/Problem" },
        { "type": "object", "properties": { "code": { "enum": names }, "status": { "const": status } } },
    ] });
    let mut response = json!({ "description": description, "content": { "application/problem+json": { "schema": schema } } });
    let headers = headers(status);
    if !headers.is_empty() {
        response["headers"] = headers.into();
    }
    response
}

fn headers(status: u16) -> Map<String, Value> {
    let header = |notes: &str, always: bool, kind: &str| json!({ "description": notes, "required": always, "schema": { "type": kind } });
    let mut headers = Map::new();
    match status {
        401 => {
            let notes = "How to authenticate (RFC 9110 §11.6.1).";
            headers.insert("WWW-Authenticate".to_owned(), header(notes, true, "string"));
        }
        429 | 503 => {
            let notes = "Seconds after which a retry may help.";
            headers.insert("Retry-After".to_owned(), header(notes, false, "integer"));
        }
        _ => {}
    }
    headers
}
