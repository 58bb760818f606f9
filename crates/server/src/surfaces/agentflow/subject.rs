//! Where AgentFlow's requests name a thread.

use crate::gateway::{Effect, Reserved, Resource, Rule};

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
