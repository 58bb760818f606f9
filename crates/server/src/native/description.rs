//! This API described: as OpenAPI for programs, and as a page for people. Both are made once and are the same for everybody.

use std::sync::OnceLock;

use bytes::Bytes;
use doorward_core::error::Result;
use doorward_protocols::html::hash_source;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
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
    document: Text,
    page: Text,
    /// What browsers let the page do.
    policy: PagePolicy,
}

/// A text that answers share.
struct Text {
    media: &'static str,
    bytes: Bytes,
    etag: HeaderValue,
}

impl Text {
    fn new(media: &'static str, text: String) -> Self {
        // It tells one text from another and keeps nobody from anything.
        let etag = format!("\"{}\"", Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes()).simple());
        Self { media, bytes: text.into(), etag: header_value(&etag) }
    }

    /// The text, or that whoever asks has it.
    fn answer(&self, headers: &HeaderMap) -> Answer {
        let has_it = headers.get_all(IF_NONE_MATCH).iter().any(|value| {
            let named = value.to_str().unwrap_or_default().split(',').map(str::trim);
            named.map(|one| one.trim_start_matches("W/")).any(|one| one == "*" || self.etag == *one)
        });
        let body = if has_it { Body::empty() } else { Body::full(self.bytes.clone()) };
        let mut answer = Response::new(body);
        if has_it {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.media));
        }
        answer.headers_mut().insert(ETAG, self.etag.clone());
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        answer
    }
}

impl Shown {
    /// The description for clients that reach the mount at `server`.
    fn at(&self, server: &str) -> &Kept {
        self.0.get_or_init(|| {
            let document = openapi::document(&api(), server);
            let policy = format!(
                "default-src 'none'; style-src {}; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
                hash_source(openapi::STYLE)
            );
            Kept {
                page: Text::new("text/html; charset=utf-8", openapi::page(&document)),
                document: Text::new("application/json", document.to_string()),
                policy: PagePolicy(policy),
            }
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

const WHICH: Header = Header { name: "ETag", always: true, notes: "Which description it is." };
const NOT_MODIFIED: Also =
    Also { status: 304, media: None, headers: &[], notes: "It is what `If-None-Match` names." };

pub(super) static DOCUMENT: Described<Nothing, Map<String, Value>> =
    Described::new("readDescription", &tags::DESCRIPTION, "This API as OpenAPI 3.1")
        .answers(200)
        .headers(&[WHICH])
        .also(&[NOT_MODIFIED]);

/// `GET /v1/openapi.json`
pub(super) async fn document(request: Request) -> Result<Answer> {
    Ok(request.site.description.at(&server(&request)).document.answer(&request.headers))
}

pub(super) static PAGE: Described =
    Described::new("readDescriptionAsPage", &tags::DESCRIPTION, "This API as a page")
        .status(200)
        .headers(&[WHICH])
        .also(&[Also::PAGE, NOT_MODIFIED]);

/// `GET /v1/docs`
pub(super) async fn page(request: Request) -> Result<Answer> {
    let kept = request.site.description.at(&server(&request));
    let mut answer = kept.page.answer(&request.headers);
    answer.extensions_mut().insert(kept.policy.clone());
    Ok(answer)
}
