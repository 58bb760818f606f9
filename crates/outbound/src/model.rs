//! Requests to a model server that speaks OpenAI's protocol, whose answers are read as they come.
//!
//! ```text
//! ModelUrl ─► ModelServer ─ ask ─► connect ─ TLS ─► head ─► ModelAnswer ─ next ─ next ─ …
//! ```
//! The operator alone chooses the address, so it may lie inside; what people write and the key go there, so it is https unless the server is
//! on this machine or the operator says otherwise. No redirects, nothing compressed. How long all of it may take and how much may come is
//! for the caller to say: dropping the answer ends the connection.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use doorward_core::ports::OutboundError;
use doorward_core::secret::SecretText;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue,
    RETRY_AFTER, USER_AGENT,
};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use url::{Host, Url};

use crate::client::{BuildError, MAX_HEAD_BYTES, Settings, failed, tls};

/// How long the server may take to accept a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection waits for its next request: less than servers on uvicorn or Node, which hang up after 5 s.
const IDLE: Duration = Duration::from_secs(4);
/// Longest address.
const MAX_URL_BYTES: usize = 2_048;
/// What is asked for, beneath the address.
const COMPLETIONS: &str = "/chat/completions";

/// Where a model server is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelUrl {
    uri: Uri,
    origin: String,
}

impl ModelUrl {
    /// Reads the address beneath which the server has `/chat/completions`, such as `https://api.openai.com/v1`. `plain` lets it be `http://`
    /// to another machine.
    ///
    /// # Errors
    /// What is wrong with it. Nothing of what it may hold beside its origin is told.
    pub fn parse(text: &str, plain: bool) -> Result<Self, String> {
        let refused = |what: &str| Err(what.to_owned());
        if text.len() > MAX_URL_BYTES {
            return Err(format!("it is longer than {MAX_URL_BYTES} bytes"));
        }
        let Ok(mut url) = Url::parse(text.trim()) else { return refused("it is no URL") };
        let Some(host) = url.host() else { return refused("it has no host") };
        if !url.username().is_empty() || url.password().is_some() {
            return refused("it holds a user or a password");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return refused("it has a query (?) or a fragment (#)");
        }
        match url.scheme() {
            "https" => {}
            "http" if plain || is_local(&host) => {}
            "http" => {
                return refused("what people write, and the key, would go to another machine in the clear");
            }
            _ => return refused("it is neither https:// nor http://"),
        }
        let path = url.path().trim_end_matches('/').to_owned();
        if path.ends_with(COMPLETIONS) {
            return Err(format!("it ends in {COMPLETIONS}, which is added to it"));
        }
        url.set_path(&format!("{path}{COMPLETIONS}"));
        let origin = url.origin().ascii_serialization();
        match url.as_str().parse() {
            Ok(uri) => Ok(Self { uri, origin }),
            Err(_) => refused("it has no one spelling"),
        }
    }

    /// Scheme, host and port, for people.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

fn is_local(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => IpAddr::V6(*address).to_canonical().is_loopback(),
    }
}

/// Whether a text can be a key: it has to fit into a header as it is.
#[must_use]
pub fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The server.
pub struct ModelServer {
    url: ModelUrl,
    key: Option<SecretText>,
    client: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl fmt::Debug for ModelServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelServer").field("origin", &self.url.origin).finish_non_exhaustive()
    }
}

impl ModelServer {
    /// A way to the server; nothing is connected yet. `ca_file` holds authorities to believe beside the system's.
    ///
    /// # Errors
    /// [`BuildError::Authorities`].
    pub fn new(url: ModelUrl, key: Option<SecretText>, ca_file: Option<PathBuf>) -> Result<Self, BuildError> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_PATIENCE));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(&Settings { allow: Vec::new(), ca_file })?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(8)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .build(connector);
        Ok(Self { url, key, client })
    }

    /// Posts `body`, which is JSON, and waits for the head of the answer.
    ///
    /// # Errors
    /// [`OutboundError::Unreachable`]; [`OutboundError::Unusable`] for what is no HTTP or is compressed.
    pub async fn ask(&self, body: Vec<u8>) -> Result<ModelAnswer, OutboundError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("doorward/", env!("CARGO_PKG_VERSION"))));
        if let Some(key) = &self.key {
            let value = HeaderValue::try_from(format!("Bearer {}", key.expose()));
            let mut value = value.map_err(|_| OutboundError::Refused("the key fits no header".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.uri.clone();
        *request.headers_mut() = headers;
        let answer = self.client.request(request).await.map_err(|error| failed(&error))?;
        let (head, body) = answer.into_parts();
        if head.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(OutboundError::Unusable("it is compressed".to_owned()));
        }
        let text = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let essence = |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Ok(ModelAnswer {
            status: head.status.as_u16(),
            media_type: text(CONTENT_TYPE).map(essence).unwrap_or_default(),
            retry_after: text(RETRY_AFTER).map(|text| text.chars().take(64).collect()),
            body,
        })
    }

    /// Scheme, host and port, for people.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.url.origin()
    }

    /// A text without the key, should the server repeat it.
    #[must_use]
    pub fn without_key(&self, text: &str) -> String {
        match &self.key {
            Some(key) => text.replace(key.expose().as_str(), "…"),
            None => text.to_owned(),
        }
    }
}

/// An answer whose head is there.
#[derive(Debug)]
pub struct ModelAnswer {
    /// The status.
    pub status: u16,
    /// The media type in small letters, without parameters; empty where none is named.
    pub media_type: String,
    /// `Retry-After` as it was written, shortened.
    pub retry_after: Option<String>,
    body: Incoming,
}

impl ModelAnswer {
    /// More of the body, as it comes; `None` at its end.
    ///
    /// # Errors
    /// [`OutboundError::Unreachable`] when it breaks off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, OutboundError> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                // What follows a body (trailers) says nothing of it.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => return Ok(Some(data)),
                    Err(_) => continue,
                },
                Some(Err(_)) => return Err(OutboundError::Unreachable("it broke off".to_owned())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_or_on_this_machine_and_nothing_stands_behind_it() {
        let asked = |text: &str| ModelUrl::parse(text, false).map(|url| url.uri.to_string());
        for (text, expected) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
            ("https://api.anthropic.com/v1/", "https://api.anthropic.com/v1/chat/completions"),
            (" https://gateway.example/openai/v1// ", "https://gateway.example/openai/v1/chat/completions"),
            ("https://models.example", "https://models.example/chat/completions"),
            ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1/chat/completions"),
            ("http://localhost:8000/v1", "http://localhost:8000/v1/chat/completions"),
            ("http://[::1]:8000/v1", "http://[::1]:8000/v1/chat/completions"),
            ("https://10.0.0.7/v1", "https://10.0.0.7/v1/chat/completions"),
        ] {
            assert_eq!(asked(text).as_deref(), Ok(expected), "{text}");
        }
        for bad in [
            "",
            "api.openai.com/v1",
            "http://10.0.0.7/v1",
            "http://models.internal/v1",
            "http://localhost.example/v1",
            "ftp://127.0.0.1/v1",
            "file:///v1",
            "https://user:secret@models.example/v1",
            "https://models.example/v1?key=secret",
            "https://models.example/v1#x",
            "https://models.example/v1/chat/completions",
            "https://",
        ] {
            let refused = asked(bad);
            assert!(refused.as_ref().is_err_and(|what| !what.contains("secret")), "{bad}: {refused:?}");
        }
        let said = ModelUrl::parse("http://models.internal:8000/v1", true);
        assert_eq!(said.as_ref().map(ModelUrl::origin), Ok("http://models.internal:8000"));
    }

    #[test]
    fn a_key_fits_into_a_header_as_it_is() {
        for (key, good) in
            [("sk-abc_123", true), ("", false), ("two words", false), ("a\nb", false), ("schlüssel", false)]
        {
            assert_eq!(is_key(key), good, "{key:?}");
        }
    }

    #[test]
    fn the_key_is_not_in_what_is_shown() {
        let url = ModelUrl::parse("https://models.example/v1", false).expect("an address");
        let server = ModelServer::new(url, Some("sk-secret".into()), None).expect("a client");
        assert_eq!(server.without_key("no such key: sk-secret!"), "no such key: …!");
        assert!(!format!("{server:?}").contains("sk-secret"));
    }
}
