//! Clients that are connected over plain HTTP: each has a stream that is open, and sends by requests of their own.
//!
//! A request says whose it is by names that others can know (`from` of every call has them), so it has to show that it comes from whoever
//! opened the stream: by the same credential, or, where none was shown, by a cookie that the stream's answer left.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use doorward_core::principal::AuthContext;
use doorward_core::secret::SecretText;
use doorward_hub::Sender;
use doorward_protocols::encoding::base64url_encode;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::socket::Bucket;
use crate::http::browser::cookie;
use crate::server::MessageRate;

/// The streams of a mount, by `workspace/client`.
#[derive(Default)]
pub(crate) struct Streams(Mutex<HashMap<String, Arc<Stream>>>);

/// What shows that a request comes from whoever opened a stream.
pub(super) enum Proof {
    /// The credential that was shown then.
    Credential(Box<AuthContext>),
    /// What the stream's answer left as a cookie.
    Cookie(SecretText),
}

/// A stream that is open.
pub(super) struct Stream {
    pub(super) sender: Sender,
    address: String,
    proof: Proof,
    bucket: Mutex<Bucket>,
    /// Requests of its client so far.
    requests: AtomicU64,
    open: AtomicBool,
}

/// The name of a stream's cookie.
pub(super) fn cookie_name(address: &str) -> String {
    format!("doorward-hypha-rpc-{}", base64url_encode(address.as_bytes()))
}

impl Streams {
    /// Notes a stream; one of the same client's that is there has ended.
    pub(super) fn insert(
        &self,
        address: String,
        sender: Sender,
        proof: Proof,
        rate: MessageRate,
    ) -> Arc<Stream> {
        let stream = Arc::new(Stream {
            sender,
            address: address.clone(),
            proof,
            bucket: Mutex::new(Bucket::full(rate, Instant::now())),
            requests: AtomicU64::new(0),
            open: AtomicBool::new(true),
        });
        if let Some(before) = self.0.lock().insert(address, Arc::clone(&stream)) {
            before.open.store(false, Ordering::Release);
        }
        stream
    }

    pub(super) fn find(&self, address: &str) -> Option<Arc<Stream>> {
        self.0.lock().get(address).cloned()
    }

    /// Forgets a stream that ended; what its client sends from now on is nobody's.
    pub(super) fn remove(&self, stream: &Arc<Stream>) {
        stream.open.store(false, Ordering::Release);
        let mut streams = self.0.lock();
        if streams.get(&stream.address).is_some_and(|there| Arc::ptr_eq(there, stream)) {
            streams.remove(&stream.address);
        }
    }
}

impl Stream {
    /// Whether a request comes from whoever opened it.
    pub(super) fn is_of(&self, auth: &AuthContext, headers: &HeaderMap) -> bool {
        match &self.proof {
            Proof::Credential(opened_by) => opened_by.came_by_the_same_credential(auth),
            // A credential that is shown says who asks, whatever cookies come along.
            Proof::Cookie(_) if !auth.is_anonymous() => false,
            Proof::Cookie(secret) => cookie(headers, &cookie_name(&self.address))
                .is_some_and(|given| secret.matches(given.as_bytes())),
        }
    }

    /// Counts a request; the answer is whether there may be one more now.
    pub(super) fn count(&self) -> bool {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bucket.lock().take(Instant::now())
    }

    /// Requests of its client so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Whether it goes on.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }
}
