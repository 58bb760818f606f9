//! `/assets/hypha-rpc-websocket.*`: the published client as pages load it, from the copy that the operator installed.
//!
//! The files are read at the start. Which there may be stands in a table, so a request names none of its own.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};

use bytes::Bytes;
use doorward_core::error::Result;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};

use super::apps::plain;
use crate::http::body::Body;
use crate::http::respond::{Answer, header_value};
use crate::request::Request;

/// Where a mount's scripts are, within it.
const FOLDER: &str = "/assets/";

/// What is answered where the operator installed none.
const ABSENT: &str = "hypha-rpc is not installed here. Install the published package beside this server (npm install hypha-rpc) and name its \
    directory: client_script_dir = \"node_modules/hypha-rpc/dist\" of the mount; `doorward dev` finds that one by itself.\n";

/// The scripts of the published client.
#[derive(Debug, Clone, Default)]
pub struct ClientScripts(BTreeMap<&'static str, Script>);

#[derive(Debug, Clone)]
struct Script {
    bytes: Bytes,
    tag: HeaderValue,
}

impl ClientScripts {
    /// The files of the package (hypha-rpc 0.21.40, `dist/`); the first is there in every version.
    pub const NAMES: [&'static str; 8] = [
        "hypha-rpc-websocket.js",
        "hypha-rpc-websocket.js.map",
        "hypha-rpc-websocket.mjs",
        "hypha-rpc-websocket.mjs.map",
        "hypha-rpc-websocket.min.js",
        "hypha-rpc-websocket.min.js.map",
        "hypha-rpc-websocket.min.mjs",
        "hypha-rpc-websocket.min.mjs.map",
    ];

    /// Adds the file of this name.
    #[must_use]
    pub fn with(mut self, name: &'static str, bytes: Vec<u8>) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        let tag = header_value(&format!("\"{:016x}-{:x}\"", hasher.finish(), bytes.len()));
        self.0.insert(name, Script { bytes: bytes.into(), tag });
        self
    }
}

/// `GET /assets/hypha-rpc-websocket.*`.
pub(super) async fn serve(request: Request) -> Result<Answer> {
    let name = request.path.as_str().strip_prefix(FOLDER).unwrap_or_default();
    let Some(script) = request.site.client_scripts.0.get(name) else {
        return Ok(plain(StatusCode::NOT_FOUND, ABSENT));
    };
    let known = request.headers.get_all(IF_NONE_MATCH).iter().any(|tags| lists(tags, &script.tag));
    let mut answer = Answer::new(if known { Body::empty() } else { Body::full(script.bytes.clone()) });
    if known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let kind = if name.ends_with(".map") { "application/json" } else { "text/javascript; charset=utf-8" };
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    let headers = answer.headers_mut();
    headers.insert(ETAG, script.tag.clone());
    // The address is the same for every version: browsers keep the file and ask whether it still is that.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, no-cache"));
    Ok(answer)
}

/// Whether a list of tags holds this one (RFC 9110 §13.1.2: compared weakly).
fn lists(tags: &HeaderValue, tag: &HeaderValue) -> bool {
    let Ok(tags) = tags.to_str() else { return false };
    tags.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == "*" || one == *tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_a_list_however_it_is_spelled() {
        let tag = HeaderValue::from_static("\"abc-1\"");
        for (tags, known) in [
            ("\"abc-1\"", true),
            ("W/\"abc-1\"", true),
            ("\"x\", \"abc-1\"", true),
            ("*", true),
            ("abc-1", false),
            ("\"abc-12\"", false),
        ] {
            assert_eq!(lists(&HeaderValue::from_static(tags), &tag), known, "{tags}");
        }
    }
}
