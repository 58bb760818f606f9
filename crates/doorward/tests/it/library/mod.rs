//! Doorward inside an axum application: what a Rust developer writes, against an engine in memory.

mod actors;
mod building;
mod decisions;
mod requests;

use axum::Router;
use axum::body::Body;
use doorward::{ApiKeyKind, Builder, Doorward, Expiry, NewApiKey, NewUser, Role, RoleName, UserId};
use http::header::{AUTHORIZATION, HeaderMap};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower_service::Service as _;

doorward::actions! {
    /// What people write.
    report {
        /// Seeing one.
        Read = "read", Read;
        /// Writing one.
        Create = "create", Write;
        /// Throwing all away.
        Purge = "purge", Admin;
    }
}

/// Spelled as actions are that roles give, and never told to the builder either.
pub(crate) mod lookalikes {
    doorward::actions! {
        /// As Doorward's own, which every user may read.
        file {
            /// Seeing one.
            Read = "read", Read;
        }
        /// As Doorward's own, which nobody in particular may read.
        artifact {
            /// Seeing one.
            Read = "read", Read;
        }
        /// As the application's own, but reaching less far.
        report {
            /// Removing everybody's.
            Purge = "purge", Read;
        }
    }
}

doorward::actions! {
    /// Nobody tells the builder of these.
    forgotten {
        /// Seeing one.
        Read = "read", Read;
    }
}

/// Whoever reads everybody's reports.
struct Analyst;

impl RoleName for Analyst {
    const NAME: &'static str = "analyst";
}

/// Nobody defines this one.
struct Ghost;

impl RoleName for Ghost {
    const NAME: &'static str = "ghost";
}

/// An application's own roles and actions, in memory.
fn builder() -> Builder {
    Doorward::builder()
        .in_memory()
        .actions(report::ALL)
        .allow("user", ["report:read", "report:create"])
        .role(Role::new("analyst").inherits("user").allows("report:read@any"))
}

async fn embedded() -> Doorward {
    builder().build().await.expect("builds")
}

/// Somebody with these roles, and an API key of theirs with these scopes.
async fn with_key(doorward: &Doorward, name: &str, roles: &[&str], scopes: &[&str]) -> (UserId, String) {
    key_of_kind(doorward, name, (roles, scopes), ApiKeyKind::User).await
}

async fn key_of_kind(
    doorward: &Doorward,
    name: &str,
    (roles, scopes): (&[&str], &[&str]),
    kind: ApiKeyKind,
) -> (UserId, String) {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let system = doorward.system("test");
    let new = NewUser { username: Some(name.to_owned()), roles: owned(roles), ..NewUser::default() };
    let user = system.create_user(new).await.expect("made");
    let new = NewApiKey { name: name.to_owned(), scopes: owned(scopes), expiry: Expiry::Never };
    let made = system.create_api_key_for(&user.id, kind, new).await.expect("made");
    (user.id, made.secret.expose().clone())
}

/// How a request was answered.
struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answered {
    /// The status, and the code where it is one of our problems.
    fn is(&self) -> (u16, String) {
        let code = self.problem()["code"].as_str().unwrap_or_default().to_owned();
        (self.status.as_u16(), code)
    }

    fn problem(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

async fn send(app: &Router, request: Request<Body>) -> Answered {
    let answer = app.clone().call(request).await.expect("routers do not fail");
    let (head, body) = answer.into_parts();
    let bytes = body.collect().await.expect("a whole body").to_bytes();
    let body = String::from_utf8(bytes.to_vec()).expect("text");
    Answered { status: head.status, headers: head.headers, body }
}

/// `GET` with a Bearer credential, or none where that is empty.
async fn get(app: &Router, path: &str, credential: &str) -> Answered {
    ask(app, "GET", path, credential).await
}

async fn ask(app: &Router, method: &str, path: &str, credential: &str) -> Answered {
    let mut request = Request::builder().method(method).uri(path);
    if !credential.is_empty() {
        request = request.header(AUTHORIZATION, format!("Bearer {credential}"));
    }
    send(app, request.body(Body::empty()).expect("a request")).await
}

fn code(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}
