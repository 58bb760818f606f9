//! What the engine asks of the world: traits that other crates implement.

pub mod outbound;
pub mod shared;
pub mod store;

pub use outbound::{Ask, NoWayOut, Outbound, OutboundError, Reply};
pub use shared::Shared;
pub use store::{Batch, Conflict, Durability, Store, StoreError, StoreFuture, Write};
