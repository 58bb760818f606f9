//! The operator's start-up files: a client of the hub's own in `public`, and the login service that it may put in the place of ours.
//!
//! What such a login service is told and tells stays within ours: a token that is reported has to let its holder in, and so has one that
//! `check` hands out. Its methods are reached through `public/hypha-login` alone, never directly.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::workspaces::Permission;
use doorward_protocols::hypha::value;
use rmpv::Value;
use serde_json::json;

use crate::args::Args;
use crate::caller::Speaker;
use crate::fault::Fault;
use crate::hub::{Hub, PUBLIC};
use crate::login;
use crate::peer::{Link, Peer};
use crate::refused::{Refused, Why};
use crate::registry::Service;
use crate::user::UserInfo;

/// How the names of their clients begin, which are nobody else's.
pub(crate) const NAMED: &str = "start-up-";
/// Longest time that a method may take, as long as its process says that it works on it.
const LONGEST: Duration = Duration::from_secs(600);
/// Calls of it that one network may have under way: a quarter of what its process takes at once, and more than may wait for a person.
const OF_ONE_NETWORK: u32 = 256;
/// Most methods of a login service.
const MOST_METHODS: usize = 100;

/// What start-up files put in the place of our login service. What they left out stays ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomLogin {
    /// `public/CLIENT`.
    target: String,
    /// Its service's own name, and the methods in it; absent where there are none.
    methods: Option<(String, BTreeSet<String>)>,
    /// The own name of an ASGI service that answers at the page's address.
    app: Option<String>,
}

impl CustomLogin {
    /// Reads what start-up files say they registered: `login` with `service` and `methods`, `login_app`. Nothing is `None`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(registered: &serde_json::Value) -> Result<Option<Self>, String> {
        let split = |id: &serde_json::Value| {
            let (target, service) = id.as_str()?.rsplit_once(':')?;
            target.strip_prefix("public/").filter(|client| !client.is_empty())?;
            Some((target.to_owned(), service.to_owned()))
        };
        let app = match registered.get("login_app") {
            None | Some(serde_json::Value::Null) => None,
            Some(id) => Some(split(id).ok_or("login_app is no service of its own")?),
        };
        let login = match registered.get("login") {
            None | Some(serde_json::Value::Null) => None,
            Some(login) => {
                let service =
                    login.get("service").and_then(split).ok_or("login has no service of its own")?;
                let names = login.get("methods").and_then(serde_json::Value::as_array);
                let names = names.filter(|names| names.len() <= MOST_METHODS);
                let names = names.and_then(|names| {
                    names.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<BTreeSet<_>>>()
                });
                Some((service, names.ok_or("login has no list of at most 100 methods")?))
            }
        };
        let target = match (&login, &app) {
            (Some(((target, _), _)), _) | (None, Some((target, _))) => target.clone(),
            (None, None) => return Ok(None),
        };
        let methods = login.map(|((_, service), names)| (service, names));
        Ok(Some(Self { target, methods, app: app.map(|(_, service)| service) }))
    }

    /// Whether it has this method.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.methods.as_ref().is_some_and(|(_, names)| names.contains(name))
    }

    /// Its methods, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.methods.iter().flat_map(|(_, names)| names).map(String::as_str)
    }

    /// Calls a method of its, for whoever is asking.
    pub(crate) async fn call(&self, hub: &Hub, peer: &Peer, name: &str, args: Args) -> Result<Value, Fault> {
        let busy =
            || Fault::other("too many calls of the login service are under way from here; try again later");
        let share = hub.0.login_calls.take(peer.call.origin.address, OF_ONE_NETWORK);
        let _share = share.ok_or_else(busy)?;
        let missing = || Fault::key(format!("Method not found: {name}"));
        let (service, _) = self.methods.as_ref().filter(|_| self.has(name)).ok_or_else(missing)?;
        if name == "report" {
            let token = args.get(1, "token").filter(|token| !token.is_nil());
            let token = token
                .and_then(Value::as_str)
                .ok_or_else(|| Fault::value("Invalid token provided to report_login: there is none"))?;
            login::handed_in(hub, peer, token).await?;
        }
        let from = format!("{PUBLIC}/{}", hub.server_id());
        let speaker = Speaker { from: &from, workspace: &peer.room.id, user: peer.packed_user.clone() };
        let method = format!("services.{service}.{name}");
        let mut conversation = hub.begin(speaker, &self.target, &method, |_| args.into_parts()).await?;
        let said = conversation.returned(LONGEST).await.map_err(Fault::in_its_own_words)?;
        match name {
            "start" => Ok(started(hub, said)),
            "logout" | "logout_handler" => Ok(absolute(hub, said, "logout_url")),
            "check" => {
                let token = match &said {
                    Value::Map(_) => value::get(&said, "token"),
                    other => Some(other),
                };
                if let Some(token) = token.filter(|token| !token.is_nil()) {
                    let none = || Fault::permission("the login service gave a token that lets nobody in");
                    let token = token.as_str().ok_or_else(none)?;
                    login::handed_in(hub, peer, token).await.map_err(|_| none())?;
                }
                Ok(said)
            }
            _ => Ok(said),
        }
    }
}

/// An address of this server that a file wrote without the server.
fn absolute(hub: &Hub, mut said: Value, name: &str) -> Value {
    let path = value::get(&said, name).and_then(Value::as_str).filter(|url| url.starts_with('/'));
    if let Some(path) = path.filter(|path| !path.starts_with("//")) {
        let url = format!("{}{path}", hub.base_url());
        value::set(&mut said, name, url.into());
    }
    said
}

/// What clients need beside what the file gave: a key and a page's address are enough.
fn started(hub: &Hub, mut said: Value) -> Value {
    if !matches!(said, Value::Map(_)) {
        return said;
    }
    for name in ["report", "check"] {
        let member = format!("{name}_url");
        if value::get(&said, &member).is_none_or(Value::is_nil) {
            let url = format!("{}/public/services/hypha-login/{name}", hub.base_url());
            value::set(&mut said, &member, url.into());
        }
        said = absolute(hub, said, &member);
    }
    absolute(hub, said, "login_url")
}

impl Hub {
    /// Lets the operator's start-up files in: a client in `public` that may do everything, and what it is told first.
    ///
    /// # Errors
    /// When the workspace is gone, which it never is.
    pub fn attach(&self) -> Result<(Link, Value), Refused> {
        let gone = || Refused::failed(Why::Failed, "there is no public workspace");
        let room = self.live_room(PUBLIC).ok_or_else(gone)?;
        let client = self.fresh_name(NAMED);
        let call = self.engine().system_call(self.mount(), "start_up");
        let user = UserInfo::root(PUBLIC);
        let link = self.seat(&room, &client, call, Permission::Admin, user).ok_or_else(gone)?;
        let info = json!({
            "type": "connection_info",
            "hypha_version": self.version(),
            "public_base_url": self.base_url(),
            "local_base_url": self.base_url(),
            "server_id": self.server_id(),
            "manager_id": self.0.manager_id,
            "workspace": PUBLIC,
            "client_id": &*link.peer.id,
            "user": link.peer.user.to_json(),
        });
        Ok((link, value::from_json(&info)))
    }

    /// Whether a service is one of the start-up files': the operator's own code.
    #[must_use]
    pub fn is_of_start_up(&self, service: &Service, target: &str) -> bool {
        let ours = self.0.start_up.read().as_ref().is_some_and(|id| *id == service.client);
        ours && target.split_once('/').is_some_and(|(workspace, _)| workspace == PUBLIC)
    }

    /// The client that stands for the start-up files from now on, and what stands in the place of our login service. Its service is reached through ours alone.
    pub fn use_login(&self, client: &str, login: Option<CustomLogin>) {
        *self.0.start_up.write() = Some(client.into());
        if let (Some(login), Some(room)) = (&login, self.live_room(PUBLIC))
            && let (Some((service, _)), Some((_, client))) = (&login.methods, login.target.split_once('/'))
        {
            room.services.write().remove(&(client.into(), service.clone()));
        }
        *self.0.login.write() = login.map(Arc::new);
    }

    /// What stands there, if anything does.
    #[must_use]
    pub fn custom_login(&self) -> Option<Arc<CustomLogin>> {
        self.0.login.read().clone()
    }

    /// The ASGI service that answers at the login page's address, and where it is.
    #[must_use]
    pub fn login_app(&self) -> Option<(Arc<Service>, String)> {
        let login = self.custom_login()?;
        let (_, client) = login.target.split_once('/')?;
        let service = self.live_room(PUBLIC)?.service(client, login.app.as_deref()?)?;
        Some((service, login.target.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_registered_is_read() {
        let read = |given| CustomLogin::read(&given);
        assert_eq!(read(json!({"login": null})), Ok(None));
        let all = json!({
            "login": {"service": "public/start-up-1:hooks", "methods": ["start", "signup"]},
            "login_app": "public/start-up-1:page",
        });
        let login = read(all).expect("good").expect("some");
        assert!(login.has("signup") && !login.has("check") && login.app.as_deref() == Some("page"));
        assert_eq!(login.names().collect::<Vec<_>>(), ["signup", "start"]);
        for bad in [
            json!({"login": {"service": "team/x:hooks", "methods": []}}),
            json!({"login": {"service": "public/x:hooks"}}),
            json!({"login": {"service": "public/x:hooks", "methods": [1]}}),
            json!({"login_app": 7}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
