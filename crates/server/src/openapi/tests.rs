use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::native;
use crate::route::Gate;

const DOCUMENT: &str = "docs/reference/openapi.json";

fn described() -> Value {
    document(&native::api(), "/")
}

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let items = document["paths"].as_object().unwrap().iter();
    let all = items.flat_map(|(path, item)| {
        item.as_object()
            .unwrap()
            .iter()
            .map(move |(method, operation)| (method.to_ascii_uppercase(), path.clone(), operation))
    });
    all.collect()
}

#[test]
fn every_route_is_in_the_document_and_nothing_else() {
    let document = described();
    let shown: BTreeSet<_> =
        operations(&document).into_iter().map(|(method, path, _)| (method, path)).collect();
    let answered: BTreeSet<_> = native::api()
        .operations
        .iter()
        .map(|(route, _)| (route.method.to_string(), route.pattern.replace("*}", "}")))
        .collect();
    assert_eq!(shown, answered);
    assert_eq!(shown.len(), native::ROUTES.len(), "two routes would be one operation");
}

#[test]
fn an_operation_says_what_its_gate_does() {
    let document = described();
    for (route, facts) in native::api().operations {
        let path = route.pattern.replace("*}", "}");
        let operation = &document["paths"][&path][route.method.as_str().to_ascii_lowercase()];
        assert_eq!(operation["operationId"], facts.id);
        match route.gate {
            Gate::Open => {
                assert_eq!(operation["security"], json!([]), "{path}");
                assert!(operation["responses"].get("401").is_none(), "{path}");
            }
            Gate::Guarded(actions) => {
                let names: Vec<String> = actions.iter().map(ToString::to_string).collect();
                assert_eq!(operation["x-doorward-actions"], json!(names), "{path}");
                for status in ["401", "403", "404", "429", "503"] {
                    assert!(operation["responses"].get(status).is_some(), "{path} {status}");
                }
            }
        }
    }
}

#[test]
fn operations_have_names_of_their_own_that_are_words_of_programs() {
    let mut names = BTreeSet::new();
    let tags: Vec<&str> = native::api().tags.iter().map(|tag| tag.name).collect();
    for (_, facts) in native::api().operations {
        assert!(tags.contains(&facts.tag.name), "{}: {} is not listed", facts.id, facts.tag.name);
        assert!(names.insert(facts.id), "{} twice", facts.id);
        assert!(facts.id.starts_with(|c: char| c.is_ascii_lowercase()), "{}", facts.id);
        assert!(facts.id.chars().all(|c| c.is_ascii_alphanumeric()), "{}", facts.id);
        assert!(
            !facts.summary.is_empty() && !facts.summary.ends_with('.'),
            "{}: {}",
            facts.id,
            facts.summary
        );
    }
}

#[test]
fn examples_are_read_by_what_reads_bodies() {
    for (_, facts) in native::api().operations {
        let Some(body) = facts.body else { continue };
        if let Err(error) = (body.reads)(body.example.as_bytes()) {
            panic!("{}: {} {error}", facts.id, body.example);
        }
    }
}

#[test]
fn a_secret_that_is_sent_is_marked_as_one() {
    let document = described();
    let schemas = &document["components"]["schemas"];
    let mut marked = 0;
    for (name, schema) in schemas.as_object().unwrap() {
        for (member, shown) in schema["properties"].as_object().into_iter().flatten() {
            let is_secret = matches!(member.as_str(), "password" | "current_password" | "secret")
                || (name == "Grant" && member == "refresh_token")
                || (name == "PresentedToken" && member == "token");
            assert_eq!(
                shown["format"] == "password" && shown["writeOnly"] == true,
                is_secret,
                "{name}.{member}"
            );
            marked += usize::from(is_secret);
        }
    }
    assert!(marked >= 10, "{marked}");
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = described();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let target = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
        assert!(target.is_some(), "{reference}");
    }
}

#[test]
fn a_mount_elsewhere_is_said_to_be_there() {
    let document = document(&native::api(), "https://auth.example/door");
    assert_eq!(document["servers"], json!([{ "url": "https://auth.example/door" }]));
    let flow = &document["components"]["securitySchemes"]["password"]["flows"]["password"];
    assert_eq!(flow["tokenUrl"], "https://auth.example/door/v1/token");
}

#[test]
fn the_page_has_every_operation_and_no_script_and_links_lead_somewhere() {
    let document = described();
    let page = page(&document);
    for (_, _, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(page.contains(&format!("id=\"op-{id}\"")), "{id}");
    }
    for absent in ["<script", " style=", "onclick", "http://", "src="] {
        assert!(!page.contains(absent), "{absent}");
    }
    for link in page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(page.contains(&format!("id=\"{link}\"")), "{link}");
    }
    for (open, close) in
        [("<details", "</details>"), ("<dl>", "</dl>"), ("<dd>", "</dd>"), ("<code>", "</code>")]
    {
        assert_eq!(page.matches(open).count(), page.matches(close).count(), "{open}");
    }
}

#[test]
fn what_comes_from_outside_is_text_on_the_page() {
    let mut document = document(&native::api(), "https://a.example/\"><b>");
    document["info"]["title"] = "<i>".into();
    let page = page(&document);
    assert!(!page.contains("\"><b>") && !page.contains("<i>"));
    assert!(page.contains("&lt;i&gt;"));
}

/// `UPDATE_OPENAPI=1 cargo test -p doorward-server openapi` writes it.
#[test]
fn the_document_in_the_repository_is_the_one_that_is_served() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(DOCUMENT);
    let text = format!("{:#}\n", described());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&place, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&place).unwrap_or_default();
    assert!(
        kept == text,
        "{DOCUMENT} is another one: UPDATE_OPENAPI=1 cargo test -p doorward-server openapi"
    );
}
