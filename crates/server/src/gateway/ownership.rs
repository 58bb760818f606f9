//! Claims of a request on what the upstream keeps; the engine decides and remembers.

use doorward_core::agents::ownership::Claim as Verdict;
use doorward_core::engine::Engine;
use doorward_core::error::Result;
use doorward_core::operation::Grant;
use doorward_core::random::bytes;

/// A resource that is the caller's.
#[derive(Debug)]
pub(crate) struct Claim {
    kind: &'static str,
    pub(crate) id: String,
    /// Whether this request made it so.
    pub(crate) is_new: bool,
}

impl Claim {
    /// Gives the resource up. Never fails the request: a claim that stays only keeps others out.
    pub(crate) async fn release(&self, engine: &Engine, grant: &Grant) {
        if let Err(error) = engine.ownership().release(grant, self.kind, &self.id).await {
            tracing::warn!(%error, "a claim could not be released");
        }
    }

    /// Marks the resource as gone for everybody.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn bury(&self, engine: &Engine, grant: &Grant) -> Result<()> {
        engine.ownership().bury(grant, self.kind, &self.id).await
    }
}

/// An id that nobody has: random, since whoever knows an id could ask for it first.
pub(crate) fn fresh_id(engine: &Engine) -> String {
    let mut random = bytes::<16>(engine.random());
    // RFC 9562 §5.4: agent servers expect the shape of a version 4 UUID.
    random[6] = random[6] & 0x0F | 0x40;
    random[8] = random[8] & 0x3F | 0x80;
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The caller's claim on a resource.
///
/// # Errors
/// `not_found`: somebody else's and nobody's are not told apart.
pub(crate) async fn owned(engine: &Engine, grant: &Grant, kind: &'static str, id: String) -> Result<Claim> {
    engine.ownership().check(grant, kind, &id).await?;
    Ok(Claim { kind, id, is_new: false })
}

/// The caller's claim on a resource, made now if nobody has one.
///
/// # Errors
/// `not_found` when it is somebody else's.
pub(crate) async fn claimed(engine: &Engine, grant: &Grant, kind: &'static str, id: String) -> Result<Claim> {
    let verdict = engine.ownership().claim(grant, kind, &id).await?;
    Ok(Claim { kind, id, is_new: verdict == Verdict::Made })
}
