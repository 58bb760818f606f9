//! What the engine asks of the world: traits that other crates implement.

pub mod deliveries;
pub mod directory;
pub mod documents;
pub mod handlers;
pub mod locations;
pub mod mailer;
pub mod outbound;
pub mod shared;
pub mod store;
pub mod threads;

pub use directory::Directory;
pub use handlers::Handlers;
pub use locations::{Locations, Nowhere};
pub use mailer::{Mail, MailError, Mailer, NoMailer};
pub use outbound::{Ask, NoWayOut, Outbound, OutboundError, Reply};
pub use shared::Shared;
pub use store::{Batch, Conflict, Durability, Store, StoreError, StoreFuture, Write};
