//! An axum application whose routes are protected. It says where it is and, because it is an example, hands out three keys.
#![allow(clippy::print_stdout, reason = "an example says what it does")]

use axum::Router;
use axum::routing::get;
use doorward::{ApiKeyKind, Doorward, Error, Expiry, NewApiKey, NewUser, Principal, RequirePermission};

doorward::actions! {
    /// What people write.
    report {
        /// Seeing one, and listing.
        Read = "read", Read;
        /// Writing one.
        Create = "create", Write;
    }
}

async fn me(principal: Principal) -> String {
    format!("{} ({})", principal.authority(), principal.roles().collect::<Vec<_>>().join(", "))
}

async fn list(_: RequirePermission<report::Read>) -> &'static str {
    "the reports"
}

async fn create(_: RequirePermission<report::Create>) -> &'static str {
    "a new report"
}

async fn key(doorward: &Doorward, name: &str, scope: &str) -> Result<String, Error> {
    let system = doorward.system("example");
    let user = system.create_user(NewUser { username: Some(name.into()), ..NewUser::default() }).await?;
    let new = NewApiKey { name: name.into(), scopes: vec![scope.into()], expiry: Expiry::InSeconds(3600) };
    let made = system.create_api_key_for(&user.id, ApiKeyKind::User, new).await?;
    Ok(made.secret.expose().clone())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let doorward = Doorward::builder()
        .in_memory() // or .sqlite(…) and .master_key_file(…)
        .actions(report::ALL)
        .allow("user", ["report:read", "report:create"])
        .build()
        .await?;
    let app = Router::new()
        .route("/me", get(me))
        .route("/reports", get(list).post(create))
        .layer(doorward.layer())
        .route("/health", get(|| async { "well" })); // after the layer: for everybody
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    for (name, scope) in [("ann", "*"), ("reader", "report:read"), ("robot", "thread:*")] {
        println!("{}", key(&doorward, name, scope).await?);
    }
    axum::serve(listener, app).with_graceful_shutdown(stopped()).await?;
    doorward.close().await;
    Ok(())
}

async fn stopped() {
    let _ = tokio::signal::ctrl_c().await;
}
