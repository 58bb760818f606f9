//! The server as its clients see it: over sockets, with a whole engine behind it.

mod agentflow;
mod bad_input;
mod cookies;
mod description;
mod gateway;
mod house;
mod limits;
mod native;
mod sockets;
mod start;
mod wire;
