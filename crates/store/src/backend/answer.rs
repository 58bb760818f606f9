//! A result that may be there at once.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use doorward_core::ports::{StoreError, StoreFuture};

/// A result that is there, or comes later. An embedded database answers at once and saves the allocation.
pub enum Answer<'a, T> {
    /// The result; `None` once taken.
    Now(Option<Result<T, StoreError>>),
    /// The result, later.
    Later(StoreFuture<'a, T>),
}

impl<T> Answer<'_, T> {
    /// A result that is there.
    #[must_use]
    pub fn now(result: Result<T, StoreError>) -> Self {
        Self::Now(Some(result))
    }
}

impl<T: Unpin> Future for Answer<'_, T> {
    type Output = Result<T, StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Now(result) => {
                Poll::Ready(result.take().expect("a future is not polled after it answered"))
            }
            Self::Later(future) => future.as_mut().poll(context),
        }
    }
}
