//! Doorward's own API under `/v1`: one resource a file.

mod account;
mod api_keys;
mod audit;
mod browser;
mod conversation;
mod description;
mod forward_auth;
mod identities;
mod keys;
mod listing;
mod login;
mod mails;
mod oauth;
mod runs;
mod sessions;
mod tags;
mod threads;
mod tokens;
mod users;
mod views;

pub(crate) use description::Shown as Description;
pub use forward_auth::{ForwardAuth, ForwardedNames};
pub(crate) use keys::published as published_keys;
pub(crate) use sessions::end_own;

use doorward_core::authz::catalogue::{
    Action, ActionDef, api_key, area, audit as log, identity, login as log_in, message, run, session,
    signing_key, thread, token, user,
};
use http::Method;

use crate::openapi::{Api, Facts};
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

/// Each row is a route and what is said of it, so there is no route of which nothing is said.
macro_rules! operations {
    ($(($route:expr, $described:path)),* $(,)?) => {
        /// Every route, by resource.
        pub(crate) static ROUTES: &[Route] = &[$($route),*];
        /// What is said of them, in the same order.
        static FACTS: &[&Facts] = &[$($described.facts()),*];
    };
}

operations![
    (Route::open(GET, "/v1/openapi.json", |r| Box::pin(description::document(r))), description::DOCUMENT),
    (Route::open(GET, "/v1/docs", |r| Box::pin(description::page(r))), description::PAGE),
    (Route::open(GET, "/.well-known/jwks.json", |r| Box::pin(keys::published(r))), keys::PUBLISHED),
    (Route::open(GET, "/_mail", |r| Box::pin(mails::list(r))), mails::LIST),
    (
        Route::guarded(POST, "/v1/setup", &[user::SignUp::DEF], |r| Box::pin(account::setup(r))),
        account::SETUP
    ),
    (
        Route::guarded(POST, "/v1/users", &[user::SignUp::DEF, user::Create::DEF], |r| {
            Box::pin(users::create(r))
        }),
        users::CREATE
    ),
    (Route::guarded(GET, "/v1/users", &[user::List::DEF], |r| Box::pin(users::list(r))), users::LIST),
    (Route::guarded(GET, "/v1/users/{id}", &[user::Read::DEF], |r| Box::pin(users::get(r))), users::GET),
    (
        Route::guarded(
            PATCH,
            "/v1/users/{id}",
            &[user::Read::DEF, user::Update::DEF, user::Administer::DEF],
            |r| Box::pin(users::change(r)),
        ),
        users::CHANGE
    ),
    (
        Route::guarded(DELETE, "/v1/users/{id}", &[user::Delete::DEF], |r| Box::pin(users::delete(r))),
        users::DELETE
    ),
    (Route::guarded(GET, "/v1/me", &[user::Read::DEF], |r| Box::pin(account::get(r))), account::GET),
    (
        Route::guarded(PATCH, "/v1/me", &[user::Read::DEF, user::Update::DEF], |r| Box::pin(
            account::change(r)
        )),
        account::CHANGE
    ),
    (
        Route::guarded(DELETE, "/v1/me", &[user::Delete::DEF], |r| Box::pin(account::delete(r))),
        account::DELETE
    ),
    (
        Route::guarded(POST, "/v1/token", &[session::Login::DEF, token::Refresh::DEF], |r| {
            Box::pin(tokens::grant(r))
        }),
        tokens::GRANT
    ),
    (
        Route::guarded(POST, "/v1/session", &[session::Login::DEF], |r| Box::pin(browser::begin(r))),
        browser::BEGIN
    ),
    (Route::guarded(GET, "/v1/session", &[session::Read::DEF], |r| Box::pin(browser::get(r))), browser::GET),
    (
        Route::guarded(DELETE, "/v1/session", &[session::End::DEF, token::Revoke::DEF], |r| {
            Box::pin(browser::end(r))
        }),
        browser::END
    ),
    (Route::open(GET, "/v1/login", |r| Box::pin(login::list(r))), login::LIST),
    (
        Route::guarded(GET, "/v1/login/{provider}", &[log_in::Begin::DEF], |r| Box::pin(login::begin(r))),
        login::BEGIN
    ),
    (
        Route::guarded(
            GET,
            "/v1/login/{provider}/callback",
            &[session::Login::DEF, user::SignUp::DEF, identity::Link::DEF],
            |r| Box::pin(login::callback(r)),
        ),
        login::CALLBACK
    ),
    (
        Route::guarded(GET, "/v1/me/identities", &[identity::Read::DEF], |r| Box::pin(identities::list(r))),
        identities::LIST
    ),
    (
        Route::guarded(POST, "/v1/me/identities", &[identity::Link::DEF], |r| Box::pin(identities::begin(r))),
        identities::BEGIN
    ),
    (
        Route::guarded(DELETE, "/v1/me/identities/{id}", &[identity::Unlink::DEF], |r| {
            Box::pin(identities::delete(r))
        }),
        identities::DELETE
    ),
    (
        Route::guarded(GET, "/v1/users/{id}/identities", &[identity::Read::DEF], |r| {
            Box::pin(identities::list_of(r))
        }),
        identities::LIST_OF
    ),
    (
        Route::guarded(DELETE, "/v1/users/{id}/identities/{identity}", &[identity::Unlink::DEF], |r| {
            Box::pin(identities::delete_of(r))
        }),
        identities::DELETE_OF
    ),
    (
        Route::guarded(POST, "/v1/introspect", &[token::Introspect::DEF], |r| Box::pin(oauth::introspect(r))),
        oauth::INTROSPECT
    ),
    (
        Route::guarded(POST, "/v1/revoke", &[token::Surrender::DEF], |r| Box::pin(oauth::revoke(r))),
        oauth::REVOKE
    ),
    (
        Route::guarded(POST, "/v1/logout", &[session::End::DEF, token::Revoke::DEF], |r| {
            Box::pin(sessions::logout(r))
        }),
        sessions::LOGOUT
    ),
    (
        Route::guarded(GET, "/v1/sessions", &[session::Read::DEF], |r| Box::pin(sessions::list(r))),
        sessions::LIST
    ),
    (
        Route::guarded(DELETE, "/v1/sessions", &[session::End::DEF], |r| Box::pin(sessions::end_all(r))),
        sessions::END_ALL
    ),
    (
        Route::guarded(DELETE, "/v1/sessions/{id}", &[session::End::DEF], |r| Box::pin(sessions::end(r))),
        sessions::END
    ),
    (Route::guarded(POST, "/v1/tokens", &[token::Issue::DEF], |r| Box::pin(tokens::issue(r))), tokens::ISSUE),
    (
        Route::guarded(POST, "/v1/tokens/revoke", &[token::Revoke::DEF, token::RevokeAny::DEF], |r| {
            Box::pin(tokens::revoke(r))
        }),
        tokens::REVOKE
    ),
    (
        Route::guarded(POST, "/v1/api-keys", &[api_key::Create::DEF, api_key::CreateAdmin::DEF], |r| {
            Box::pin(api_keys::create(r))
        }),
        api_keys::CREATE
    ),
    (
        Route::guarded(GET, "/v1/api-keys", &[api_key::Read::DEF], |r| Box::pin(api_keys::list(r))),
        api_keys::LIST
    ),
    (
        Route::guarded(DELETE, "/v1/api-keys/{id}", &[api_key::Revoke::DEF], |r| Box::pin(api_keys::revoke(
            r
        ))),
        api_keys::REVOKE
    ),
    (
        Route::guarded(GET, "/v1/signing-keys", &[signing_key::Read::DEF], |r| Box::pin(keys::list(r))),
        keys::LIST
    ),
    (
        Route::guarded(POST, "/v1/signing-keys", &[signing_key::Rotate::DEF], |r| Box::pin(keys::rotate(r))),
        keys::ROTATE
    ),
    (
        Route::guarded(DELETE, "/v1/signing-keys/{id}", &[signing_key::Retire::DEF], |r| {
            Box::pin(keys::retire(r))
        }),
        keys::RETIRE
    ),
    (
        Route::guarded(GET, "/v1/forward-auth", AREA, |r| Box::pin(forward_auth::answer(r))),
        forward_auth::ANSWER
    ),
    (envoy(GET), forward_auth::ENVOY_GET),
    (envoy(POST), forward_auth::ENVOY_POST),
    (envoy(Method::PUT), forward_auth::ENVOY_PUT),
    (envoy(PATCH), forward_auth::ENVOY_PATCH),
    (envoy(DELETE), forward_auth::ENVOY_DELETE),
    (envoy(Method::OPTIONS), forward_auth::ENVOY_OPTIONS),
    (Route::guarded(GET, "/v1/audit", &[log::Read::DEF], |r| Box::pin(audit::list(r))), audit::LIST),
    (
        Route::guarded(POST, "/v1/threads", &[thread::Create::DEF], |r| Box::pin(threads::create(r))),
        threads::CREATE
    ),
    (Route::guarded(GET, "/v1/threads", &[thread::List::DEF], |r| Box::pin(threads::list(r))), threads::LIST),
    (
        Route::guarded(GET, "/v1/threads/{id}", &[thread::Read::DEF], |r| Box::pin(threads::get(r))),
        threads::GET
    ),
    (
        Route::guarded(PATCH, "/v1/threads/{id}", &[thread::Update::DEF], |r| Box::pin(threads::change(r))),
        threads::CHANGE
    ),
    (
        Route::guarded(DELETE, "/v1/threads/{id}", &[thread::Delete::DEF], |r| Box::pin(threads::delete(r))),
        threads::DELETE
    ),
    (
        Route::guarded(POST, "/v1/threads/{id}/messages", &[message::Create::DEF], |r| {
            Box::pin(threads::add_message(r))
        }),
        threads::SAY
    ),
    (
        Route::guarded(GET, "/v1/threads/{id}/messages", &[message::Read::DEF], |r| {
            Box::pin(threads::messages(r))
        }),
        threads::MESSAGES
    ),
    (
        Route::guarded(GET, "/v1/threads/{id}/messages/{message}", &[message::Read::DEF], |r| {
            Box::pin(threads::message(r))
        }),
        threads::MESSAGE
    ),
    (
        Route::guarded(DELETE, "/v1/threads/{id}/messages/{message}", &[message::Delete::DEF], |r| {
            Box::pin(threads::delete_message(r))
        }),
        threads::DELETE_MESSAGE
    ),
    (
        Route::guarded(POST, "/v1/threads/{id}/runs", &[run::Create::DEF], |r| Box::pin(runs::start(r))),
        runs::START
    ),
    (
        Route::guarded(GET, "/v1/threads/{id}/runs", &[run::Read::DEF], |r| Box::pin(runs::list(r))),
        runs::LIST
    ),
    (
        Route::guarded(GET, "/v1/threads/{id}/runs/{run}", &[run::Read::DEF], |r| Box::pin(runs::get(r))),
        runs::GET
    ),
];

/// Every route with what is said of it, in groups.
pub(crate) fn api() -> Api {
    Api { operations: ROUTES.iter().zip(FACTS.iter().copied()).collect(), tags: tags::ALL }
}
