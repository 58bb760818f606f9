//! Every route, with the embedded agent server and in front of the real one. MCP and A2A are not among them.

use doorward_core::authz::catalogue::{Action, assistant, cron, run, store as store_actions, thread};
use http::Method;

use super::{assistants, crons, ids, runs, search, service, state, stateless, store, threads, upstream};
use crate::route::Route;

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

/// With the embedded agent server.
pub(crate) static EMBEDDED: &[Route] = &[
    Route::open(GET, "/ok", |r| Box::pin(service::ok(r))),
    Route::open(GET, "/info", |r| Box::pin(service::info(r))),
    Route::guarded(POST, "/threads", &[thread::Create::DEF, thread::Read::DEF], |r| {
        Box::pin(threads::create(r))
    }),
    Route::guarded(POST, "/threads/search", &[thread::List::DEF], |r| Box::pin(search::search(r))),
    Route::guarded(POST, "/threads/count", &[thread::List::DEF], |r| Box::pin(search::count(r))),
    Route::guarded(POST, "/threads/prune", &[thread::Delete::DEF], |r| Box::pin(threads::prune(r))),
    Route::guarded(GET, "/threads/{thread}", &[thread::Read::DEF], |r| Box::pin(threads::get(r)))
        .foreseeing(ids::foreseen),
    Route::guarded(PATCH, "/threads/{thread}", &[thread::Update::DEF], |r| Box::pin(threads::update(r))),
    Route::guarded(DELETE, "/threads/{thread}", &[thread::Delete::DEF], |r| Box::pin(threads::delete(r))),
    Route::guarded(POST, "/threads/{thread}/copy", &[thread::Read::DEF, thread::Create::DEF], |r| {
        Box::pin(threads::copy(r))
    }),
    Route::guarded(GET, "/threads/{thread}/state", &[thread::Read::DEF], |r| Box::pin(state::get(r)))
        .foreseeing(ids::foreseen),
    Route::guarded(POST, "/threads/{thread}/state", &[thread::Update::DEF], |r| Box::pin(state::update(r))),
    Route::guarded(POST, "/threads/{thread}/state/checkpoint", &[thread::Read::DEF], |r| {
        Box::pin(state::post_at(r))
    }),
    Route::guarded(GET, "/threads/{thread}/state/{checkpoint}", &[thread::Read::DEF], |r| {
        Box::pin(state::get_at(r))
    }),
    Route::guarded(GET, "/threads/{thread}/history", &[thread::Read::DEF], |r| {
        Box::pin(state::get_history(r))
    }),
    Route::guarded(POST, "/threads/{thread}/history", &[thread::Read::DEF], |r| {
        Box::pin(state::post_history(r))
    }),
    Route::guarded(
        POST,
        "/threads/{thread}/runs",
        &[run::Create::DEF, thread::Create::DEF, assistant::Read::DEF],
        |r| Box::pin(runs::create(r)),
    ),
    Route::guarded(
        POST,
        "/threads/{thread}/runs/wait",
        &[run::Create::DEF, thread::Create::DEF, assistant::Read::DEF],
        |r| Box::pin(runs::wait(r)),
    ),
    Route::guarded(
        POST,
        "/threads/{thread}/runs/stream",
        &[run::Create::DEF, thread::Create::DEF, assistant::Read::DEF],
        |r| Box::pin(runs::stream(r)),
    ),
    Route::guarded(
        GET,
        "/threads/{thread}/runs",
        &[run::Read::DEF, thread::Read::DEF, thread::List::DEF],
        |r| Box::pin(runs::list(r)),
    ),
    Route::guarded(GET, "/threads/{thread}/runs/{run}", &[run::Read::DEF], |r| Box::pin(runs::get(r))),
    Route::guarded(DELETE, "/threads/{thread}/runs/{run}", &[run::Delete::DEF], |r| {
        Box::pin(runs::delete(r))
    }),
    Route::guarded(GET, "/threads/{thread}/runs/{run}/join", &[run::Read::DEF, thread::Read::DEF], |r| {
        Box::pin(runs::join(r))
    }),
    Route::guarded(GET, "/threads/{thread}/runs/{run}/stream", &[run::Read::DEF, run::Cancel::DEF], |r| {
        Box::pin(runs::join_stream(r))
    }),
    Route::guarded(POST, "/threads/{thread}/runs/{run}/cancel", &[run::Cancel::DEF], |r| {
        Box::pin(runs::cancel(r))
    }),
    Route::guarded(POST, "/runs/cancel", &[run::Cancel::DEF], |r| Box::pin(runs::cancel_named(r))),
    Route::guarded(POST, "/runs", &[run::Create::DEF, thread::Create::DEF, assistant::Read::DEF], |r| {
        Box::pin(stateless::create(r))
    }),
    Route::guarded(POST, "/runs/wait", &[run::Create::DEF, thread::Create::DEF, assistant::Read::DEF], |r| {
        Box::pin(stateless::wait(r))
    }),
    Route::guarded(
        POST,
        "/runs/stream",
        &[run::Create::DEF, thread::Create::DEF, assistant::Read::DEF],
        |r| Box::pin(stateless::stream(r)),
    ),
    Route::guarded(
        POST,
        "/runs/batch",
        &[run::Create::DEF, thread::Create::DEF, assistant::Read::DEF],
        |r| Box::pin(stateless::batch(r)),
    ),
    Route::guarded(POST, "/runs/crons", &[cron::Create::DEF, assistant::Read::DEF], |r| {
        Box::pin(crons::create(r))
    }),
    Route::guarded(
        POST,
        "/threads/{thread}/runs/crons",
        &[cron::Create::DEF, assistant::Read::DEF, thread::Read::DEF],
        |r| Box::pin(crons::create_in_thread(r)),
    ),
    Route::guarded(
        POST,
        "/runs/crons/search",
        &[cron::List::DEF, thread::List::DEF, thread::Read::DEF],
        |r| Box::pin(crons::search(r)),
    ),
    Route::guarded(
        POST,
        "/runs/crons/count",
        &[cron::List::DEF, thread::List::DEF, thread::Read::DEF],
        |r| Box::pin(crons::count(r)),
    ),
    Route::guarded(GET, "/runs/crons/{cron}", &[cron::Read::DEF], |r| Box::pin(crons::get(r))),
    Route::guarded(PATCH, "/runs/crons/{cron}", &[cron::Update::DEF], |r| Box::pin(crons::update(r))),
    Route::guarded(DELETE, "/runs/crons/{cron}", &[cron::Delete::DEF], |r| Box::pin(crons::delete(r))),
    Route::guarded(POST, "/assistants", &[assistant::Create::DEF, assistant::Read::DEF], |r| {
        Box::pin(assistants::create(r))
    }),
    Route::guarded(POST, "/assistants/search", &[assistant::List::DEF], |r| Box::pin(assistants::search(r))),
    Route::guarded(POST, "/assistants/count", &[assistant::List::DEF], |r| Box::pin(assistants::count(r))),
    Route::guarded(GET, "/assistants/{assistant}", &[assistant::Read::DEF], |r| Box::pin(assistants::get(r))),
    Route::guarded(PATCH, "/assistants/{assistant}", &[assistant::Update::DEF], |r| {
        Box::pin(assistants::update(r))
    }),
    Route::guarded(DELETE, "/assistants/{assistant}", &[assistant::Delete::DEF], |r| {
        Box::pin(assistants::delete(r))
    }),
    Route::guarded(GET, "/assistants/{assistant}/graph", &[assistant::Read::DEF], |r| {
        Box::pin(assistants::graph(r))
    }),
    Route::guarded(GET, "/assistants/{assistant}/schemas", &[assistant::Read::DEF], |r| {
        Box::pin(assistants::schemas(r))
    }),
    Route::guarded(GET, "/assistants/{assistant}/subgraphs", &[assistant::Read::DEF], |r| {
        Box::pin(assistants::subgraphs(r))
    }),
    Route::guarded(POST, "/assistants/{assistant}/versions", &[assistant::Read::DEF], |r| {
        Box::pin(assistants::versions(r))
    }),
    Route::guarded(POST, "/assistants/{assistant}/latest", &[assistant::Update::DEF], |r| {
        Box::pin(assistants::latest(r))
    }),
    Route::guarded(PUT, "/store/items", &[store_actions::Write::DEF], |r| Box::pin(store::put(r))),
    Route::guarded(GET, "/store/items", &[store_actions::Read::DEF], |r| Box::pin(store::get(r))),
    Route::guarded(DELETE, "/store/items", &[store_actions::Delete::DEF], |r| Box::pin(store::delete(r))),
    Route::guarded(POST, "/store/items/search", &[store_actions::Search::DEF], |r| {
        Box::pin(store::search(r))
    }),
    Route::guarded(POST, "/store/namespaces", &[store_actions::ListNamespaces::DEF], |r| {
        Box::pin(store::namespaces(r))
    }),
];

/// In front of the real server.
pub(crate) static UPSTREAM: &[Route] = &[
    Route::open(GET, "/ok", |r| Box::pin(service::ok(r))),
    Route::open(GET, "/info", |r| Box::pin(service::info(r))),
    Route::guarded(POST, "/threads", &[thread::Create::DEF, thread::Read::DEF], |r| {
        Box::pin(upstream::threads::create(r))
    }),
    Route::guarded(POST, "/threads/search", &[thread::List::DEF], |r| Box::pin(upstream::search::threads(r))),
    Route::guarded(POST, "/threads/count", &[thread::List::DEF], |r| {
        Box::pin(upstream::search::count_threads(r))
    }),
    Route::guarded(POST, "/threads/prune", &[thread::Delete::DEF], |r| Box::pin(upstream::threads::prune(r))),
    Route::guarded(GET, "/threads/{thread}", &[thread::Read::DEF], |r| Box::pin(upstream::threads::get(r)))
        .foreseeing(ids::foreseen),
    Route::guarded(PATCH, "/threads/{thread}", &[thread::Update::DEF], |r| {
        Box::pin(upstream::threads::update(r))
    }),
    Route::guarded(DELETE, "/threads/{thread}", &[thread::Delete::DEF], |r| {
        Box::pin(upstream::threads::delete(r))
    }),
    Route::guarded(POST, "/threads/{thread}/copy", &[thread::Read::DEF, thread::Create::DEF], |r| {
        Box::pin(upstream::threads::copy(r))
    }),
    Route::guarded(GET, "/threads/{thread}/state", &[thread::Read::DEF], |r| {
        Box::pin(upstream::state::get(r))
    })
    .foreseeing(ids::foreseen),
    Route::guarded(POST, "/threads/{thread}/state", &[thread::Update::DEF], |r| {
        Box::pin(upstream::state::update(r))
    }),
    Route::guarded(POST, "/threads/{thread}/state/checkpoint", &[thread::Read::DEF], |r| {
        Box::pin(upstream::state::post_at(r))
    }),
    Route::guarded(GET, "/threads/{thread}/state/{checkpoint}", &[thread::Read::DEF], |r| {
        Box::pin(upstream::state::get_at(r))
    }),
    Route::guarded(GET, "/threads/{thread}/history", &[thread::Read::DEF], |r| {
        Box::pin(upstream::state::get_history(r))
    }),
    Route::guarded(POST, "/threads/{thread}/history", &[thread::Read::DEF], |r| {
        Box::pin(upstream::state::post_history(r))
    }),
    Route::guarded(GET, "/threads/{thread}/stream", &[thread::Read::DEF], |r| {
        Box::pin(upstream::state::stream(r))
    }),
    Route::guarded(
        POST,
        "/threads/{thread}/runs",
        &[run::Create::DEF, thread::Create::DEF, assistant::Read::DEF],
        |r| Box::pin(upstream::runs::create(r)),
    ),
    Route::guarded(
        POST,
        "/threads/{thread}/runs/wait",
        &[run::Create::DEF, thread::Create::DEF, assistant::Read::DEF],
        |r| Box::pin(upstream::runs::wait(r)),
    ),
    Route::guarded(
        POST,
        "/threads/{thread}/runs/stream",
        &[run::Create::DEF, thread::Create::DEF, assistant::Read::DEF],
        |r| Box::pin(upstream::runs::stream(r)),
    ),
    Route::guarded(GET, "/threads/{thread}/runs", &[thread::Read::DEF, thread::List::DEF], |r| {
        Box::pin(upstream::runs::list(r))
    }),
    Route::guarded(GET, "/threads/{thread}/runs/{run}", &[run::Read::DEF], |r| {
        Box::pin(upstream::runs::get(r))
    }),
    Route::guarded(DELETE, "/threads/{thread}/runs/{run}", &[run::Delete::DEF], |r| {
        Box::pin(upstream::runs::delete(r))
    }),
    Route::guarded(GET, "/threads/{thread}/runs/{run}/join", &[run::Read::DEF, run::Cancel::DEF], |r| {
        Box::pin(upstream::runs::join(r))
    }),
    Route::guarded(GET, "/threads/{thread}/runs/{run}/stream", &[run::Read::DEF, run::Cancel::DEF], |r| {
        Box::pin(upstream::runs::join_stream(r))
    }),
    Route::guarded(POST, "/threads/{thread}/runs/{run}/cancel", &[run::Cancel::DEF], |r| {
        Box::pin(upstream::runs::cancel(r))
    }),
    Route::guarded(POST, "/runs/cancel", &[run::Cancel::DEF], |r| Box::pin(upstream::runs::cancel_named(r))),
    Route::guarded(POST, "/runs", &[run::Create::DEF, thread::Create::DEF, assistant::Read::DEF], |r| {
        Box::pin(upstream::runs::create_alone(r))
    }),
    Route::guarded(POST, "/runs/wait", &[run::Create::DEF, thread::Create::DEF, assistant::Read::DEF], |r| {
        Box::pin(upstream::runs::wait_alone(r))
    }),
    Route::guarded(
        POST,
        "/runs/stream",
        &[run::Create::DEF, thread::Create::DEF, assistant::Read::DEF],
        |r| Box::pin(upstream::runs::stream_alone(r)),
    ),
    Route::guarded(
        POST,
        "/runs/batch",
        &[run::Create::DEF, thread::Create::DEF, assistant::Read::DEF],
        |r| Box::pin(upstream::runs::batch(r)),
    ),
    Route::guarded(
        POST,
        "/runs/crons",
        &[cron::Create::DEF, run::Create::DEF, thread::Create::DEF, assistant::Read::DEF],
        |r| Box::pin(upstream::crons::create(r)),
    ),
    Route::guarded(
        POST,
        "/threads/{thread}/runs/crons",
        &[cron::Create::DEF, run::Create::DEF, thread::Create::DEF, thread::Read::DEF, assistant::Read::DEF],
        |r| Box::pin(upstream::crons::create_in_thread(r)),
    ),
    Route::guarded(
        POST,
        "/runs/crons/search",
        &[cron::List::DEF, thread::List::DEF, thread::Read::DEF],
        |r| Box::pin(upstream::crons::search(r)),
    ),
    Route::guarded(
        POST,
        "/runs/crons/count",
        &[cron::List::DEF, thread::List::DEF, thread::Read::DEF],
        |r| Box::pin(upstream::crons::count(r)),
    ),
    Route::guarded(GET, "/runs/crons/{cron}", &[cron::Read::DEF], |r| Box::pin(upstream::crons::get(r))),
    Route::guarded(
        PATCH,
        "/runs/crons/{cron}",
        &[cron::Update::DEF, run::Create::DEF, thread::Create::DEF, assistant::Read::DEF],
        |r| Box::pin(upstream::crons::update(r)),
    ),
    Route::guarded(DELETE, "/runs/crons/{cron}", &[cron::Delete::DEF], |r| {
        Box::pin(upstream::crons::delete(r))
    }),
    Route::guarded(POST, "/assistants", &[assistant::Create::DEF, assistant::Read::DEF], |r| {
        Box::pin(upstream::assistants::create(r))
    }),
    Route::guarded(POST, "/assistants/search", &[assistant::List::DEF], |r| {
        Box::pin(upstream::search::assistants(r))
    }),
    Route::guarded(POST, "/assistants/count", &[assistant::List::DEF], |r| {
        Box::pin(upstream::search::count_assistants(r))
    }),
    Route::guarded(GET, "/assistants/{assistant}", &[assistant::Read::DEF], |r| {
        Box::pin(upstream::assistants::get(r))
    }),
    Route::guarded(PATCH, "/assistants/{assistant}", &[assistant::Update::DEF], |r| {
        Box::pin(upstream::assistants::update(r))
    }),
    Route::guarded(DELETE, "/assistants/{assistant}", &[assistant::Delete::DEF], |r| {
        Box::pin(upstream::assistants::delete(r))
    }),
    Route::guarded(GET, "/assistants/{assistant}/graph", &[assistant::Read::DEF], |r| {
        Box::pin(upstream::assistants::graph(r))
    }),
    Route::guarded(GET, "/assistants/{assistant}/schemas", &[assistant::Read::DEF], |r| {
        Box::pin(upstream::assistants::schemas(r))
    }),
    Route::guarded(GET, "/assistants/{assistant}/subgraphs", &[assistant::Read::DEF], |r| {
        Box::pin(upstream::assistants::subgraphs(r))
    }),
    Route::guarded(POST, "/assistants/{assistant}/versions", &[assistant::Read::DEF], |r| {
        Box::pin(upstream::assistants::versions(r))
    }),
    Route::guarded(POST, "/assistants/{assistant}/latest", &[assistant::Update::DEF], |r| {
        Box::pin(upstream::assistants::latest(r))
    }),
    Route::guarded(PUT, "/store/items", &[store_actions::Write::DEF], |r| Box::pin(upstream::store::put(r))),
    Route::guarded(GET, "/store/items", &[store_actions::Read::DEF], |r| Box::pin(upstream::store::get(r))),
    Route::guarded(DELETE, "/store/items", &[store_actions::Delete::DEF], |r| {
        Box::pin(upstream::store::delete(r))
    }),
    Route::guarded(POST, "/store/items/search", &[store_actions::Search::DEF], |r| {
        Box::pin(upstream::store::search(r))
    }),
    Route::guarded(POST, "/store/namespaces", &[store_actions::ListNamespaces::DEF], |r| {
        Box::pin(upstream::store::namespaces(r))
    }),
];
