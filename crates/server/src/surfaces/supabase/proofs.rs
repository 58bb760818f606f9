//! Letters, answered: a link is opened, or digits typed.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::session;
use doorward_core::error::{Error, Kind, Result, codes};
use doorward_core::identity::proofs::{Arrived, Purpose, Shown, is_of_a_flow};
use doorward_core::identity::sessions::Granted;
use http::header::LOCATION;
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;

use super::style::{Fault, fault};
use super::{links, views};
use crate::http::respond::{Answer, header_value, json_answer, no_content};
use crate::request::Request;

/// What stands as it is in a fragment (RFC 3986 §2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a proof of this type may be for. Kinds of letters that are never sent are for nothing.
fn purposes(kind: &str) -> Option<&'static [Purpose]> {
    Some(match kind {
        "signup" => &[Purpose::SignUp],
        "recovery" => &[Purpose::Recovery],
        "magiclink" => &[Purpose::MagicLink],
        "invite" => &[Purpose::Invite],
        "email_change" => &[Purpose::EmailChange, Purpose::EmailChangeCurrent],
        // Of these at most one is outstanding.
        "email" => &[Purpose::SignUp, Purpose::MagicLink, Purpose::Recovery, Purpose::Invite],
        "sms" | "phone_change" => &[],
        _ => return None,
    })
}

/// What a redirect says in a query.
const OURS: &[&str] = &["code", "message", "error", "error_code", "error_description"];

/// What the first holder of two is told.
const HALF: &str = "Confirmation link accepted. Please proceed to confirm link sent to the other email";

/// `GET /auth/v1/verify?token&type&redirect_to`: what a letter's link opens. The session goes behind the `#`, which browsers send to
/// nobody; for a flow a code goes into the query, where the program that began it reads it on its server.
pub(super) async fn by_link(request: Request) -> Result<Answer> {
    if request.method == Method::HEAD {
        // Programs that look at links before people do must not use them up.
        return Ok(no_content());
    }
    let links = links::of(&request)?;
    let query = request.query()?;
    let redirects = request.site.mount.email.clone().unwrap_or_default().redirects;
    let place = redirects.choose(links.wanted.as_deref(), &links.own);
    let kind = query.text("type").unwrap_or_default();
    let token = query.text("token").unwrap_or_default();
    let permit = request.permit::<session::Login>(Target::any())?;
    let purposes = purposes(kind).unwrap_or_default();
    // Programs of a flow read the query; others what stands behind the `#`.
    let told = |pairs: &[(&str, &str)]| {
        if is_of_a_flow(token) { with_query(&place, pairs) } else { place.clone() }
    };
    match request.engine.proofs().arrive(permit, purposes, &Shown::Opened(token)).await {
        Ok(Arrived::In(granted)) => Ok(redirect(&place, &fragment(&granted, kind))),
        Ok(Arrived::Code(code)) => Ok(see_other(&with_query(&place, &[("code", code.expose())]))),
        Ok(Arrived::Half) => {
            Ok(redirect(&told(&[("message", HALF)]), &encoded(&[("message", HALF), ("sb", "")])))
        }
        Err(error) if matches!(error.code().kind, Kind::Internal | Kind::Unavailable | Kind::Upstream) => {
            Err(error)
        }
        Err(error) => {
            let fault = fault(&error);
            let message = if fault.code == "otp_expired" {
                "Email link is invalid or has expired"
            } else {
                &fault.message
            };
            let pairs =
                [("error", "access_denied"), ("error_code", fault.code), ("error_description", message)];
            Ok(redirect(&told(&pairs), &encoded(&pairs)))
        }
    }
}

fn fragment(granted: &Granted, kind: &str) -> String {
    let (at, within) = (granted.access.expires_at_s.to_string(), granted.access.expires_in_s.to_string());
    let refresh = granted.refresh.as_ref().map(|token| token.expose().as_str()).unwrap_or_default();
    encoded(&[
        ("access_token", granted.access.token.expose()),
        ("expires_at", &at),
        ("expires_in", &within),
        ("refresh_token", refresh),
        ("sb", ""),
        ("token_type", "bearer"),
        ("type", kind),
    ])
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{name}={}", utf8_percent_encode(value, UNRESERVED));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// The place with these in its query, in the stead of what has their names there: nobody who made the link says it twice.
fn with_query(place: &str, pairs: &[(&str, &str)]) -> String {
    let (place, query) = place.split_once('?').unwrap_or((place, ""));
    let is_ours = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        percent_decode_str(name).decode_utf8().is_ok_and(|name| OURS.contains(&name.as_ref()))
    };
    let kept = query.split('&').filter(|pair| !pair.is_empty() && !is_ours(pair)).map(str::to_owned);
    let all: Vec<_> = kept.chain([encoded(pairs)]).collect();
    format!("{place}?{}", all.join("&"))
}

fn redirect(place: &str, fragment: &str) -> Answer {
    see_other(&format!("{place}#{fragment}"))
}

fn see_other(place: &str) -> Answer {
    let mut answer = no_content();
    *answer.status_mut() = StatusCode::SEE_OTHER;
    let mut location = header_value(place);
    location.set_sensitive(true);
    answer.headers_mut().insert(LOCATION, location);
    answer
}

#[derive(Deserialize)]
struct Proof {
    #[serde(rename = "type")]
    kind: Option<String>,
    email: Option<String>,
    token: Option<String>,
    token_hash: Option<String>,
}

/// `POST /auth/v1/verify`: the digits with their address, or what the link holds alone.
pub(super) async fn by_client(mut request: Request) -> Result<Answer> {
    let body: Proof = request.json().await?;
    let refused = |message| Ok(Fault::new(400, "validation_failed", message).answer(request.about()));
    let Some(purposes) = body.kind.as_deref().and_then(purposes) else {
        return refused("Verify requires a verification type");
    };
    let shown = match (&body.token_hash, &body.email, &body.token) {
        (Some(token), None, None) => Shown::Link(token),
        (None, Some(address), Some(digits)) => Shown::Digits { address, digits },
        (Some(_), _, _) => return refused("Only the token_hash and type should be provided"),
        _ => return refused("Verify requires a token or a token hash, and an email with a token"),
    };
    let permit = request.permit::<session::Login>(Target::any())?;
    Ok(match request.engine.proofs().arrive(permit, purposes, &shown).await? {
        Arrived::In(granted) => views::session(&granted, &request.site.mount),
        Arrived::Code(_) => return Err(Error::new(codes::INTERNAL).operator("a code for who opened nothing")),
        Arrived::Half => json_answer(StatusCode::OK, &json!({ "msg": HALF, "code": "200" })),
    })
}
