//! The root of a site that has a tenant: where the tenant sends everybody back to, exactly, wherever the mount itself stands.
//!
//! Nothing is decided here. The browser's own ticket says which page goes on; without one nobody goes anywhere.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{Action as _, session};
use doorward_core::error::{Error, Result, codes};
use http::header::LOCATION;
use http::{Method, Response, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::journey::refused;
use crate::http::body::Body;
use crate::http::browser::ticket;
use crate::http::pairs::Pairs;
use crate::http::respond::{Answer, header_value};
use crate::request::Request;
use crate::route::Route;

/// The one route.
pub(crate) static ROUTES: &[Route] =
    &[Route::guarded(Method::GET, "/", &[session::Login::DEF], |r| Box::pin(go_on(r)))
        .reading_cookies_itself()];

/// What a tenant answers with (RFC 6749 §4.1.2, RFC 9207 §2).
const ANSWER: [&str; 5] = ["code", "state", "iss", "error", "error_description"];

/// `GET /?code=…&state=…`: to the page of the mount that the attempt is of.
async fn go_on(request: Request) -> Result<Answer> {
    let query = request.query()?;
    if ANSWER.iter().all(|name| query.text(name).is_none()) {
        return Err(Error::new(codes::NO_ROUTE));
    }
    let state = query.text("state");
    let kept = state.and_then(|state| ticket(&request.headers, state));
    match request.engine.logins().page_of(kept, state) {
        Ok(page) => {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::SEE_OTHER;
            answer.headers_mut().insert(LOCATION, header_value(&format!("{page}?{}", answered(&query))));
            Ok(answer)
        }
        Err(error) => {
            let error = request.permit::<session::Login>(Target::any())?.close::<Answer>(Err(error));
            error.or_else(|error| refused(&request, error, None))
        }
    }
}

/// What it answered, and nothing else that a stranger may have added.
fn answered(query: &Pairs) -> String {
    let said = ANSWER.iter().filter_map(|name| Some((name, query.text(name)?)));
    let said = said.map(|(name, text)| format!("{name}={}", utf8_percent_encode(text, NON_ALPHANUMERIC)));
    said.collect::<Vec<_>>().join("&")
}
