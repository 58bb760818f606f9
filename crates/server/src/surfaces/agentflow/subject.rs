//! Where AgentFlow's requests name a thread.

use doorward_core::error::{Error, codes};
use serde_json::json;

use crate::gateway::{Effect, Reserved, Resource, Rule, SocketRule};

/// Members of `config` that the server owns: release 0.6 drops them itself, earlier ones believe them.
static RESERVED: Reserved =
    Reserved { within: "config", names: &["authz", "user", "user_id", "remote_tools"], prefix: '_' };

/// A thread.
pub(super) static THREAD: Resource = Resource {
    kind: "thread",
    param: "id",
    members: &[&["thread_id"], &["config", "thread_id"]],
    insert_at: &["config", "thread_id"],
    reserved: &RESERVED,
    listed_at: &["data", "threads"],
    listed_id: "thread_id",
    probed_under: "/v1/threads/",
    probed_at: &["data", "thread_data", "thread"],
};

/// Routes that name no thread.
pub(super) static PLAIN: Rule = Rule { effect: Effect::Nothing, resource: &THREAD, takes_body: false };
/// Routes that read a thread, or change it without a body.
pub(super) static USE: Rule = Rule { effect: Effect::Use, resource: &THREAD, takes_body: false };
/// Routes that change a thread by a body.
pub(super) static CHANGE: Rule = Rule { effect: Effect::Use, resource: &THREAD, takes_body: true };
/// Routes that run the graph, in a thread named or new.
pub(super) static RUN: Rule = Rule { effect: Effect::UseOrCreate, resource: &THREAD, takes_body: true };
/// The route that removes a thread.
pub(super) static DELETE: Rule = Rule { effect: Effect::Delete, resource: &THREAD, takes_body: true };
/// The route that lists threads.
pub(super) static LIST: Rule = Rule { effect: Effect::List, resource: &THREAD, takes_body: false };
/// The WebSocket that runs the graph once for each message. A blank id and `new` begin a thread, as in release 0.6.
pub(super) static SOCKET: SocketRule = SocketRule {
    effect: Effect::UseOrCreate,
    resource: &THREAD,
    fresh: &["", "new"],
    token_protocol: Some("agentflow-bearer"),
    refusal: chunk,
};

/// A refusal as the server's own stream says it: a chunk whose event is `error`.
fn chunk(error: &Error) -> String {
    let mut data = json!({ "reason": error.public_message(), "code": error.code().name });
    if error.is(codes::RATE_LIMITED) {
        data["retry_after_seconds"] = error.retry_after().into();
    }
    json!({ "event": "error", "data": data }).to_string()
}
