//! The document: OpenAPI 3.1 out of rows, each a route with what is said of it.

use std::collections::{BTreeMap, HashMap};

use doorward_core::error::Code;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::operation::{Also, Api, Facts, Header, Parameter, Values};
use super::refusals::{called, meaning, refusals, response};
use crate::http::respond::Problem;
use crate::route::{Gate, Route};

/// What the document says of the API as a whole.
const ABOUT: &str = "Accounts, credentials, conversations and their administration.\n\n\
Bodies are JSON in UTF-8, uncompressed, at most 1 MiB. A member that is unknown or stands twice is refused by name. Times are milliseconds \
since the epoch and end in `_at_ms`; lifetimes are seconds. A refusal is a problem (RFC 9457) whose `code` programs compare. What is not \
yours and what does not exist are one answer. Every answer has the header `X-Request-Id`, as the log and the audit log know it.\n\n\
`x-doorward-actions` of an operation names the actions that the decision function is asked about: roles and scopes are made of them. \
An operation without it looks at no credential.";

/// Schemas of both directions: what may be left out of a body stands in every answer.
struct Schemas {
    taken: SchemaGenerator,
    shown: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self { taken: settings.clone().into_generator(), shown: settings.for_serialize().into_generator() }
    }

    fn components(mut self) -> Map<String, Value> {
        let mut all = self.taken.take_definitions(true);
        all.extend(self.shown.take_definitions(true));
        all.values_mut().for_each(tidy);
        all
    }
}

/// Takes out what says nothing: that what is absent is null or empty. Generators of clients take a member with a default for one that is
/// always there.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("default").is_some_and(is_empty) {
                members.remove("default");
            }
            members.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// The document, for clients that reach the API at `server`.
pub(crate) fn document(api: &Api, server: &str) -> Value {
    let mut schemas = Schemas::new();
    schemas.shown.subschema_for::<Problem<'_>>();
    let mut paths = BTreeMap::<String, Map<String, Value>>::new();
    for (route, facts) in &api.operations {
        let path = route.pattern.replace("*}", "}");
        let operation = operation(route, facts, &mut schemas);
        paths.entry(path).or_default().insert(route.method.as_str().to_ascii_lowercase(), operation);
    }
    let shared = share(&mut paths);
    let tags = api.tags.iter().map(|tag| json!({ "name": tag.name, "description": tag.notes }));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Doorward",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": server }],
        "tags": tags.collect::<Vec<_>>(),
        "security": ways_in(),
        "paths": paths,
        "components": {
            "schemas": schemas.components(),
            "responses": shared,
            "securitySchemes": security_schemes(server),
        },
    })
}

/// Refusals that are the same in several operations are said once: these, by name, to which the operations then refer.
fn share(paths: &mut BTreeMap<String, Map<String, Value>>) -> Map<String, Value> {
    let mut seen = HashMap::<String, usize>::new();
    each_refusal(paths, |_, response| *seen.entry(response.to_string()).or_default() += 1);
    let (mut names, mut shared) = (HashMap::<String, String>::new(), Map::new());
    each_refusal(paths, |status, response| {
        let text = response.to_string();
        if seen.get(&text).is_none_or(|times| *times < 2) {
            return;
        }
        let name = names.entry(text).or_insert_with(|| {
            let called = called(status);
            let (mut name, mut number) = (called.to_owned(), 1);
            while shared.contains_key(&name) {
                number += 1;
                name = format!("{called}{number}");
            }
            shared.insert(name.clone(), response.clone());
            name
        });
        *response = json!({ "$ref": format!("#/components/responses/{name}") });
    });
    shared
}

/// Does this with each refusal of each operation, with its status.
fn each_refusal(paths: &mut BTreeMap<String, Map<String, Value>>, mut with: impl FnMut(&str, &mut Value)) {
    let operations = paths.values_mut().flat_map(Map::values_mut);
    let responses = operations.filter_map(|operation| operation["responses"].as_object_mut());
    for (status, response) in responses.flatten().filter(|(status, _)| status.as_str() >= "400") {
        with(status, response);
    }
}

fn ways_in() -> Vec<Value> {
    vec![
        json!({ "bearer": [] }),
        json!({ "apiKey": [] }),
        json!({ "session": [] }),
        json!({ "password": [] }),
    ]
}

/// The places where the native chain looks (`core::authn::methods`); two of them in one request are refused.
fn security_schemes(server: &str) -> Value {
    let token_url = format!("{}/v1/token", server.trim_end_matches('/'));
    json!({
        "bearer": {
            "type": "http", "scheme": "bearer",
            "description": "`Authorization: Bearer …` with an access token or an API key.",
        },
        "apiKey": {
            "type": "apiKey", "in": "header", "name": "X-API-Key",
            "description": "An API key; `Authorization: ApiKey …` is the same.",
        },
        "session": {
            "type": "apiKey", "in": "cookie", "name": "__Host-doorward-session",
            "description": "The session that a browser keeps, where the mount's `cookie_sessions` says so. A request that changes something \
    needs `Origin` of this server and, in `X-CSRF-Token`, the `csrf_token` of `GET /v1/session`.",
        },
        "password": {
            "type": "oauth2",
            "description": "User name and password for a token that is sent as Bearer (RFC 6749 §4.3).",
            "flows": { "password": {
                "tokenUrl": token_url, "refreshUrl": token_url,
                "scopes": { "read": "Looks only.", "write": "Looks, and changes what is its owner's.", "*": "Whatever the roles allow." },
            } },
        },
    })
}

fn operation(route: &Route, facts: &Facts, schemas: &mut Schemas) -> Value {
    let mut operation = json!({
        "operationId": facts.id, "tags": [facts.tag.name], "summary": facts.summary,
        "responses": responses(route, facts, schemas),
    });
    if !facts.notes.is_empty() {
        operation["description"] = facts.notes.into();
    }
    let mut parameters: Vec<Value> = names(route.pattern).map(named).collect();
    parameters.extend(facts.parameters.iter().map(parameter));
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(taken) = &facts.body {
        let schema = (taken.schema)(&mut schemas.taken).to_value();
        let example: Value = serde_json::from_str(taken.example).unwrap_or_default();
        let described = json!({ "schema": schema, "example": example });
        let required = is_required(&schema, &schemas.taken);
        let mut content = json!({ "application/json": described });
        if taken.forms {
            content["application/x-www-form-urlencoded"] = described;
        }
        operation["requestBody"] = json!({ "required": required, "content": content });
    }
    match route.gate {
        Gate::Open => operation["security"] = json!([]),
        Gate::Guarded(actions) => {
            operation["x-doorward-actions"] = actions.iter().map(ToString::to_string).collect();
            if facts.for_anybody {
                operation["security"] = std::iter::once(json!({})).chain(ways_in()).collect();
            }
        }
    }
    operation
}

/// Whether the empty object is no such body: an absent body is one.
fn is_required(schema: &Value, generator: &SchemaGenerator) -> bool {
    let name = schema["$ref"].as_str().and_then(|target| target.rsplit('/').next()).unwrap_or_default();
    let required = generator.definitions().get(name).and_then(|found| found["required"].as_array());
    required.is_some_and(|names| !names.is_empty())
}

/// What stands in braces in a pattern.
fn names(pattern: &str) -> impl Iterator<Item = &str> {
    pattern.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

fn named(name: &str) -> Value {
    let (name, notes) = match name.strip_suffix('*') {
        Some(name) => (name, "Whatever is left of the path, slashes and all."),
        None => (name, "Names it, as answers do."),
    };
    let schema = json!({ "type": "string", "minLength": 1, "maxLength": 128 });
    json!({ "name": name, "in": "path", "required": true, "description": notes, "schema": schema })
}

fn parameter(parameter: &Parameter) -> Value {
    let schema = match parameter.values {
        Values::Text => json!({ "type": "string" }),
        Values::Whole(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Values::OneOf(words) => json!({ "type": "string", "enum": words }),
    };
    let Parameter { place, name, notes, .. } = parameter;
    json!({ "name": name, "in": place, "required": false, "description": notes, "schema": schema })
}

fn headers(headers: &[Header]) -> Map<String, Value> {
    let shown = headers.iter().map(|header| {
        let described = json!({
            "description": header.notes, "required": header.always, "schema": { "type": "string" },
        });
        (header.name.to_owned(), described)
    });
    shown.collect()
}

fn responses(route: &Route, facts: &Facts, schemas: &mut Schemas) -> Map<String, Value> {
    let mut all: Map<String, Value> = refusals(route, facts)
        .into_iter()
        .map(|(status, codes): (u16, Vec<&'static Code>)| (status.to_string(), response(status, &codes)))
        .collect();
    let mut good = json!({ "description": good(facts.status) });
    if let Some(shown) = facts.shown {
        let schema = shown(&mut schemas.shown).to_value();
        good["content"] = json!({ "application/json": { "schema": schema } });
    }
    if !facts.headers.is_empty() {
        good["headers"] = headers(facts.headers).into();
    }
    all.insert(facts.status.to_string(), good);
    for also in facts.also {
        let entry = all.entry(also.status.to_string());
        add(entry.or_insert_with(|| json!({ "description": also.notes })), also);
    }
    all
}

/// Another good answer beside what stands there, or in another media type.
fn add(response: &mut Value, also: &Also) {
    if let Some(media) = also.media {
        response["content"][media] = json!({ "schema": { "type": "string" } });
    }
    if !also.headers.is_empty() {
        response["headers"] = headers(also.headers).into();
    }
}

fn good(status: u16) -> &'static str {
    match status {
        200 => "The answer.",
        201 => "Made.",
        204 => "Done.",
        303 => "It goes on elsewhere.",
        304 => "What the client has is still so.",
        status => meaning(status),
    }
}
