//! `[telemetry]`: traces of requests, for an OpenTelemetry collector.

use std::fmt;
use std::path::PathBuf;

use doorward_core::secret::SecretText;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::Uri;
use percent_encoding::percent_decode_str;

use super::section::{Key, Section};

/// Where traces go.
pub struct Telemetry {
    /// The URL that takes them (OTLP over HTTP); none are made where there is none.
    pub traces_url: Option<Uri>,
    /// What is sent with them, such as a key of the collector's.
    pub headers: HeaderMap,
    /// The file that the headers came from.
    pub headers_file: Option<PathBuf>,
    /// `service.name`.
    pub service_name: String,
    /// What else is said of this server, by name.
    pub resource: Vec<(String, String)>,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("traces_url", &self.traces_url).finish_non_exhaustive()
    }
}

pub(super) const KEYS: &[Key] = &[
    Key::optional(
        "otlp_endpoint",
        "\"http://127.0.0.1:4318\"",
        "A collector that takes OTLP over HTTP (protobuf); /v1/traces is added. Without one nothing is traced.",
    ),
    Key::secret(
        "otlp_headers",
        "\"x-api-key=${COLLECTOR_KEY}\"",
        "Headers for it, as OTEL_EXPORTER_OTLP_HEADERS has them: name=value, separated by commas, values percent-encoded.",
    ),
    Key::optional(
        "otlp_headers_file",
        "\"/etc/doorward/otlp.headers\"",
        "A file that holds the headers instead. Mode 0600.",
    ),
    Key::new("service_name", "\"doorward\"", "What this server is called in traces: service.name."),
    Key::new(
        "resource",
        "[]",
        "What else is said of it, as name=value: \"deployment.environment.name=production\".",
    ),
];

impl Telemetry {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let is_given = section.is_given("otlp_endpoint");
        let endpoint = section.text("otlp_endpoint");
        let traces_url = endpoint.as_deref().and_then(traces_url);
        if let (Some(text), None) = (&endpoint, &traces_url) {
            let mend = "write it like http://127.0.0.1:4318, without user, query and fragment";
            section.refuse("otlp_endpoint", format!("{text:?} is not the address of a collector"), mend);
        }
        let headers_file =
            section.is_given("otlp_headers_file").then(|| section.path("otlp_headers_file")).flatten();
        let headers = headers(&mut section);
        let service_name = section.text("service_name");
        let resource = resource(&mut section);
        section.finish();
        if is_given && traces_url.is_none() {
            return None;
        }
        Some(Self {
            traces_url,
            headers: headers?,
            headers_file,
            service_name: service_name?,
            resource: resource?,
        })
    }
}

fn traces_url(endpoint: &str) -> Option<Uri> {
    let base = super::server::base_url(endpoint)?;
    format!("{base}/v1/traces").parse().ok()
}

fn headers(section: &mut Section<'_>) -> Option<HeaderMap> {
    if !section.is_given("otlp_headers") && !section.is_given("otlp_headers_file") {
        return Some(HeaderMap::new());
    }
    let text: SecretText = section.secret("otlp_headers", "otlp_headers_file")?;
    let headers = parse(text.expose());
    if headers.is_none() {
        let mend = "write name=value, separated by commas; percent-encode what is not plain in a value";
        section.refuse("otlp_headers", "these are no headers", mend);
    }
    headers
}

/// As OpenTelemetry's environment variable has them; a value is shown to nobody.
fn parse(text: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',') {
        let (name, value) = pair.split_once('=')?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Some(headers)
}

fn resource(section: &mut Section<'_>) -> Option<Vec<(String, String)>> {
    let texts = section.list("resource")?;
    let pairs: Vec<_> = texts.iter().filter_map(|text| text.split_once('=')).collect();
    if pairs.len() != texts.len() || pairs.iter().any(|(name, _)| name.trim().is_empty()) {
        section.refuse("resource", "something in it is not name=value", "write \"service.namespace=agents\"");
        return None;
    }
    Some(pairs.into_iter().map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_go_below_the_endpoint() {
        for (endpoint, url) in [
            ("http://127.0.0.1:4318", Some("http://127.0.0.1:4318/v1/traces")),
            ("https://otel.example/otlp/", Some("https://otel.example/otlp/v1/traces")),
            ("127.0.0.1:4318", None),
            ("http://user@otel.example", None),
            ("http://otel.example?key=x", None),
        ] {
            assert_eq!(traces_url(endpoint).map(|url| url.to_string()).as_deref(), url, "{endpoint}");
        }
    }

    #[test]
    fn headers_are_read_as_the_fields_own_variable_has_them() {
        let headers = parse("x-api-key=abc%20d, Authorization=Basic%20eDp5PT0=").expect("headers");
        assert_eq!(headers["x-api-key"], "abc d");
        assert_eq!(headers["authorization"], "Basic eDp5PT0=");
        for bad in ["", "novalue", "a b=c", "x=%0d%0ay", "=x", "a=b,"] {
            assert!(parse(bad).is_none(), "{bad:?}");
        }
    }
}
