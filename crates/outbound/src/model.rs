//! Requests to a model server that speaks OpenAI's protocol, whose answers are read as they come.
//!
//! ```text
//! ModelUrl ─► ModelServer ─ ask ─► connect ─ TLS ─► head ─► ModelAnswer ─ next ─ next ─ …
//! ```
//! The operator alone chooses the address, so it may lie inside; what people write and the key go there, so it is https unless the server is
//! on this machine or the operator says otherwise. No redirects, nothing compressed. How long all of it may take and how much may come is
//! for the caller to say: dropping the answer ends the connection.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
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
use tower_service::Service;
use url::{Host, Url};

use crate::client::{BuildError, MAX_HEAD_BYTES, Settings, failed, tls};

/// How long the server may take to accept a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long everything may take until there is a connection: its name, each of its addresses, TLS.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection waits for its next request: less than servers on uvicorn or Node, which hang up after 5 s.
const IDLE: Duration = Duration::from_secs(4);
/// Longest address.
const MAX_URL_BYTES: usize = 2_048;
/// Longest media type.
const MAX_MEDIA_TYPE_BYTES: usize = 127;
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
    client: legacy::Client<Hurried<HttpsConnector<HttpConnector>>, Full<Bytes>>,
}

/// Gives up on a connection that is not there in time. The client lets one that its request no longer waits for go on by itself, beyond the
/// reach of any limit of the request's.
#[derive(Clone)]
struct Hurried<C> {
    connector: C,
    patience: Duration,
}

impl<C> Service<Uri> for Hurried<C>
where
    C: Service<Uri> + 'static,
    C::Future: Send + 'static,
    C::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = C::Response;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connector.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.patience, self.connector.call(uri));
        Box::pin(async move {
            match connecting.await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
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
        Self::with(url, key, ca_file, HANDSHAKE_PATIENCE)
    }

    fn with(
        url: ModelUrl,
        key: Option<SecretText>,
        ca_file: Option<PathBuf>,
        patience: Duration,
    ) -> Result<Self, BuildError> {
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
            .build(Hurried { connector, patience });
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
        // Both are logged, and a server may repeat the key anywhere, in part too: they are kept as what they are for alone.
        let text = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        Ok(ModelAnswer {
            status: head.status.as_u16(),
            media_type: text(CONTENT_TYPE).and_then(media_type).unwrap_or_default(),
            retry_after: text(RETRY_AFTER).filter(|text| is_time(text)).map(str::to_owned),
            body,
        })
    }

    /// Scheme, host and port, for people.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.url.origin()
    }

    /// A text without the key, should the server repeat it, in whichever letters.
    #[must_use]
    pub fn without_key(&self, text: &str) -> String {
        let Some(key) = &self.key else { return text.to_owned() };
        let key = SecretText::new(key.expose().to_ascii_lowercase());
        let key = key.expose().as_str();
        // Letters of ASCII alone change, so both have the same places.
        let small = text.to_ascii_lowercase();
        let (mut shown, mut from) = (String::with_capacity(text.len()), 0);
        for (at, _) in small.match_indices(key) {
            shown.push_str(&text[from..at]);
            shown.push('…');
            from = at + key.len();
        }
        shown.push_str(&text[from..]);
        shown
    }
}

/// The media type in small letters, if it is one (RFC 9110 §8.3.1).
fn media_type(text: &str) -> Option<String> {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let (kind, subkind) = essence.split_once('/')?;
    let fits = essence.len() <= MAX_MEDIA_TYPE_BYTES && is_token(kind) && is_token(subkind);
    fits.then(|| essence.to_ascii_lowercase())
}

/// Whether this is what `Retry-After` holds (RFC 9110 §10.2.3): seconds, or a date such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn is_time(text: &str) -> bool {
    let is_number = !text.is_empty() && text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit());
    let form = b"Aaa, 00 Aaa 0000 00:00:00 GMT";
    let is_date = text.len() == form.len()
        && text.bytes().zip(form).all(|(b, form)| match form {
            b'0' => b.is_ascii_digit(),
            b'A' => b.is_ascii_uppercase(),
            b'a' => b.is_ascii_lowercase(),
            other => b == *other,
        });
    is_number || is_date
}

/// An answer whose head is there.
#[derive(Debug)]
pub struct ModelAnswer {
    /// The status.
    pub status: u16,
    /// The media type in small letters, without parameters; empty where none is named, or none that can be one.
    pub media_type: String,
    /// `Retry-After` as it was written, if it is a number or a date.
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
        assert_eq!(server.without_key("é SK-SECRET, Sk-Secret"), "é …, …");
        assert!(!format!("{server:?}").contains("sk-secret"));
    }

    #[test]
    fn headers_are_kept_as_what_they_are_for_alone() {
        assert_eq!(media_type("Text/Event-Stream; charset=utf-8").as_deref(), Some("text/event-stream"));
        for none in ["", "text", "a key/of mine", "/", "text/", "text/html\u{e9}", &"x/y".repeat(50)] {
            assert_eq!(media_type(none), None, "{none}");
        }
        for (text, expected) in [
            ("17", true),
            ("Sun, 06 Nov 1994 08:49:37 GMT", true),
            ("", false),
            ("12345678901", false),
            ("sk-secret", false),
            ("17 sk-secret", false),
            ("sun, 06 Nov 1994 08:49:37 GMT", false),
        ] {
            assert_eq!(is_time(text), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn a_handshake_that_stalls_is_given_up_by_itself() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        // It accepts and says nothing of TLS.
        let left = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut Vec::new()).await
        });
        let url = ModelUrl::parse(&format!("https://127.0.0.1:{port}/v1"), false).expect("an address");
        let server = ModelServer::with(url, None, None, Duration::from_millis(50)).expect("a client");
        let error = server.ask(b"{}".to_vec()).await.expect_err("nobody but the connector gives up");
        assert!(matches!(error, OutboundError::Unreachable(_)), "{error:?}");
        assert!(left.await.expect("the server is told").is_ok());
    }
}
