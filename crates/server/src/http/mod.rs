//! HTTP for strangers: bounded, with one reading, and answered in one voice.
//!
//! ```text
//! socket ─ guard (framing) ─► hyper ─► listener ─► Answering          bytes to requests
//! TLS that agreed to it ─ second ─► hyper ─► Answering                the same over HTTP/2
//! request ─ origin, extract, pairs ─► what the engine asks for        nothing verified here
//! answer or error ─ respond ─► the surface's style                    errors become answers in one place
//! ```

pub(crate) mod body;
pub(crate) mod browser;
pub(crate) mod cors;
pub(crate) mod duplex;
pub(crate) mod extract;
pub(crate) mod frames;
pub(crate) mod framing;
pub(crate) mod guard;
mod last_word;
pub(crate) mod listener;
mod metered;
pub(crate) mod origin;
pub(crate) mod page;
pub(crate) mod pairs;
pub(crate) mod respond;
mod second;
pub(crate) mod shares;
pub(crate) mod sources;
pub(crate) mod tls;
pub(crate) mod websocket;
