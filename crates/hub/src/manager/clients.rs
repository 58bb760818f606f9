//! Who is in a workspace, whether they answer, and what they hear of.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::authz::catalogue::workspace;
use doorward_protocols::hypha::{Address, value};
use rmpv::Value;

use crate::args::wrong;
use crate::fault::Fault;
use crate::peer::{MOST_SUBSCRIPTIONS, Peer};
use crate::provided::Asked;

/// What a summary says of a service, and of how many.
const SUMMED: &[&str] = &["id", "name", "type", "description", "config"];
const MOST_SUMMED: usize = 1_000;
/// Longest line for the log.
const MOST_CHARS: usize = 1_000;

pub(super) async fn echo(asked: Asked) -> Result<Value, Fault> {
    asked.may::<workspace::Use>(&asked.peer.room)?;
    Ok(asked.args.get("data").cloned().unwrap_or(Value::Nil))
}

pub(super) async fn log(asked: Asked) -> Result<Value, Fault> {
    asked.may::<workspace::Use>(&asked.peer.room)?;
    let text = match asked.args.needed("msg")? {
        Value::String(text) => text.as_str().unwrap_or_default().to_owned(),
        other => other.to_string(),
    };
    let plain: String = text.chars().take(MOST_CHARS).filter(|c| !c.is_control()).collect();
    tracing::info!(client = %asked.peer.address, "{plain}");
    Ok(Value::Nil)
}

pub(super) async fn ping(asked: Asked) -> Result<Value, Fault> {
    let name = asked.args.needed_text("client_id")?;
    let seconds = asked.args.number("timeout")?.unwrap_or(1.0).clamp(0.1, 60.0);
    let unknown = || Fault::value("client_id names a client");
    let address = Address::read(name, &asked.peer.room.id).ok_or_else(unknown)?;
    let room = asked.room(Some(address.workspace)).await?;
    asked.may::<workspace::Read>(&room)?;
    let Some(there) = room.peer(address.client) else {
        return Ok(format!("Failed to ping client {address}: it is not connected").into());
    };
    match asked.hub.ping(&there, Duration::from_secs_f64(seconds)).await {
        Ok(_) => Ok("pong".into()),
        Err(fault) => Ok(format!("Failed to ping client {address}: {}", fault.message).into()),
    }
}

fn client(peer: &Arc<Peer>) -> Value {
    value::map([("id", peer.address.as_str().into()), ("user", value::from_json(&peer.user.to_json()))])
}

pub(super) async fn list(asked: Asked) -> Result<Value, Fault> {
    let room = asked.room(asked.args.text("workspace")?).await?;
    asked.may::<workspace::Read>(&room)?;
    let mut peers: Vec<_> = room.peers.read().values().cloned().collect();
    peers.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Value::Array(peers.iter().map(client).collect()))
}

fn kinds(asked: &Asked) -> Result<Vec<String>, Fault> {
    let kind = |value: &Value| {
        let text = value.as_str().filter(|text| !text.is_empty() && text.len() <= 128);
        if text.is_some_and(|text| text.contains(['/', ':'])) {
            // Which workspace an event is of is never the listener's to say.
            return Err(Fault::permission("Permission denied: an event's kind names no workspace"));
        }
        text.map(str::to_owned)
            .ok_or_else(|| wrong("event_type", "a text of at most 128 bytes, or a list of such"))
    };
    match asked.args.needed("event_type")? {
        Value::Array(list) if list.len() <= MOST_SUBSCRIPTIONS => list.iter().map(kind).collect(),
        one => Ok(vec![kind(one)?]),
    }
}

pub(super) async fn subscribe(asked: Asked) -> Result<Value, Fault> {
    let kinds = kinds(&asked)?;
    asked.may::<workspace::Read>(&asked.peer.room)?;
    let mut subscriptions = asked.peer.subscriptions.write();
    if subscriptions.len() + kinds.len() > MOST_SUBSCRIPTIONS {
        return Err(Fault::value("a client hears of at most 100 kinds of events"));
    }
    subscriptions.extend(kinds);
    Ok(true.into())
}

pub(super) async fn unsubscribe(asked: Asked) -> Result<Value, Fault> {
    let kinds = kinds(&asked)?;
    let mut subscriptions = asked.peer.subscriptions.write();
    kinds.iter().for_each(|kind| {
        subscriptions.remove(kind);
    });
    Ok(true.into())
}

pub(super) async fn summary(asked: Asked) -> Result<Value, Fault> {
    let room = &asked.peer.room;
    asked.may::<workspace::Read>(room)?;
    let services = room.all_services();
    let shown = services.iter().take(MOST_SUMMED).map(|service| {
        let record = service.record(false);
        let said =
            |name: &&str| (Value::from(*name), value::get(&record, name).cloned().unwrap_or(Value::Nil));
        Value::Map(SUMMED.iter().map(said).collect())
    });
    let (name, description) = {
        let workspace = room.workspace.read();
        (workspace.name.clone(), workspace.description.clone())
    };
    Ok(value::map([
        ("name", name.into()),
        ("description", description.into()),
        ("client_count", room.peers.read().len().into()),
        ("clients", Value::Array(room.names_of_clients().iter().map(|id| (&**id).into()).collect())),
        ("service_count", services.len().into()),
        ("services", Value::Array(shown.collect())),
    ]))
}

pub(super) async fn status(asked: Asked) -> Result<Value, Fault> {
    asked.may::<workspace::Read>(&asked.peer.room)?;
    Ok(value::map([("status", "ready".into()), ("errors", Value::Nil)]))
}

pub(super) async fn cleanup(asked: Asked) -> Result<Value, Fault> {
    let room = asked.room(asked.args.text("workspace")?).await?;
    asked.may::<workspace::Manage>(&room)?;
    let within = Duration::from_secs_f64(asked.args.number("timeout")?.unwrap_or(5.0).clamp(0.1, 30.0));
    let peers: Vec<_> = room.peers.read().values().cloned().collect();
    let hub = &asked.hub;
    let asked_all =
        peers.iter().map(|peer| async move { hub.ping(peer, within).await.is_err().then_some(peer) });
    let silent = futures_util::future::join_all(asked_all).await;
    let mut removed = Vec::new();
    for peer in silent.into_iter().flatten() {
        peer.outbox.close(1001, "the client does not answer");
        asked.hub.leave(peer);
        removed.push(Value::from(peer.address.as_str()));
    }
    Ok(value::map([("removed_clients", Value::Array(removed))]))
}
