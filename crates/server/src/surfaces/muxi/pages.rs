//! The surface described, where the operator wants that: a page without scripts, and OpenAPI for programs.

use std::fmt::Write as _;

use doorward_core::error::{Error, Result, codes};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::http::body::Body;
use crate::http::respond::{Answer, json_answer};
use crate::request::Request;

/// Method, path, what for, and whether it needs a credential.
const ROUTES: &[(&str, &str, &str, bool)] = &[
    ("post", "/auth/register", "Make an account and log in (JSON: username, password, email)", false),
    ("post", "/auth/token", "Log in (form: username, password): access and refresh token", false),
    ("post", "/auth/refresh", "Exchange a refresh token (JSON: refresh_token)", false),
    ("post", "/auth/logout", "End the session with its tokens", true),
    ("post", "/token", "Log in (form: username, password): access token", false),
    ("get", "/users/me", "Who one is", true),
    ("post", "/chat", "Say ?message= and hear the answer", true),
    ("post", "/chat/api-key", "The same by API key", true),
    ("post", "/chat/jwt", "The same by token", true),
    ("get", "/features/basic", "What every user has", true),
    ("get", "/features/premium", "What premium has", true),
    ("get", "/admin/dashboard", "What administrators see", true),
];

fn shown(request: &Request) -> Result<()> {
    if request.site.docs { Ok(()) } else { Err(Error::new(codes::NO_ROUTE)) }
}

/// `GET /docs` and `GET /redoc`
pub(super) async fn docs(request: Request) -> Result<Answer> {
    shown(&request)?;
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Muxi API</title></head><body>\
         <h1>Muxi API</h1><p><a href=\"openapi.json\">openapi.json</a></p>\
         <h2>Log in</h2><form method=\"post\" action=\"token\">\
         <p><label>Username <input name=\"username\" autocomplete=\"username\" required></label></p>\
         <p><label>Password <input name=\"password\" type=\"password\" autocomplete=\"current-password\" required>\
         </label></p><p><button>Log in</button></p></form>\
         <h2>Routes</h2><table><tr><th>Method</th><th>Path</th><th>What for</th></tr>",
    );
    for (method, path, what, _) in ROUTES {
        let method = method.to_ascii_uppercase();
        // Writing to a String cannot fail, and nothing here is a stranger's text.
        let _ = write!(page, "<tr><td>{method}</td><td>{path}</td><td>{what}</td></tr>");
    }
    page.push_str("</table></body></html>\n");
    let mut answer = Response::new(Body::full(page));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Ok(answer)
}

fn operation(path: &str, what: &str, guarded: bool) -> Value {
    let mut described = json!({ "summary": what, "responses": { "200": { "description": "OK" } } });
    if guarded {
        described["security"] = json!([{ "OAuth2PasswordBearer": [] }, { "APIKeyHeader": [] }]);
    }
    let members = |names: &[&str]| {
        let properties: Map<String, Value> =
            names.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
        json!({ "schema": { "type": "object", "required": names, "properties": properties } })
    };
    let body = match path {
        "/auth/register" => Some(("application/json", &["username", "password", "email"][..])),
        "/auth/refresh" => Some(("application/json", &["refresh_token"][..])),
        "/auth/token" | "/token" => {
            Some(("application/x-www-form-urlencoded", &["username", "password"][..]))
        }
        _ => None,
    };
    if let Some((media, names)) = body {
        described["requestBody"] = json!({ "required": true, "content": { media: members(names) } });
    }
    if path.starts_with("/chat") {
        described["parameters"] =
            json!([{ "name": "message", "in": "query", "required": true, "schema": { "type": "string" } }]);
    }
    described
}

/// `GET /openapi.json`
pub(super) async fn openapi(request: Request) -> Result<Answer> {
    shown(&request)?;
    let mut paths = Map::new();
    for (method, path, what, guarded) in ROUTES {
        paths.insert((*path).to_owned(), json!({ *method: operation(path, what, *guarded) }));
    }
    let prefix = if request.site.prefix.is_empty() { "/" } else { request.site.prefix.as_str() };
    let document = json!({
        "openapi": "3.1.0",
        "info": { "title": "Muxi API", "version": env!("CARGO_PKG_VERSION") },
        "servers": [{ "url": prefix }],
        "paths": paths,
        "components": { "securitySchemes": {
            "OAuth2PasswordBearer": {
                "type": "oauth2",
                "flows": { "password": { "tokenUrl": "token", "scopes": {} } },
            },
            "APIKeyHeader": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
        } },
    });
    Ok(json_answer(StatusCode::OK, &document))
}
