//! What the surface says of itself.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::service;
use doorward_core::error::Result;
use doorward_core::mount::SignUp;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::views::confirms_by_itself;
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// Ways of logging in that clients ask about; of them only `email` is here, and what the mount lets.
const WAYS: &[&str] = &[
    "anonymous_users",
    "apple",
    "azure",
    "bitbucket",
    "discord",
    "email",
    "facebook",
    "figma",
    "fly",
    "github",
    "gitlab",
    "google",
    "kakao",
    "keycloak",
    "linkedin",
    "linkedin_oidc",
    "notion",
    "phone",
    "slack",
    "slack_oidc",
    "snapchat",
    "spotify",
    "twitch",
    "twitter",
    "workos",
    "zoom",
];

/// `GET /auth/v1/settings`
pub(super) async fn settings(request: Request) -> Result<Answer> {
    let permit = request.permit::<service::Ping>(Target::any())?;
    let mount = &request.site.mount;
    let anonymous = mount.email.as_ref().is_some_and(|rules| rules.anonymous);
    let on = |way: &str| way == "email" || (way == "anonymous_users" && anonymous);
    let external: Map<String, Value> = WAYS.iter().map(|way| ((*way).to_owned(), on(way).into())).collect();
    let view = json!({
        "external": external,
        "disable_signup": mount.sign_up == SignUp::Closed,
        "mailer_autoconfirm": confirms_by_itself(mount),
        "phone_autoconfirm": false,
        "sms_provider": "",
        "saml_enabled": false,
        "saml_private_key_next_configured": false,
        "passkeys_enabled": false,
    });
    permit.close(Ok(json_answer(StatusCode::OK, &view)))
}

/// `GET /auth/v1/health`
pub(super) async fn health(request: Request) -> Result<Answer> {
    let permit = request.permit::<service::Ping>(Target::any())?;
    let view = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "name": "GoTrue",
        "description": "Doorward, speaking Supabase Auth",
    });
    permit.close(Ok(json_answer(StatusCode::OK, &view)))
}
