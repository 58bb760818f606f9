//! This API described: as OpenAPI for programs, and as a page for people. Both are made once and are the same for everybody.

use std::sync::OnceLock;

use bytes::Bytes;
use doorward_core::error::Result;
use doorward_core::random;
use doorward_protocols::encoding::base64url_encode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use http::{Response, StatusCode};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{api, tags};
use crate::http::body::Body;
use crate::http::respond::{Answer, PagePolicy, header_value};
use crate::openapi::{self, Also, Described, Header, Nothing};
use crate::request::Request;

/// What is kept of it for each mount, once somebody has asked.
#[derive(Default)]
pub(crate) struct Shown(OnceLock<Kept>);

struct Kept {
    document: Bytes,
    etag: HeaderValue,
    /// The page before and behind what differs each time.
    page: (String, String),
}

impl Shown {
    /// The description for clients that reach the mount at `server`.
    fn at(&self, server: &str) -> &Kept {
        self.0.get_or_init(|| {
            let document = openapi::document(&api(), server);
            let text = document.to_string();
            // It tells one text from another and keeps nobody from anything.
            let etag = format!("\"{}\"", Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes()).simple());
            let page = (openapi::before_style(&document), openapi::after_style(&document));
            Kept { document: text.into(), etag: header_value(&etag), page }
        })
    }
}

/// How clients know the mount.
fn server(request: &Request) -> String {
    let prefix = &request.site.public_prefix;
    match request.site.public_origin.as_deref() {
        Some(origin) => format!("{origin}{prefix}"),
        None if prefix.is_empty() => "/".to_owned(),
        None => prefix.clone(),
    }
}

pub(super) static DOCUMENT: Described<Nothing, Map<String, Value>> =
    Described::new("readDescription", &tags::DESCRIPTION, "This API as OpenAPI 3.1")
        .answers(200)
        .headers(&[Header { name: "ETag", always: true, notes: "Which description it is." }])
        .also(&[Also { status: 304, media: None, headers: &[], notes: "It is what `If-None-Match` names." }]);

/// `GET /v1/openapi.json`
pub(super) async fn document(request: Request) -> Result<Answer> {
    let kept = request.site.description.at(&server(&request));
    let has_it = request.headers.get_all(IF_NONE_MATCH).iter().any(|value| {
        let named = value.to_str().unwrap_or_default().split(',').map(str::trim);
        named.map(|one| one.trim_start_matches("W/")).any(|one| one == "*" || kept.etag == *one)
    });
    let body = if has_it { Body::empty() } else { Body::full(kept.document.clone()) };
    let mut answer = Response::new(body);
    if has_it {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    answer.headers_mut().insert(ETAG, kept.etag.clone());
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(answer)
}

pub(super) static PAGE: Described =
    Described::new("readDescriptionAsPage", &tags::DESCRIPTION, "This API as a page")
        .status(200)
        .also(&[Also::PAGE]);

/// `GET /v1/docs`
pub(super) async fn page(request: Request) -> Result<Answer> {
    let (before, after) = &request.site.description.at(&server(&request)).page;
    let nonce = base64url_encode(&random::bytes::<16>(request.engine.random()));
    let mut answer = Response::new(Body::full(format!("{before}{nonce}{after}")));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    );
    answer.extensions_mut().insert(PagePolicy(policy));
    Ok(answer)
}
