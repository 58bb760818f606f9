//! The one client.

use std::error::Error as StdError;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorward_core::ports::{Ask, Outbound, OutboundError, Reply};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    USER_AGENT,
};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::connector::{Connector, Inside};
use crate::policy::Policy;

/// For everything: resolving, connecting, asking, reading.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Largest head of an answer.
pub(crate) const MAX_HEAD_BYTES: usize = 32 << 10;

/// What an operator may choose.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Origins that are let through as they are.
    pub allow: Vec<String>,
    /// PEM certificates of authorities to believe beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// Why there is no client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildError {
    /// Something in `allow` is no origin.
    Allow(String),
    /// The certificates cannot be used.
    Authorities(String),
}

/// The one way out.
pub struct Client {
    policy: Policy,
    client: legacy::Client<HttpsConnector<Connector>, Full<Bytes>>,
}

impl Client {
    /// A client; nothing is connected yet.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn new(settings: &Settings) -> Result<Self, BuildError> {
        let policy = Policy::new(&settings.allow).map_err(BuildError::Allow)?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(settings)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Connector::new(policy.clone()));
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .pool_max_idle_per_host(8)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .build(connector);
        Ok(Self { policy, client })
    }

    async fn ask(&self, ask: Ask) -> Result<Reply, OutboundError> {
        let request = request(&self.policy, ask)?;
        let answer = self.client.request(request).await.map_err(|error| failed(&error))?;
        read(answer).await
    }
}

impl Outbound for Client {
    fn send(&self, ask: Ask) -> BoxFuture<'_, Result<Reply, OutboundError>> {
        async move {
            tokio::time::timeout(PATIENCE, self.ask(ask)).await.unwrap_or(Err(OutboundError::TimedOut))
        }
        .boxed()
    }

    fn check(&self, url: &str) -> Result<String, OutboundError> {
        let target = self.policy.target(url)?;
        if target.url.fragment().is_some() {
            return Err(OutboundError::Refused("it has a fragment (#)".to_owned()));
        }
        Ok(target.url.into())
    }
}

pub(crate) fn tls(settings: &Settings) -> Result<ClientConfig, BuildError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &settings.ca_file {
        let bad = |what: String| BuildError::Authorities(format!("{}: {what}", path.display()));
        let text = fs::read(path).map_err(|error| bad(error.to_string()))?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let found = found.map_err(|error| bad(error.to_string()))?;
        if found.is_empty() {
            return Err(bad("there is no certificate in it".to_owned()));
        }
        for certificate in found {
            roots.add(certificate).map_err(|error| bad(error.to_string()))?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| BuildError::Authorities(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn request(policy: &Policy, ask: Ask) -> Result<Request<Full<Bytes>>, OutboundError> {
    let target = policy.target(&ask.url)?;
    let bad = |what: &str| OutboundError::Refused(what.to_owned());
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("doorward/", env!("CARGO_PKG_VERSION"))));
    let method = if ask.body.is_some() { Method::POST } else { Method::GET };
    let body = match ask.body {
        Some((media, bytes)) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
            Bytes::from(bytes)
        }
        None => Bytes::new(),
    };
    for (name, value) in ask.headers {
        let mut value = HeaderValue::try_from(value).map_err(|_| bad("a header's value is no text"))?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = target.url.as_str().parse().map_err(|_| bad("the URL has no one spelling"))?;
    *request.headers_mut() = headers;
    Ok(request)
}

async fn read(answer: Response<Incoming>) -> Result<Reply, OutboundError> {
    let (head, body) = answer.into_parts();
    let unusable = |what: &str| OutboundError::Unusable(what.to_owned());
    if head.status.is_informational() {
        return Err(unusable("it switched protocols"));
    }
    // None was asked for, and what is small on the wire need not be small unpacked.
    if head.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(unusable("it is compressed"));
    }
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(|error| {
        match error.downcast_ref::<http_body_util::LengthLimitError>() {
            Some(_) => unusable("it is larger than 1 MiB"),
            None => OutboundError::Unreachable("it broke off".to_owned()),
        }
    })?;
    Ok(Reply {
        status: head.status.as_u16(),
        body: body.to_bytes().into(),
        max_age_s: head.headers.get(CACHE_CONTROL).and_then(|value| max_age_s(value.to_str().ok()?)),
        retry_after_s: head
            .headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok()),
    })
}

/// `max-age` (RFC 9111 §5.2.2.1); what must not be kept, or only after asking again, is old at once.
fn max_age_s(value: &str) -> Option<i64> {
    let directives = || value.split(',').map(str::trim);
    if directives().any(|word| word.eq_ignore_ascii_case("no-store") || word.eq_ignore_ascii_case("no-cache"))
    {
        return Some(0);
    }
    directives().find_map(|directive| {
        let (name, seconds) = directive.split_once('=')?;
        let seconds = seconds.trim_matches('"').parse().ok();
        seconds.filter(|seconds| *seconds >= 0 && name.eq_ignore_ascii_case("max-age"))
    })
}

pub(crate) fn failed(error: &legacy::Error) -> OutboundError {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    let mut deepest = error.to_string();
    while let Some(found) = cause {
        let inner = found.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let inside = found.downcast_ref::<Inside>().or_else(|| inner?.downcast_ref::<Inside>());
        if let Some(inside) = inside {
            return OutboundError::Refused(inside.0.clone());
        }
        if found.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return OutboundError::Unusable(found.to_string());
        }
        deepest = found.to_string();
        cause = found.source();
    }
    OutboundError::Unreachable(deepest)
}

#[cfg(test)]
mod tests {
    use super::max_age_s;

    #[test]
    fn how_long_an_answer_may_be_kept() {
        for (value, expected) in [
            ("max-age=300", Some(300)),
            ("public, Max-Age=\"60\", must-revalidate", Some(60)),
            ("no-store", Some(0)),
            ("max-age=300, no-cache", Some(0)),
            ("max-age=-1", None),
            ("max-age=x", None),
            ("s-maxage=5", None),
            ("", None),
        ] {
            assert_eq!(max_age_s(value), expected, "{value:?}");
        }
    }
}
