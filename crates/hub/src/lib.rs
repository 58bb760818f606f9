//! Hypha's hub: who is connected in which workspace, what they offer each other, and the messages between them.
//!
//! ```text
//!  transport ─ Call ──► Hub::connect ─► Link        who somebody is was found out before; where they may be is decided here
//!  frame ─────────────► Hub::receive                 its head is read, the sender's name written into it
//!     to a client ────► that client's outbox         every other byte as it came
//!     to the server ──► a row of a table of methods  decided, carried and audited like every act of Doorward
//!  Link::next ────────► transport
//! ```
//!
//! It knows no transport: WebSockets and HTTP are the server's. Wire facts: hypha-rpc 0.21.47, Hypha 0.21.137.

mod args;
mod artifacts;
mod built_in;
mod caller;
mod calls;
mod connect;
mod counts;
mod events;
mod fault;
mod hub;
mod login;
mod manager;
mod outbox;
mod peer;
mod provided;
mod refused;
mod registry;
mod relief;
mod room;
mod route;
mod serve;
mod space;
mod start_up;
mod user;
mod visit;
mod waiting;

pub use args::Args;
pub use caller::{Conversation, Incoming, Sender, raised};
pub use connect::Hello;
pub use counts::Counts;
pub use fault::Fault;
pub use hub::{Hub, Settings};
pub use login::{Approval, KEY_LIFE, Logins, PAGE};
pub use outbox::Out;
pub use peer::Link;
pub use refused::{Refused, Why};
pub use registry::{Service, Visibility};
pub use start_up::CustomLogin;
pub use user::UserInfo;
pub use visit::{Offer, Ours, Visit};
