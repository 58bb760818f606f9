//! Doorward's own API under `/v1`: one resource a file.

mod account;
mod api_keys;
mod audit;
mod browser;
mod forward_auth;
mod identities;
mod keys;
mod listing;
mod login;
mod mails;
mod oauth;
mod runs;
mod sessions;
mod threads;
mod tokens;
mod users;
mod views;

pub use forward_auth::{ForwardAuth, ForwardedNames};
pub(crate) use keys::published as published_keys;
pub(crate) use sessions::end_own;

use doorward_core::authz::catalogue::{
    Action, ActionDef, api_key, area, audit as log, identity, login as log_in, message, run, session,
    signing_key, thread, token, user,
};
use http::Method;

use crate::route::Route;

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

const AREA: &[&ActionDef] = &[area::Read::DEF, area::Write::DEF];

/// Envoy asks by the method of the request that it holds, and puts its path behind.
const fn envoy(method: Method) -> Route {
    Route::guarded(method, "/v1/forward-auth/envoy/{path*}", AREA, |r| Box::pin(forward_auth::answer(r)))
        .asking_for_another()
}

/// Every route, by resource.
pub(crate) static ROUTES: &[Route] = &[
    Route::open(GET, "/.well-known/jwks.json", |r| Box::pin(keys::published(r))),
    Route::open(GET, "/_mail", |r| Box::pin(mails::list(r))),
    Route::guarded(POST, "/v1/setup", &[user::SignUp::DEF], |r| Box::pin(account::setup(r))),
    Route::guarded(POST, "/v1/users", &[user::SignUp::DEF, user::Create::DEF], |r| {
        Box::pin(users::create(r))
    }),
    Route::guarded(GET, "/v1/users", &[user::List::DEF], |r| Box::pin(users::list(r))),
    Route::guarded(GET, "/v1/users/{id}", &[user::Read::DEF], |r| Box::pin(users::get(r))),
    Route::guarded(
        PATCH,
        "/v1/users/{id}",
        &[user::Read::DEF, user::Update::DEF, user::Administer::DEF],
        |r| Box::pin(users::change(r)),
    ),
    Route::guarded(DELETE, "/v1/users/{id}", &[user::Delete::DEF], |r| Box::pin(users::delete(r))),
    Route::guarded(GET, "/v1/me", &[user::Read::DEF], |r| Box::pin(account::get(r))),
    Route::guarded(PATCH, "/v1/me", &[user::Read::DEF, user::Update::DEF], |r| Box::pin(account::change(r))),
    Route::guarded(DELETE, "/v1/me", &[user::Delete::DEF], |r| Box::pin(account::delete(r))),
    Route::guarded(POST, "/v1/token", &[session::Login::DEF, token::Refresh::DEF], |r| {
        Box::pin(tokens::grant(r))
    }),
    Route::guarded(POST, "/v1/session", &[session::Login::DEF], |r| Box::pin(browser::begin(r))),
    Route::guarded(GET, "/v1/session", &[session::Read::DEF], |r| Box::pin(browser::get(r))),
    Route::guarded(DELETE, "/v1/session", &[session::End::DEF, token::Revoke::DEF], |r| {
        Box::pin(browser::end(r))
    }),
    Route::open(GET, "/v1/login", |r| Box::pin(login::list(r))),
    Route::guarded(GET, "/v1/login/{provider}", &[log_in::Begin::DEF], |r| Box::pin(login::begin(r))),
    Route::guarded(
        GET,
        "/v1/login/{provider}/callback",
        &[session::Login::DEF, user::SignUp::DEF, identity::Link::DEF],
        |r| Box::pin(login::callback(r)),
    ),
    Route::guarded(GET, "/v1/me/identities", &[identity::Read::DEF], |r| Box::pin(identities::list(r))),
    Route::guarded(POST, "/v1/me/identities", &[identity::Link::DEF], |r| Box::pin(identities::begin(r))),
    Route::guarded(DELETE, "/v1/me/identities/{id}", &[identity::Unlink::DEF], |r| {
        Box::pin(identities::delete(r))
    }),
    Route::guarded(GET, "/v1/users/{id}/identities", &[identity::Read::DEF], |r| {
        Box::pin(identities::list_of(r))
    }),
    Route::guarded(DELETE, "/v1/users/{id}/identities/{identity}", &[identity::Unlink::DEF], |r| {
        Box::pin(identities::delete_of(r))
    }),
    Route::guarded(POST, "/v1/introspect", &[token::Introspect::DEF], |r| Box::pin(oauth::introspect(r))),
    Route::guarded(POST, "/v1/revoke", &[token::Surrender::DEF], |r| Box::pin(oauth::revoke(r))),
    Route::guarded(POST, "/v1/logout", &[session::End::DEF, token::Revoke::DEF], |r| {
        Box::pin(sessions::logout(r))
    }),
    Route::guarded(GET, "/v1/sessions", &[session::Read::DEF], |r| Box::pin(sessions::list(r))),
    Route::guarded(DELETE, "/v1/sessions", &[session::End::DEF], |r| Box::pin(sessions::end_all(r))),
    Route::guarded(DELETE, "/v1/sessions/{id}", &[session::End::DEF], |r| Box::pin(sessions::end(r))),
    Route::guarded(POST, "/v1/tokens", &[token::Issue::DEF], |r| Box::pin(tokens::issue(r))),
    Route::guarded(POST, "/v1/tokens/revoke", &[token::Revoke::DEF, token::RevokeAny::DEF], |r| {
        Box::pin(tokens::revoke(r))
    }),
    Route::guarded(POST, "/v1/api-keys", &[api_key::Create::DEF, api_key::CreateAdmin::DEF], |r| {
        Box::pin(api_keys::create(r))
    }),
    Route::guarded(GET, "/v1/api-keys", &[api_key::Read::DEF], |r| Box::pin(api_keys::list(r))),
    Route::guarded(DELETE, "/v1/api-keys/{id}", &[api_key::Revoke::DEF], |r| Box::pin(api_keys::revoke(r))),
    Route::guarded(GET, "/v1/signing-keys", &[signing_key::Read::DEF], |r| Box::pin(keys::list(r))),
    Route::guarded(POST, "/v1/signing-keys", &[signing_key::Rotate::DEF], |r| Box::pin(keys::rotate(r))),
    Route::guarded(DELETE, "/v1/signing-keys/{id}", &[signing_key::Retire::DEF], |r| {
        Box::pin(keys::retire(r))
    }),
    Route::guarded(GET, "/v1/forward-auth", AREA, |r| Box::pin(forward_auth::answer(r))),
    envoy(GET),
    envoy(POST),
    envoy(Method::PUT),
    envoy(PATCH),
    envoy(DELETE),
    envoy(Method::OPTIONS),
    Route::guarded(GET, "/v1/audit", &[log::Read::DEF], |r| Box::pin(audit::list(r))),
    Route::guarded(POST, "/v1/threads", &[thread::Create::DEF], |r| Box::pin(threads::create(r))),
    Route::guarded(GET, "/v1/threads", &[thread::List::DEF], |r| Box::pin(threads::list(r))),
    Route::guarded(GET, "/v1/threads/{id}", &[thread::Read::DEF], |r| Box::pin(threads::get(r))),
    Route::guarded(PATCH, "/v1/threads/{id}", &[thread::Update::DEF], |r| Box::pin(threads::change(r))),
    Route::guarded(DELETE, "/v1/threads/{id}", &[thread::Delete::DEF], |r| Box::pin(threads::delete(r))),
    Route::guarded(POST, "/v1/threads/{id}/messages", &[message::Create::DEF], |r| {
        Box::pin(threads::add_message(r))
    }),
    Route::guarded(GET, "/v1/threads/{id}/messages", &[message::Read::DEF], |r| {
        Box::pin(threads::messages(r))
    }),
    Route::guarded(GET, "/v1/threads/{id}/messages/{message}", &[message::Read::DEF], |r| {
        Box::pin(threads::message(r))
    }),
    Route::guarded(DELETE, "/v1/threads/{id}/messages/{message}", &[message::Delete::DEF], |r| {
        Box::pin(threads::delete_message(r))
    }),
    Route::guarded(POST, "/v1/threads/{id}/runs", &[run::Create::DEF], |r| Box::pin(runs::start(r))),
    Route::guarded(GET, "/v1/threads/{id}/runs", &[run::Read::DEF], |r| Box::pin(runs::list(r))),
    Route::guarded(GET, "/v1/threads/{id}/runs/{run}", &[run::Read::DEF], |r| Box::pin(runs::get(r))),
];
