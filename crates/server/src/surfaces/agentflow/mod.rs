//! AgentFlow: its authentication document and today's API server (`10xscale-agentflow-cli` 0.6.1) in one surface.
//!
//! The document's routes (`/threads`) answer at the top level; today's (`/v1/...`) in an envelope `{data, metadata}`.
//! Observed with the real server; `docs/surfaces/agentflow.md` is the contract.

mod document;
mod envelope;
mod graph;
pub(crate) mod routes;
mod runs;
pub(crate) mod style;
mod subject;
mod threads;
