//! Every route. What is not here does not exist.

use doorward_core::authz::catalogue::ActionDef;
use doorward_core::authz::catalogue::{
    Action, hub_service, login as log_in, service, session, user, workspace,
};
use http::Method;

use super::{about, apps, bridge, described, login, posted, providers, scripts, socket, stream};
use crate::route::Route;

const GET: Method = Method::GET;
const POST: Method = Method::POST;

/// What a call over plain HTTP may come to: the methods of the workspace manager are among the services.
const CALL: &[&ActionDef] = &[hub_service::Call::DEF, hub_service::Read::DEF, workspace::Read::DEF];
const PAGE: &[&ActionDef] = &[session::Login::DEF];
/// It also sends people to the mount's tenant.
const FORM: &[&ActionDef] = &[session::Login::DEF, log_in::Begin::DEF];

/// Whoever is new may be given an account.
const BACK: &[&ActionDef] = &[session::Login::DEF, user::SignUp::DEF];

/// An application of a client's answers this method.
const fn app(method: Method) -> Route {
    Route::guarded(method, "/{workspace}/apps/{service}/{path*}", CALL, |r| Box::pin(apps::answer(r)))
}

/// A file of the published client.
const fn script(pattern: &'static str) -> Route {
    Route::open(GET, pattern, |r| Box::pin(scripts::serve(r)))
}

/// All of them.
pub(crate) static ROUTES: &[Route] = &[
    Route::accept("/ws", |r| Box::pin(socket::open(r))),
    Route::guarded(GET, "/rpc", CALL, |r| Box::pin(stream::open(r))),
    Route::guarded(POST, "/rpc", CALL, |r| Box::pin(posted::take(r))),
    Route::guarded(GET, "/health", &[service::Ping::DEF], |r| Box::pin(about::health(r)))
        .reading_cookies_itself(),
    Route::guarded(GET, "/health/readiness", &[service::Ping::DEF], |r| Box::pin(about::health(r)))
        .reading_cookies_itself(),
    Route::guarded(GET, "/health/liveness", &[service::Ping::DEF], |r| Box::pin(about::health(r)))
        .reading_cookies_itself(),
    Route::guarded(GET, "/assets/config.json", CALL, |r| Box::pin(about::config(r))),
    Route::open(GET, "/openapi.json", |r| Box::pin(described::openapi(r))),
    script("/assets/hypha-rpc-websocket.js"),
    script("/assets/hypha-rpc-websocket.js.map"),
    script("/assets/hypha-rpc-websocket.mjs"),
    script("/assets/hypha-rpc-websocket.mjs.map"),
    script("/assets/hypha-rpc-websocket.min.js"),
    script("/assets/hypha-rpc-websocket.min.js.map"),
    script("/assets/hypha-rpc-websocket.min.mjs"),
    script("/assets/hypha-rpc-websocket.min.mjs.map"),
    Route::guarded(GET, "/login", PAGE, |r| Box::pin(login::lead_there(r))).reading_cookies_itself(),
    Route::guarded(GET, "/public/apps/hypha-login/", PAGE, |r| Box::pin(login::show(r)))
        .reading_cookies_itself(),
    Route::guarded(POST, "/public/apps/hypha-login/", FORM, |r| Box::pin(login::sign_in(r)))
        .reading_cookies_itself(),
    Route::guarded(GET, "/oauth/callback", BACK, |r| Box::pin(providers::short(r))).reading_cookies_itself(),
    Route::guarded(GET, "/oauth/callback/{provider}", BACK, |r| Box::pin(providers::named(r)))
        .reading_cookies_itself(),
    Route::guarded(GET, "/{workspace}/info", CALL, |r| Box::pin(bridge::workspace(r))),
    Route::guarded(GET, "/{workspace}/services", CALL, |r| Box::pin(bridge::with_slash(r))),
    Route::guarded(GET, "/{workspace}/services/", CALL, |r| Box::pin(bridge::list(r))),
    Route::guarded(GET, "/{workspace}/services/{service}", CALL, |r| Box::pin(bridge::info(r))),
    Route::guarded(GET, "/{workspace}/services/{service}/{function}", CALL, |r| Box::pin(bridge::call(r))),
    Route::guarded(POST, "/{workspace}/services/{service}/{function}", CALL, |r| Box::pin(bridge::call(r))),
    Route::guarded(GET, "/{workspace}/apps/{service}", CALL, |r| Box::pin(bridge::with_slash(r))),
    app(GET),
    app(POST),
    app(Method::PUT),
    app(Method::PATCH),
    app(Method::DELETE),
];
