//! How one gets in and calls a service over plain HTTP, for programs: OpenAPI, at the path where FastAPI serves it, of which Hypha is made.

use doorward_core::error::Result;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::hub;
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// Method, path, name, what for, and whether it has a body.
const ROUTES: &[(&str, &str, &str, &str, bool)] = &[
    ("get", "/assets/config.json", "readConfig", "Who is asking, and where things are", false),
    (
        "post",
        "/public/services/hypha-login/start",
        "startLogin",
        "Begin a log-in: where to send a person, and where to ask for the token",
        true,
    ),
    (
        "get",
        "/public/services/hypha-login/check",
        "checkLogin",
        "The token of a log-in that was begun, once there is one",
        false,
    ),
    ("get", "/{workspace}/info", "readWorkspace", "What is known of a workspace", false),
    ("get", "/{workspace}/services/", "listServices", "The services that the caller sees", false),
    ("get", "/{workspace}/services/{service}", "readService", "A service's record", false),
    (
        "get",
        "/{workspace}/services/{service}/{function}",
        "callByQuery",
        "What a function returns; arguments in the query",
        false,
    ),
    (
        "post",
        "/{workspace}/services/{service}/{function}",
        "call",
        "What a function returns; arguments by name in JSON",
        true,
    ),
];

/// `GET /openapi.json`
pub(super) async fn openapi(request: Request) -> Result<Answer> {
    let hub = hub(&request)?;
    Ok(json_answer(StatusCode::OK, &document(hub.base_url(), hub.version())))
}

fn document(base_url: &str, version: &str) -> Value {
    let mut paths = Map::<String, Value>::new();
    for (method, path, name, what, has_body) in ROUTES {
        let item = paths.entry((*path).to_owned()).or_insert_with(|| json!({}));
        item[*method] = operation(path, name, what, *has_body);
    }
    let login = format!("{base_url}/public/services/hypha-login");
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Hypha",
            "version": version,
            "description": format!(
                "Log in through the login service, {login}: `start` answers `login_url` for a person's browser and `check_url`, which answers \
                 the token once that person has signed in."
            ),
        },
        "servers": [{ "url": base_url }],
        "externalDocs": { "url": login, "description": "The login service" },
        "security": [{}, { "bearer": [] }, { "cookie": [] }],
        "paths": paths,
        "components": { "securitySchemes": {
            "bearer": {
                "type": "http", "scheme": "bearer",
                "description": format!("A token of the login service, {login}, of `generate_token`, or an API key."),
            },
            "cookie": { "type": "apiKey", "in": "cookie", "name": "access_token", "description": "The same token." },
        } },
    })
}

fn operation(path: &str, name: &str, what: &str, has_body: bool) -> Value {
    let json = || json!({ "application/json": { "schema": {} } });
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = names
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    if path.ends_with("/check") {
        parameters
            .push(json!({ "name": "key", "in": "query", "required": true, "schema": { "type": "string" } }));
        parameters.push(json!({ "name": "timeout", "in": "query", "schema": { "type": "number" } }));
    }
    let mut operation = json!({
        "operationId": name, "summary": what, "parameters": parameters,
        "responses": {
            "200": { "description": "The answer.", "content": json() },
            "default": { "description": "Why not: `detail` says it.", "content": json() },
        },
    });
    if has_body {
        operation["requestBody"] = json!({ "content": json() });
    }
    operation
}
