//! LangGraph's agent server API, as langgraph-api 0.16.7 answers it and its SDKs 0.1.48 and 0.4.14 read it.

mod assistants;
mod body;
mod budget;
mod checkpoints;
pub(crate) mod clockwork;
mod crons;
mod emitter;
mod ids;
mod messages;
pub(super) mod routes;
mod run_request;
mod runs;
mod search;
mod service;
mod state;
mod stateless;
mod store;
mod stream;
pub(super) mod style;
mod threads;
pub(crate) mod upstream;
mod views;
