//! The engine over a real store: what people and agents can and cannot do.

mod agents;
mod anomalies;
mod api_keys;
mod audit;
mod events;
mod house;
mod hub_tokens;
mod identity;
mod issuers;
mod kept;
mod logins;
mod matrix;
mod policy;
mod processes;
mod proofs;
mod refresh;
mod remote_tokens;
mod revocation;
mod sessions;
mod signing_keys;
mod start_up;
mod stepped;
mod transfer;
mod users;
mod workspaces;
mod workspaces_anew;
