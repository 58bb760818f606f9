//! Every route, with the embedded agent server and in front of the real one.

use doorward_core::authz::catalogue::{Action, graph, message, run, service, thread};
use http::Method;

use super::subject::{CHANGE, DELETE as REMOVE, LIST, PLAIN, RUN, SOCKET, USE};
use super::{document, graph as described, runs, threads};
use crate::route::Route;

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const DELETE: Method = Method::DELETE;

/// With the embedded agent server.
pub(crate) static EMBEDDED: &[Route] = &[
    Route::open(GET, "/ping", |r| Box::pin(described::ping(r))),
    Route::open(GET, "/v1/ping", |r| Box::pin(described::ping(r))),
    // The document's routes.
    Route::guarded(POST, "/threads", &[thread::Create::DEF], |r| Box::pin(threads::create(r))),
    Route::guarded(GET, "/threads", &[thread::List::DEF], |r| Box::pin(threads::list_topmost(r))),
    Route::guarded(GET, "/threads/{id}", &[thread::Read::DEF], |r| Box::pin(threads::get_topmost(r))),
    Route::guarded(DELETE, "/threads/{id}", &[thread::Delete::DEF], |r| Box::pin(threads::delete_topmost(r))),
    Route::guarded(GET, "/threads/{id}/messages", &[message::Read::DEF], |r| {
        Box::pin(threads::messages_topmost(r))
    }),
    Route::guarded(POST, "/threads/{id}/messages", &[run::Create::DEF], |r| Box::pin(runs::say(r))),
    // Today's routes.
    Route::guarded(GET, "/v1/threads", &[thread::List::DEF], |r| Box::pin(threads::list(r))),
    Route::guarded(GET, "/v1/threads/{id}", &[thread::Read::DEF], |r| Box::pin(threads::get(r))),
    Route::guarded(DELETE, "/v1/threads/{id}", &[thread::Delete::DEF], |r| Box::pin(threads::delete(r))),
    Route::guarded(GET, "/v1/threads/{id}/state", &[thread::Read::DEF], |r| Box::pin(threads::state(r))),
    Route::guarded(PUT, "/v1/threads/{id}/state", &[thread::Update::DEF], |r| {
        Box::pin(threads::put_state(r))
    }),
    Route::guarded(DELETE, "/v1/threads/{id}/state", &[thread::Update::DEF], |r| {
        Box::pin(threads::clear_state(r))
    }),
    Route::guarded(GET, "/v1/threads/{id}/messages", &[message::Read::DEF], |r| {
        Box::pin(threads::messages(r))
    }),
    Route::guarded(GET, "/v1/threads/{id}/messages/{message}", &[message::Read::DEF], |r| {
        Box::pin(threads::message(r))
    }),
    Route::guarded(DELETE, "/v1/threads/{id}/messages/{message}", &[message::Delete::DEF], |r| {
        Box::pin(threads::delete_message(r))
    }),
    Route::guarded(GET, "/v1/graph", &[graph::Read::DEF], |r| Box::pin(described::details(r))),
    Route::guarded(GET, "/v1/graph/tools", &[graph::Read::DEF], |r| Box::pin(described::tools(r))),
    Route::guarded(GET, "/v1/graph:StateSchema", &[graph::Read::DEF], |r| {
        Box::pin(described::state_schema(r))
    }),
    Route::guarded(GET, "/v1/config/multimodal", &[service::Describe::DEF], |r| {
        Box::pin(described::multimodal(r))
    }),
    Route::guarded(
        POST,
        "/v1/graph/invoke",
        &[run::Create::DEF, thread::Create::DEF, thread::Delete::DEF],
        |r| Box::pin(runs::invoke(r)),
    ),
    Route::guarded(
        POST,
        "/v1/graph/stream",
        &[run::Create::DEF, thread::Create::DEF, thread::Delete::DEF],
        |r| Box::pin(runs::stream(r)),
    ),
    Route::guarded(POST, "/v1/graph/stop", &[run::Cancel::DEF], |r| Box::pin(runs::stop(r))),
    Route::guarded(POST, "/v1/graph/fix", &[thread::Read::DEF], |r| Box::pin(runs::fix(r))),
];

/// In front of the real server. Memories (`/v1/store`), files and evaluation reports are left out: the server keeps
/// no owner for them that could be asked, so what cannot be kept apart is not reachable. Nor is `/v1/graph/live`, whose
/// messages are sound.
pub(crate) static UPSTREAM: &[Route] = &[
    Route::open(GET, "/ping", |r| Box::pin(described::ping(r))),
    Route::open(GET, "/v1/ping", |r| Box::pin(described::ping(r))),
    // The document's routes, which the server lacks.
    Route::guarded(POST, "/threads", &[thread::Create::DEF], |r| Box::pin(document::create(r))),
    Route::guarded(GET, "/threads", &[thread::List::DEF], |r| Box::pin(document::list(r))),
    Route::guarded(GET, "/threads/{id}", &[thread::Read::DEF], |r| Box::pin(document::get(r))),
    Route::guarded(DELETE, "/threads/{id}", &[thread::Delete::DEF], |r| Box::pin(document::delete(r))),
    Route::guarded(GET, "/threads/{id}/messages", &[message::Read::DEF], |r| Box::pin(document::messages(r))),
    Route::guarded(POST, "/threads/{id}/messages", &[graph::Invoke::DEF], |r| Box::pin(document::say(r))),
    // Today's routes.
    Route::upstream(GET, "/v1/threads", &[thread::List::DEF], &LIST),
    Route::upstream(GET, "/v1/threads/{id}", &[thread::Read::DEF], &USE),
    Route::upstream(DELETE, "/v1/threads/{id}", &[thread::Delete::DEF], &REMOVE),
    Route::upstream(GET, "/v1/threads/{id}/state", &[thread::Read::DEF], &USE),
    Route::upstream(PUT, "/v1/threads/{id}/state", &[thread::Update::DEF], &CHANGE),
    Route::upstream(DELETE, "/v1/threads/{id}/state", &[thread::Update::DEF], &USE),
    Route::upstream(GET, "/v1/threads/{id}/messages", &[message::Read::DEF], &USE),
    Route::upstream(POST, "/v1/threads/{id}/messages", &[message::Create::DEF], &CHANGE),
    Route::upstream(PUT, "/v1/threads/{id}/messages", &[message::Create::DEF], &CHANGE),
    Route::upstream(GET, "/v1/threads/{id}/messages/{message}", &[message::Read::DEF], &USE),
    Route::upstream(DELETE, "/v1/threads/{id}/messages/{message}", &[message::Delete::DEF], &CHANGE),
    Route::upstream(GET, "/v1/observability/{id}", &[graph::Read::DEF], &USE),
    Route::upstream(GET, "/v1/graph", &[graph::Read::DEF], &PLAIN),
    Route::upstream(GET, "/v1/graph/tools", &[graph::Read::DEF], &PLAIN),
    Route::upstream(GET, "/v1/graph:StateSchema", &[graph::Read::DEF], &PLAIN),
    Route::upstream(GET, "/v1/config/multimodal", &[service::Describe::DEF], &PLAIN),
    Route::upstream(POST, "/v1/graph/invoke", &[graph::Invoke::DEF], &RUN),
    Route::upstream(POST, "/v1/graph/stream", &[graph::Stream::DEF], &RUN),
    Route::socket("/v1/graph/ws", &[graph::Stream::DEF], &SOCKET),
    Route::upstream(POST, "/v1/graph/stop", &[graph::Stop::DEF], &CHANGE),
    Route::upstream(POST, "/v1/graph/fix", &[graph::Fix::DEF], &CHANGE),
];
