//! Errors of the library: each is an answer by itself.

use std::sync::Arc;

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use doorward_core::authz::ActionError;
use doorward_core::error::{Error as Failed, Kind, codes};
use doorward_core::ports::StoreError;

use crate::cli::Failure;

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A refusal or failure.
///
/// As an answer it is what a native route of Doorward's server says: an RFC 9457 problem with a stable `code`, and with
/// `WWW-Authenticate` or `Retry-After` where its kind asks for one. The layer puts the request's id into it and writes what only operators
/// may know to the log. Its `Display` is safe to show; its `Debug` is for logs.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] Failed);

impl Error {
    /// What is asked for is not there, or is somebody else's: the same answer.
    #[must_use]
    pub fn not_found() -> Self {
        Self(Failed::new(codes::NOT_FOUND))
    }

    /// This is not allowed, whoever asks.
    #[must_use]
    pub fn forbidden() -> Self {
        Self(Failed::new(codes::FORBIDDEN))
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.code().kind
    }

    /// The stable code, such as `scope_missing`; `docs/reference/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code().name
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status()
    }

    /// When a retry may help, in seconds.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u32> {
        self.0.retry_after()
    }

    /// The engine's own error.
    #[must_use]
    pub fn into_inner(self) -> Failed {
        self.0
    }

    pub(super) fn internal(what: &str) -> Self {
        Self(Failed::new(codes::INTERNAL).operator(what))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

/// The error of an answer, for the layer.
#[derive(Clone)]
pub(super) struct Refused(pub(super) Arc<Failed>);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        // Without the layer there is neither an id nor a clock; native problems tell no time.
        let mut answer = from_bytes(doorward_server::problem(&self.0, None, 0));
        answer.extensions_mut().insert(Refused(Arc::new(self.0)));
        answer
    }
}

pub(super) fn from_bytes(answer: http::Response<Bytes>) -> Response {
    answer.map(Body::from)
}

/// Why [`Builder::build`](crate::Builder::build) made nothing.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Settings, roles or files that cannot be used, or a store that cannot be opened; each says what to do.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// Actions of the application's own that cannot be declared.
    #[error("actions: {0}")]
    Actions(#[from] ActionError),
    /// [`Builder::mount`](crate::Builder::mount) names one that there is not.
    #[error(
        "there is no mount {0:?}; the configuration's [mounts] names them, and \"native\" is always there"
    )]
    NoMount(String),
    /// [`Builder::mount`](crate::Builder::mount) names one where a platform's handlers decide what callers may do. They are asked about
    /// LangGraph's things, and leave that extractors ask for is about the application's.
    #[error(
        "the mount {0:?} lets the handlers of its langgraph.json decide what callers may do, and they know nothing of an application's \
         routes; name another mount, or leave auth out of its langgraph.json"
    )]
    Handlers(String),
}
