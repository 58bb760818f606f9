//! Accounts that come from other systems, and accounts that are taken out.
//!
//! ```text
//! a file's row ─ the format's reader ─► Incoming ─ Users::import ─► Made · AlreadyThere · why not
//! Users::export ─► Outgoing, one after the other ─► a file that Users::import takes
//! ```
//!
//! An account is imported whole or not at all, and never into one that is there: whoever has the address here stays who they are. Its id
//! follows from what the other system called it, so that an import that is run again finds what it made before.

mod export;
mod import;
mod origin;

pub use export::{Outgoing, OutgoingPassword};
pub use import::{Administrators, Imported, Incoming, IncomingPassword, OurHash};
pub use origin::Origin;
