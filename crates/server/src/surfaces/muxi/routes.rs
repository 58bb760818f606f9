//! Every route.

use doorward_core::authz::catalogue::{Action, dashboard, feature, run, session, thread, token, user};
use http::Method;

use super::{accounts, chat, features, pages};
use crate::route::Route;

const GET: Method = Method::GET;
const POST: Method = Method::POST;

/// With the embedded agent server.
pub(crate) static ROUTES: &[Route] = &[
    Route::open(GET, "/docs", |r| Box::pin(pages::docs(r))),
    Route::open(GET, "/redoc", |r| Box::pin(pages::docs(r))),
    Route::open(GET, "/openapi.json", |r| Box::pin(pages::openapi(r))),
    Route::guarded(POST, "/auth/register", &[user::SignUp::DEF, session::Login::DEF], |r| {
        Box::pin(accounts::register(r))
    }),
    Route::guarded(POST, "/auth/token", &[session::Login::DEF], |r| Box::pin(accounts::token_pair(r))),
    Route::guarded(POST, "/token", &[session::Login::DEF], |r| Box::pin(accounts::token_alone(r))),
    Route::guarded(POST, "/auth/refresh", &[token::Refresh::DEF], |r| Box::pin(accounts::refresh(r))),
    Route::guarded(POST, "/auth/logout", &[session::End::DEF, token::Revoke::DEF], |r| {
        Box::pin(accounts::logout(r))
    }),
    Route::guarded(GET, "/users/me", &[user::Read::DEF], |r| Box::pin(accounts::me(r))),
    Route::guarded(POST, "/chat", &[run::Create::DEF, thread::Create::DEF, thread::Delete::DEF], |r| {
        Box::pin(chat::by_user(r))
    }),
    Route::guarded(
        POST,
        "/chat/api-key",
        &[run::Create::DEF, thread::Create::DEF, thread::Delete::DEF],
        |r| Box::pin(chat::by_key(r)),
    ),
    Route::guarded(POST, "/chat/jwt", &[run::Create::DEF, thread::Create::DEF, thread::Delete::DEF], |r| {
        Box::pin(chat::by_token(r))
    }),
    Route::guarded(GET, "/features/basic", &[feature::Basic::DEF], |r| Box::pin(features::basic(r))),
    Route::guarded(GET, "/features/premium", &[feature::Premium::DEF], |r| Box::pin(features::premium(r))),
    Route::guarded(GET, "/admin/dashboard", &[dashboard::Read::DEF], |r| Box::pin(features::dashboard(r))),
];
