//! `POST /rpc`: what a client sends whose stream is open ([`super::stream`]): a frame as of a WebSocket, or a map that says `ping` or
//! `refresh_token` and is answered on the stream.

use bytes::Bytes;
use doorward_core::error::{Error, Result, codes};
use doorward_core::operation::Call;
use doorward_hub::Hub;
use doorward_protocols::hypha::value;
use http::StatusCode;
use serde_json::json;

use super::socket::{MAX_MESSAGE_BYTES, MAX_TEXT_BYTES, said};
use super::{caller, hub};
use crate::http::body::Body;
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// `POST /rpc`.
///
/// 1. who asks; 2. whether that is who opened the stream; 3. whether it is not too much; 4. the body; 5. whether the stream is still there.
pub(super) async fn take(mut request: Request) -> Result<Answer> {
    let hub = hub(&request)?;
    let query = request.query()?;
    let given = |name: &str| query.text(name).filter(|text| !text.is_empty());
    let Some(client) = given("client_id") else { return Ok(bad("client_id is required")) };
    // 1.
    let call = caller::of(&request).await?;
    let current = call.auth.workspaces.current.as_deref().map(str::to_owned);
    let home = || current.unwrap_or_else(|| hub.own_workspace(&call));
    let workspace = given("workspace").map_or_else(home, str::to_owned);
    // 2.
    let found = request.site.streams.find(&format!("{workspace}/{client}"));
    let is_there = found.is_some();
    let Some(stream) = found.filter(|stream| stream.is_of(&call.auth, &request.headers)) else {
        return not_yours(&hub, &call, &workspace, is_there).await;
    };
    // 3.
    if !stream.count() {
        return Err(Error::new(codes::RATE_LIMITED).retry_after_s(1));
    }
    // 4.
    let body = request.body.read(&request.headers, MAX_MESSAGE_BYTES).await?;
    if body.is_empty() {
        return Ok(bad("Empty request body"));
    }
    // 5.
    if !stream.is_open() {
        return Ok(bad(NO_STREAM));
    }
    if let Some(text) = control(&body) {
        said(&text, &stream.sender).await;
    } else if let Err(error) = stream.sender.receive(body).await {
        return Ok(bad(&error.to_string()));
    }
    Ok(Answer::new(Body::empty()))
}

const NO_STREAM: &str = "This client has no stream that is open. Open GET /rpc first.";

/// 400 has clients try again, which helps while their stream is on its way back.
fn bad(what: &str) -> Answer {
    json_answer(StatusCode::BAD_REQUEST, &json!({ "success": false, "detail": what }))
}

/// Whether there is a stream is told to those who may be in its workspace, as who is there can be asked for.
async fn not_yours(hub: &Hub, call: &Call, workspace: &str, is_there: bool) -> Result<Answer> {
    let detail = if !hub.admits(call, workspace).await? {
        format!(
            "Permission denied for workspace {workspace}. What a client sends comes with the token that its stream was opened with, \
             or with the cookie that the stream was answered with."
        )
    } else if is_there {
        "Permission denied: this client's stream was opened with another credential.".to_owned()
    } else {
        return Ok(bad(NO_STREAM));
    };
    Ok(json_answer(StatusCode::FORBIDDEN, &json!({ "success": false, "detail": detail })))
}

/// What is no frame: a small map that goes nowhere. As the text that a WebSocket would bring.
fn control(body: &Bytes) -> Option<String> {
    if body.len() > MAX_TEXT_BYTES {
        return None;
    }
    let map = value::read(body).ok()?;
    let is_control = matches!(value::get(&map, "type")?.as_str()?, "ping" | "refresh_token");
    if !is_control || value::get(&map, "to").is_some() {
        return None;
    }
    Some(value::to_json(&map).ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_goes_nowhere_is_no_frame() {
        let packed = |json| Bytes::from(value::write(&value::from_json(&json)));
        assert_eq!(control(&packed(json!({"type": "ping"}))).as_deref(), Some(r#"{"type":"ping"}"#));
        for other in [
            json!({"type": "method", "to": "*/m"}),
            json!({"to": "x", "type": "ping"}),
            json!({"type": "pong"}),
            json!(["ping"]),
            json!({"type": "ping", "more": "x".repeat(MAX_TEXT_BYTES)}),
        ] {
            assert_eq!(control(&packed(other.clone())), None, "{other}");
        }
    }
}
