//! Something that happens between any two steps of something else.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A future that goes on only when it is told to.
pub(crate) struct Stepped<'f, T> {
    future: Pin<Box<dyn Future<Output = T> + 'f>>,
    woken: Arc<Woken>,
}

impl<'f, T> Stepped<'f, T> {
    pub(crate) fn new(future: impl Future<Output = T> + 'f) -> Self {
        Self { future: Box::pin(future), woken: Arc::default() }
    }

    /// One step. When it returns `None`, what the next step waits for is there.
    pub(crate) async fn step(&mut self) -> Option<T> {
        self.woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.woken));
        if let Poll::Ready(value) = self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(value);
        }
        while !self.woken.0.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        None
    }

    /// All steps that are left.
    pub(crate) async fn finish(mut self) -> T {
        loop {
            if let Some(value) = self.step().await {
                return value;
            }
        }
    }
}
