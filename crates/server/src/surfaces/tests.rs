//! Which route needs which leave, as text: a policy is reviewed by reading this file's diff.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::gateway::Effect;
use crate::route::{Gate, Work};

/// The checked-in table. A test prints what it should be when it is not.
const ROUTES: &str = include_str!("routes.txt");

fn line(surface: &str, route: &Route) -> String {
    let leave = match route.gate {
        Gate::Open => "open".to_owned(),
        Gate::Guarded(actions) => actions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    };
    let work = match route.work {
        Work::Here(_) => String::new(),
        Work::Accept(_) => " <-> here".to_owned(),
        Work::Upstream(rule) => match rule.effect {
            Effect::Nothing => " ->".to_owned(),
            effect => format!(" -> {effect:?} {}", rule.resource.kind),
        },
        Work::Socket(rule) => format!(" <-> {:?} {}", rule.effect, rule.resource.kind),
    };
    format!("{surface:<20} {:<6} {:<42} {leave}{work}\n", route.method.as_str(), route.pattern)
}

#[test]
fn every_route_stands_in_the_text_with_its_leave() {
    let mut text = String::new();
    for surface in BUILTIN.iter().chain([&LANDING]) {
        text.extend(surface.routes.iter().map(|route| line(surface.name, route)));
        let upstream = surface.upstream_routes.unwrap_or_default();
        text.extend(upstream.iter().map(|route| line(&format!("{} upstream", surface.name), route)));
    }
    assert!(text == ROUTES, "routes.txt should be:\n{text}");
}

#[test]
fn only_liveness_descriptions_providers_names_and_public_keys_are_open() {
    let all = BUILTIN.iter().flat_map(|s| s.routes.iter().chain(s.upstream_routes.unwrap_or_default()));
    let open: BTreeSet<_> = all.filter(|r| matches!(r.gate, Gate::Open)).map(|r| r.pattern).collect();
    assert_eq!(
        open,
        BTreeSet::from([
            "/.well-known/jwks.json",
            "/_mail",
            "/assets/hypha-rpc-websocket.js",
            "/assets/hypha-rpc-websocket.js.map",
            "/assets/hypha-rpc-websocket.min.js",
            "/assets/hypha-rpc-websocket.min.js.map",
            "/assets/hypha-rpc-websocket.min.mjs",
            "/assets/hypha-rpc-websocket.min.mjs.map",
            "/assets/hypha-rpc-websocket.mjs",
            "/assets/hypha-rpc-websocket.mjs.map",
            "/auth/v1/.well-known/jwks.json",
            "/docs",
            "/info",
            "/ok",
            "/openapi.json",
            "/ping",
            "/redoc",
            "/v1/docs",
            "/v1/login",
            "/v1/openapi.json",
            "/v1/ping",
            "/ws"
        ])
    );
}

#[test]
fn a_forwarded_route_names_one_action_and_what_its_rule_needs() {
    for surface in BUILTIN {
        for route in surface.upstream_routes.unwrap_or_default() {
            let (Work::Upstream(rule), Gate::Guarded(actions)) = (route.work, route.gate) else { continue };
            assert_eq!(actions.len(), 1, "{}", route.pattern);
            let in_path = route.pattern.contains(&format!("{{{}}}", rule.resource.param));
            let needs_one = matches!(rule.effect, Effect::Use | Effect::Delete);
            assert!(!needs_one || in_path || rule.takes_body, "{} names nothing", route.pattern);
            assert!(!in_path || needs_one, "{} names something that is not checked", route.pattern);
        }
    }
}

#[test]
fn every_directory_here_has_a_row() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/surfaces");
    for entry in std::fs::read_dir(here).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            assert!(find(&name).is_some(), "surfaces/{name} has no row");
        }
    }
}
