//! The workspace manager: what every client finds at `*/manager`.

mod clients;
mod diary;
mod notes;
mod services;
mod tokens;
mod workspaces;

use std::sync::Arc;

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::Action;
use doorward_core::error::Error;
use doorward_core::operation::Permit;

use crate::fault::Fault;
use crate::provided::{Asked, Provided, Row};
use crate::room::Room;

pub(crate) use diary::Diary;
pub(crate) use services::{Found, ServiceQuery, find as find_service};

/// What events are asked for by.
const EVENTS: &[&str] = &["event_type", "start_time", "end_time"];

macro_rules! row {
    ($name:literal, $parameters:expr, $doc:literal, $act:path) => {
        Row { name: $name, parameters: $parameters, doc: $doc, act: |asked| Box::pin($act(asked)) }
    };
}

pub(crate) static SERVICE: Provided = Provided {
    id: "default",
    name: "Workspace manager",
    kind: "workspace-manager",
    description: "Workspaces, who is in them, and what they offer",
    rows: &[
        row!("echo", &["data"], "Answers with what it was given.", clients::echo),
        row!("log", &["msg"], "Writes a line into the server's log.", clients::log),
        row!("ping", &["client_id", "timeout"], "Whether a client answers: pong, or why not.", clients::ping),
        row!("list_clients", &["workspace"], "Who is in a workspace.", clients::list),
        row!("subscribe", &["event_type"], "Hear of these kinds of events.", clients::subscribe),
        row!("unsubscribe", &["event_type"], "Hear of them no more.", clients::unsubscribe),
        row!("get_summary", &[], "How many are here and what they offer.", clients::summary),
        row!("check_status", &[], "Whether the workspace is ready.", clients::status),
        row!("cleanup", &["workspace", "timeout"], "Forget clients that do not answer.", clients::cleanup),
        row!("register_service", &["service", "config"], "Offer a service.", services::register),
        row!("unregister_service", &["service_id"], "Offer it no more.", services::unregister),
        row!(
            "list_services",
            &["query", "include_unlisted", "include_app_services", "prioritize_running_services"],
            "What is offered in a workspace.",
            services::list
        ),
        row!("get_service_info", &["service_id", "config"], "A service's record.", services::info),
        row!(
            "search_services",
            &[
                "query",
                "filters",
                "limit",
                "offset",
                "return_fields",
                "order_by",
                "pagination",
                "include_unlisted"
            ],
            "Not here: there is no vector search. list_services takes a query.",
            services::search
        ),
        row!("get_service", &["service_id", "config"], "A service, to be called.", services::get),
        row!("register_service_type", &["type"], "Describe a kind of services.", services::register_kind),
        row!("get_service_type", &["type_id"], "A kind of services.", services::get_kind),
        row!("list_service_types", &[], "Kinds of services that were described.", services::list_kinds),
        row!("generate_token", &["config"], "A token for a workspace.", tokens::generate),
        row!("parse_token", &["token"], "Whose a token is and what it reaches.", tokens::parse),
        row!("revoke_token", &["token"], "End a token.", tokens::revoke),
        row!("create_workspace", &["config", "overwrite"], "Make a workspace.", workspaces::create),
        row!("delete_workspace", &["workspace"], "Remove a workspace.", workspaces::delete),
        row!("get_workspace_info", &["workspace"], "What is known of a workspace.", workspaces::info),
        row!("list_workspaces", &["match", "offset", "limit"], "One's workspaces.", workspaces::list),
        row!(
            "set_env",
            &["key", "value"],
            "Keep a setting for the workspace's administrators.",
            notes::set_env
        ),
        row!("get_env", &["key"], "A setting, or all of them.", notes::get_env),
        row!("bookmark", &["item"], "Remember a workspace or a service.", notes::bookmark),
        row!("unbookmark", &["item"], "Remember it no more.", notes::unbookmark),
        row!("log_event", &["event_type", "data"], "Note an event of one's own.", diary::log),
        row!("get_event_stats", EVENTS, "How many of one's own events there were.", diary::stats),
        row!("get_events", EVENTS, "One's own events.", diary::list),
    ],
};

/// A refusal, in Hypha's words.
pub(crate) fn denied(workspace: &str, error: Error) -> Fault {
    match error.status() {
        // Whether there is such a workspace is no secret of the one the caller is in; of others it is.
        403 | 404 => Fault::permission(format!("Permission denied for workspace {workspace}")),
        _ => error.into(),
    }
}

impl Asked {
    /// Leave to do `A` in a workspace.
    pub(crate) fn leave<A: Action>(&self, room: &Room) -> Result<Permit<A>, Fault> {
        let owner = room.owner();
        let call = self.hub.known(&self.peer.call, room);
        call.permit::<A>(Target::owned(&room.id, &owner)).map_err(|error| denied(&room.id, error))
    }

    /// Leave for an act that is done here and now.
    pub(crate) fn may<A: Action>(&self, room: &Room) -> Result<(), Fault> {
        self.leave::<A>(room)?.close(Ok(())).map_err(Fault::from)
    }

    /// The workspace that is meant: the one that is named, or the caller's.
    pub(crate) async fn room(&self, name: Option<&str>) -> Result<Arc<Room>, Fault> {
        match name {
            None => Ok(Arc::clone(&self.peer.room)),
            Some(name) if name == &*self.peer.room.id => Ok(Arc::clone(&self.peer.room)),
            Some(name) => {
                let found = self.hub.room(name, &self.peer.call).await?;
                // What one may not even see and what there is not are answered alike.
                let missing = || Fault::permission(format!("Permission denied for workspace {name}"));
                let room = found.ok_or_else(missing)?;
                if self.hub.permission(&self.peer.call, &room).is_none() {
                    let denied = self.may::<doorward_core::authz::catalogue::workspace::Read>(&room);
                    self.hub.tidy(&room);
                    // The line in the audit log says which it was.
                    drop(denied);
                    return Err(missing());
                }
                Ok(room)
            }
        }
    }
}
