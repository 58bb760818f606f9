//! Letters on their way: a bounded queue that tries again, so that nobody waits for a mail server and nobody can tell by the time
//! an answer takes whether one was written.
//!
//! ```text
//! proofs ─ letters ─► Post (at most 256 waiting) ─ worker ─► ports::Mailer ─ taken · again after 2, 10, 60, 300 s · given up
//! ```
//! What waits lives in memory: a restart loses it, and whoever misses a letter asks for another.

mod kept;
mod letters;
mod markup;
mod post;
mod templates;

pub use kept::KeptMails;
pub(crate) use post::Post;
pub(crate) use templates::Facts;
pub use templates::Templates;
