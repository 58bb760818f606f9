//! Handlers run to their end.
//!
//! A client that leaves must not stop an act half-way, and a fault in a handler must not take the connection with it. So one that
//! has to wait goes on on a task of its own. Most have their answer at once, and waking another worker for those would cost more
//! than what they do.

use std::any::Any;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::task::Poll;

use doorward_core::error::{Error, Result, codes};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

/// The answer of `work`, which nothing but the end of the process stops.
///
/// # Errors
/// Its own; `internal` where it panics.
pub(crate) async fn to_the_end<T: Send + 'static>(work: BoxFuture<'static, Result<T>>) -> Result<T> {
    let mut work = AssertUnwindSafe(work).catch_unwind();
    match poll_fn(|context| Poll::Ready(work.poll_unpin(context))).await {
        Poll::Ready(Ok(done)) => done,
        Poll::Ready(Err(fault)) => Err(faulty(&*fault)),
        // Nothing is awaited between the two polls.
        Poll::Pending => match tokio::spawn(work).await {
            Ok(Ok(done)) => done,
            Ok(Err(fault)) => Err(faulty(&*fault)),
            Err(ended) => Err(Error::new(codes::INTERNAL).operator(format!("handler: {ended}"))),
        },
    }
}

fn faulty(fault: &(dyn Any + Send)) -> Error {
    let what = fault.downcast_ref::<String>().map(String::as_str);
    let what = what.or_else(|| fault.downcast_ref::<&str>().copied()).unwrap_or("no text");
    Error::new(codes::INTERNAL).operator(format!("handler panicked: {what}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;
    use tokio::task;

    use super::*;

    #[tokio::test]
    async fn what_has_its_answer_at_once_wakes_nobody() {
        let here = tokio::spawn(async {
            let here = task::id();
            (here, to_the_end(async { Ok(task::id()) }.boxed()).await.expect("an answer"))
        });
        let (here, ran_on) = here.await.expect("ran");
        assert_eq!(here, ran_on);
    }

    #[tokio::test]
    async fn what_has_begun_goes_on_when_nobody_waits_any_more() {
        let (go, ended) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let work = {
            let (go, ended) = (Arc::clone(&go), Arc::clone(&ended));
            async move {
                go.acquire().await.expect("open").forget();
                ended.add_permits(1);
                Ok(())
            }
        };
        let waiting = tokio::spawn(to_the_end(work.boxed()));
        task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.is_err_and(|ended| ended.is_cancelled()));
        go.add_permits(1);
        ended.acquire().await.expect("it went on").forget();
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error_before_and_after_it_waits() {
        for waits in [false, true] {
            let work = async move {
                if waits {
                    task::yield_now().await;
                }
                let nothing: Option<()> = [].first().copied();
                nothing.expect("out of order");
                Ok(())
            };
            let error = to_the_end(work.boxed()).await.expect_err("a fault");
            assert!(error.is(codes::INTERNAL));
            assert_eq!(error.operator_detail(), Some("handler panicked: out of order"));
        }
    }
}
