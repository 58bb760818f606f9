//! Tokens for a workspace: made, looked into, ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use doorward_core::authn::Presented;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{token, workspace};
use doorward_core::start_up::{StandsFor, TokenHooks};
use doorward_core::tokens::{HubToken, HubTokenKind as Kind};
use doorward_core::workspaces::{Permission, WorkspaceScope};
use doorward_protocols::hypha::address::is_name;
use doorward_protocols::hypha::value;
use rmpv::Value;

use crate::args::wrong;
use crate::fault::Fault;
use crate::provided::Asked;
use crate::user::{Person, UserInfo};

/// How long a token lives unless its maker says otherwise.
const LIFE_S: i64 = 3600;

pub(super) async fn generate(asked: Asked) -> Result<Value, Fault> {
    let config = asked.args.map("config")?;
    let said = |name: &str| value::get(&config, name).filter(|value| !value.is_nil());
    let text =
        |name: &str| said(name).map(|value| value.as_str().ok_or_else(|| wrong(name, "a text"))).transpose();
    let ttl_s = match said("expires_in") {
        None => LIFE_S,
        Some(value) => {
            let seconds = value.as_f64().filter(|seconds| seconds.is_finite() && *seconds >= 1.0);
            seconds.ok_or_else(|| wrong("expires_in", "a number of seconds"))?.min(1e15) as i64
        }
    };
    let permission = match text("permission")? {
        None | Some("read_write") => Permission::ReadWrite,
        Some("read") => Permission::Read,
        Some("admin") => Permission::Admin,
        Some(_) => return Err(wrong("permission", "read, read_write or admin")),
    };
    let client = text("client_id")?;
    if client.is_some_and(|client| !is_name(client)) {
        return Err(wrong("client_id", "a client's name"));
    }
    let extra = match said("extra_scopes") {
        None => Vec::new(),
        Some(Value::Array(list)) => {
            let all = list.iter().map(|one| one.as_str().map(Arc::from));
            all.collect::<Option<Vec<Arc<str>>>>().ok_or_else(|| wrong("extra_scopes", "a list of texts"))?
        }
        Some(_) => return Err(wrong("extra_scopes", "a list of texts")),
    };
    let name = text("workspace")?;
    let none =
        |name: &str| Fault::permission(format!("You do not have any permission for workspace: {name}"));
    let room = asked.room(name).await.map_err(|_| none(name.unwrap_or_default()))?;
    let leave = asked.leave::<workspace::Token>(&room).map_err(|fault| match fault.class {
        "PermissionError" => Fault::permission("Only admin can generate token."),
        _ => fault,
    })?;
    let email = match text("email")? {
        None => None,
        Some(_) if !asked.peer.user.roles.iter().any(|role| role == "admin") => {
            let refused = Fault::permission("Only admin can set the email of a token.");
            return leave.close(Ok(())).map_err(Fault::from).and(Err(refused));
        }
        Some(email) => Some(email.to_owned()),
    };
    let scope = WorkspaceScope {
        current: Some(Arc::clone(&room.id)),
        given: BTreeMap::from([(Arc::clone(&room.id), permission)]),
        client_id: client.map(Arc::from),
        extra,
        confined: true,
        ..WorkspaceScope::default()
    };
    let wanted = HubToken { workspaces: scope, ttl_s: Some(ttl_s), kind: Kind::Child, email, roles: None };
    let held = asked.hub.permission(&asked.peer.call, &room).unwrap_or(Permission::Read);
    let call = asked.hub.known(&asked.peer.call, &room).knowing_workspace(&room.id, held);
    let made = asked.hub.token_in(&room, &call, wanted).await;
    let made = leave.close(made)?;
    Ok(made.token.expose().as_str().into())
}

pub(super) async fn parse(asked: Asked) -> Result<Value, Fault> {
    let text = asked.args.needed_text("token")?;
    asked.may::<workspace::Read>(&asked.peer.room)?;
    let presented = Presented::token(text, asked.peer.call.origin.address);
    let (mount, origin) = (asked.hub.mount(), (*asked.peer.call.origin).clone());
    let call = asked.hub.engine().authenticate(mount, origin, &presented).await?;
    let here = &*asked.peer.room.id;
    let current = call.auth.workspaces.current.as_deref();
    if let Some(other) = current.filter(|current| *current != here) {
        return Err(Fault::permission(format!(
            "Permission denied: the token is for workspace {other}, not for {here}"
        )));
    }
    let room = asked.room(None).await?;
    let within = asked.hub.permission(&call, &room).map(|permission| (here, permission));
    let client = call.auth.workspaces.client_id.as_deref();
    let user = UserInfo::of(
        &call.auth,
        &mount.tokens.authority,
        within,
        client,
        Person::of(&asked.hub, &call).await.email,
    );
    Ok(value::from_json(&user.to_json()))
}

pub(super) async fn revoke(asked: Asked) -> Result<Value, Fault> {
    let text = asked.args.needed_text("token")?;
    asked.may::<workspace::Manage>(&asked.peer.room)?;
    // A text of the start-up files' ends with the token of ours that it stands for.
    let ours = match &asked.hub.0.settings.hooks {
        Some(hooks) => hooks.stands_for(text).await?,
        None => None,
    };
    if ours.is_none() && !is_to_be_ended_here(&asked, text).await {
        return Err(Fault::value("this token is none of the hub's: it is ended where it was made"));
    }
    let permit = asked.peer.call.permit::<token::Surrender>(Target::any())?;
    let tokens = asked.hub.engine().tokens();
    match ours {
        Some(StandsFor::Ours(ours)) => {
            tokens.surrender_with(permit, ours.expose(), TokenHooks::handle_of(text)).await?;
        }
        // Like a token that has ended, it is nothing to do.
        Some(StandsFor::Ended) => permit.close(Ok(()))?,
        None => tokens.surrender(permit, text, None).await?,
    }
    Ok(Value::Nil)
}

/// Whether a text is a token of the hub's, or none at all: what lets somebody in by another way is not ended by what is done here, and
/// must not look as if it were. Nobody is let in by asking.
async fn is_to_be_ended_here(asked: &Asked, text: &str) -> bool {
    let presented = Presented::token(text, asked.peer.call.origin.address);
    match asked.hub.mount().chain.authenticate(&presented).await {
        Ok(auth) => auth.method == "hub_token",
        Err(_) => true,
    }
}
