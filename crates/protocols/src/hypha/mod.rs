//! Hypha's wire (hypha-rpc 0.21.47 for Python, 0.21.40 for JavaScript): frames, addresses and values.
//!
//! ```text
//!  binary frame ─ head::Head::read ─► where to, which method; the rest stays as it came
//!  values       ─ value::read ──────► bounded in depth and in number
//!  "ws/client"  ─ address ──────────► workspace and client
//! ```

pub mod address;
pub mod head;
mod scan;
pub mod value;

pub use address::{Address, ServiceId};
pub use head::{Head, Stamp};
