//! The operator's collector of traces: bytes are POSTed to one URL, and nobody but the operator has a say in where that is.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::client::{BuildError, Settings, tls};

/// For connecting, sending and being answered.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection waits for the next batch.
const IDLE: Duration = Duration::from_secs(60);
/// Most bytes of an answer that are read, so that the connection can be used again. Nothing in it is looked at.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// A collector that takes OTLP over HTTP.
pub struct Collector {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
}

/// Why a batch was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotTaken {
    /// Whether it may be taken later (OTLP 1.9, §"Retryable Response Codes").
    pub may_be_later: bool,
    /// What happened, without any of the headers.
    pub what: String,
}

impl Collector {
    /// A collector at `uri`, which gets `headers` with each batch; nothing is connected yet. Of the settings only the authorities count.
    ///
    /// # Errors
    /// [`BuildError::Authorities`].
    pub fn new(uri: Uri, mut headers: HeaderMap, settings: &Settings) -> Result<Self, BuildError> {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("doorward/", env!("CARGO_PKG_VERSION"))));
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(settings)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self { client, uri, headers })
    }

    /// Sends one batch.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub async fn post(&self, batch: Bytes) -> Result<(), NotTaken> {
        let later = |what: String| NotTaken { may_be_later: true, what };
        let mut request =
            Request::post(self.uri.clone()).body(Full::new(batch)).expect("a URI that was parsed");
        *request.headers_mut() = self.headers.clone();
        let answered = async {
            let answer = self.client.request(request).await.map_err(|error| later(innermost(&error)))?;
            let status = answer.status();
            // What it says beside the status helps nobody here, and an endless answer is not waited for.
            let _ = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
            Ok(status)
        };
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(status)) if status.is_success() => Ok(()),
            Ok(Ok(status)) => {
                Err(NotTaken { may_be_later: is_for_now(status), what: format!("it answers {status}") })
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(later("it does not answer in time".to_owned())),
        }
    }
}

fn is_for_now(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

fn innermost(error: &dyn StdError) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}
