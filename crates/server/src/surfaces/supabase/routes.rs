//! Every route, each where Supabase mounts it and where GoTrue itself has it. What is not here of GoTrue does not exist.

use doorward_core::authz::catalogue::{Action, login, service, session, token, user};
use http::Method;

use super::{about, accounts, admin, asking, later, links, proofs, tokens};
use crate::native;
use crate::route::Route;

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const DELETE: Method = Method::DELETE;

/// Where Supabase mounts GoTrue.
const MOUNTED: &str = "/auth/v1";

/// A path as GoTrue itself has it.
const fn bare(path: &'static str) -> &'static str {
    path.split_at(MOUNTED.len()).1
}

/// The rows as they are written, then each once more at its bare path.
macro_rules! twice {
    ($(Route::guarded($method:ident, $path:literal, [$($action:path),*], $handler:path);)*) => {
        &[
            Route::open(GET, KEYS, |r| Box::pin(native::published_keys(r))),
            $(Route::guarded($method, $path, &[$(<$action>::DEF),*], |r| Box::pin($handler(r))),)*
            Route::open(GET, bare(KEYS), |r| Box::pin(native::published_keys(r))),
            $(Route::guarded($method, bare($path), &[$(<$action>::DEF),*], |r| Box::pin($handler(r))),)*
        ]
    };
}

const KEYS: &str = "/auth/v1/.well-known/jwks.json";

/// All of them.
pub(crate) static ROUTES: &[Route] = twice! {
    Route::guarded(GET, "/auth/v1/health", [service::Ping], about::health);
    Route::guarded(GET, "/auth/v1/settings", [service::Ping], about::settings);
    Route::guarded(POST, "/auth/v1/signup", [user::SignUp, session::Login, login::Begin], accounts::sign_up);
    Route::guarded(POST, "/auth/v1/token", [session::Login, token::Refresh], tokens::grant);
    Route::guarded(GET, "/auth/v1/user", [user::Read], accounts::get);
    Route::guarded(PUT, "/auth/v1/user", [user::Update, login::Begin], accounts::change);
    Route::guarded(POST, "/auth/v1/logout", [session::End, token::Revoke], tokens::log_out);
    Route::guarded(GET, "/auth/v1/verify", [session::Login], proofs::by_link);
    Route::guarded(POST, "/auth/v1/verify", [session::Login], proofs::by_client);
    Route::guarded(POST, "/auth/v1/recover", [login::Begin], asking::recover);
    Route::guarded(POST, "/auth/v1/otp", [login::Begin, user::SignUp], asking::otp);
    Route::guarded(POST, "/auth/v1/magiclink", [login::Begin, user::SignUp], asking::magic_link);
    Route::guarded(POST, "/auth/v1/resend", [login::Begin], asking::resend);
    Route::guarded(GET, "/auth/v1/reauthenticate", [login::Begin], asking::reauthenticate);
    Route::guarded(GET, "/auth/v1/admin/users", [user::List], admin::list);
    Route::guarded(POST, "/auth/v1/admin/users", [user::Create], admin::create);
    Route::guarded(GET, "/auth/v1/admin/users/{id}", [user::Administer, user::Read], admin::get);
    Route::guarded(PUT, "/auth/v1/admin/users/{id}", [user::Administer], admin::change);
    Route::guarded(DELETE, "/auth/v1/admin/users/{id}", [user::Administer, user::Delete], admin::delete);
    Route::guarded(GET, "/auth/v1/admin/users/{id}/factors", [user::Administer, user::Read], admin::factors);
    Route::guarded(POST, "/auth/v1/admin/generate_link", [user::Administer], links::generate);
    Route::guarded(POST, "/auth/v1/invite", [user::Administer], links::invite);
    Route::guarded(GET, "/auth/v1/authorize", [service::Ping], later::authorize);
    Route::guarded(POST, "/auth/v1/sso", [service::Ping], later::sso);
    Route::guarded(POST, "/auth/v1/factors", [user::Read], later::enroll);
    Route::guarded(DELETE, "/auth/v1/factors/{id}", [user::Read], later::factor);
    Route::guarded(POST, "/auth/v1/factors/{id}/challenge", [user::Read], later::factor);
    Route::guarded(POST, "/auth/v1/factors/{id}/verify", [user::Read], later::factor);
    Route::guarded(GET, "/auth/v1/user/identities/authorize", [user::Read], later::linking);
    Route::guarded(DELETE, "/auth/v1/user/identities/{id}", [user::Read], later::linking);
};
