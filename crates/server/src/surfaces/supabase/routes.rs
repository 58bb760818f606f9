//! Every route. What is not here of GoTrue does not exist.

use doorward_core::authz::catalogue::{Action, login, service, session, token, user};
use http::Method;

use super::{about, accounts, proofs, tokens};
use crate::native;
use crate::route::Route;

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;

/// All of them.
pub(crate) static ROUTES: &[Route] = &[
    Route::open(GET, "/auth/v1/.well-known/jwks.json", |r| Box::pin(native::published_keys(r))),
    Route::guarded(GET, "/auth/v1/health", &[service::Ping::DEF], |r| Box::pin(about::health(r))),
    Route::guarded(GET, "/auth/v1/settings", &[service::Ping::DEF], |r| Box::pin(about::settings(r))),
    Route::guarded(
        POST,
        "/auth/v1/signup",
        &[user::SignUp::DEF, session::Login::DEF, login::Begin::DEF],
        |r| Box::pin(accounts::sign_up(r)),
    ),
    Route::guarded(POST, "/auth/v1/token", &[session::Login::DEF, token::Refresh::DEF], |r| {
        Box::pin(tokens::grant(r))
    }),
    Route::guarded(GET, "/auth/v1/user", &[user::Read::DEF], |r| Box::pin(accounts::get(r))),
    Route::guarded(PUT, "/auth/v1/user", &[user::Update::DEF, login::Begin::DEF], |r| {
        Box::pin(accounts::change(r))
    }),
    Route::guarded(POST, "/auth/v1/logout", &[session::End::DEF, token::Revoke::DEF], |r| {
        Box::pin(tokens::log_out(r))
    }),
    Route::guarded(GET, "/auth/v1/verify", &[session::Login::DEF], |r| Box::pin(proofs::by_link(r))),
    Route::guarded(POST, "/auth/v1/verify", &[session::Login::DEF], |r| Box::pin(proofs::by_client(r))),
    Route::guarded(POST, "/auth/v1/recover", &[login::Begin::DEF], |r| Box::pin(proofs::recover(r))),
    Route::guarded(POST, "/auth/v1/resend", &[login::Begin::DEF], |r| Box::pin(proofs::resend(r))),
];
