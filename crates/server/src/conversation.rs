//! A run in a thread that is made for it: what the surfaces do whose clients name no thread.

use doorward_core::agents::runs::Running;
use doorward_core::agents::threads::{NewMessage, NewThread};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{run, thread};
use doorward_core::error::Result;
use doorward_core::id::ThreadId;
use doorward_core::operation::Permit;

use crate::request::Request;

/// Begins a run in a new thread of the caller's.
///
/// # Errors
/// The decision's, and the services'; no thread is left behind.
pub(crate) async fn begin(
    request: &Request,
    permit: Permit<run::Create>,
    said: Vec<NewMessage>,
) -> Result<(ThreadId, Running)> {
    let engine = &request.engine;
    let made = match request.permit::<thread::Create>(Target::any()) {
        Ok(leave) => engine.threads().create(leave, NewThread::default()).await,
        Err(error) => Err(error),
    };
    let thread = match made {
        Ok(made) => made.id,
        Err(error) => return permit.close(Err(error)),
    };
    match engine.runs().start(permit, &thread, said).await {
        Ok(running) => Ok((thread, running)),
        Err(error) => {
            // A thread that was made for a run that never began is nobody's wish.
            let leave = request.permit::<thread::Delete>(Target::named(thread.as_str()))?;
            engine.threads().delete(leave, &thread).await?;
            Err(error)
        }
    }
}
