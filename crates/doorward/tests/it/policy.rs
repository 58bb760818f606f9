//! Policy tests: what passes, what fails and why, and what is wrong with a file.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::program::{printed, run};

const POLICY: &str = r#"
[server]
trusted_proxies = ["10.0.0.7"]

[roles.editor]
inherits = ["user"]
permissions = ["thread:read@any", "thread:list@any"]

[issuers.company]
issuer = "https://idp.example"
audience = ["doorward"]
roles_claim = "groups"

[mounts.native]
issuers = ["company"]

[mounts.flow]
surface = "agentflow"
prefix = "/flow"

[areas.site]
prefixes = ["/"]
roles = ["user"]

[areas.reports]
prefixes = ["/reports"]
methods = ["GET"]
roles = ["editor"]
"#;

const WHO: &str = r#"
[who.ann]
roles = ["user"]
[who.eve]
roles = ["editor"]
[who.claimed]
issuer = "company"
claims = { sub = "zoe", groups = ["editor", "unheard-of"] }
[who.key]
roles = ["admin"]
administrative = false
[who.hub]
roles = ["user"]
workspaces = { team-a = "rw" }
confined = true
[who.nobody]
anonymous = true
"#;

fn test(cases: &str, more: &[&str]) -> Output {
    let home = tempfile::tempdir().expect("a directory");
    test_in(home.path(), cases, more)
}

fn test_in(home: &Path, file: &str, more: &[&str]) -> Output {
    fs::write(home.join("doorward.toml"), POLICY).expect("written");
    fs::write(home.join("cases.toml"), file).expect("written");
    run(home, &[&["policy", "test", "cases.toml"], more].concat())
}

fn case(name: &str, lines: &str) -> String {
    format!("[[cases]]\nname = \"{name}\"\n{lines}\n")
}

#[test]
fn what_the_decision_says_is_what_passes() {
    let cases = [
        (
            "own",
            "who='ann'\naction='thread:read'\nresource='t'\nowner='ann'\nexpect='allow'\nfilter={owner='local|ann'}",
        ),
        (
            "another's",
            "who='ann'\naction='thread:read'\nresource='t'\nowner='local|usr_b'\nexpect='deny'\nrule='owner'",
        ),
        ("claims", "who='claimed'\naction='thread:list'\nexpect='allow'\nfilter={}"),
        (
            "claims own",
            "who='claimed'\naction='thread:update'\nresource='t'\nowner='company|zoe'\nexpect='allow'",
        ),
        ("key", "who='key'\naction='user:list'\nexpect='deny'\nrule='credential is not administrative'"),
        ("nobody", "who='nobody'\naction='thread:create'\nexpect='deny'\nrule='no credential'"),
        ("hub", "who='hub'\naction='hub_service:call'\nresource='team-a'\nowner='ann'\nexpect='allow'"),
        ("confined", "who='hub'\naction='thread:list'\nexpect='deny'\nrule='credential is for a workspace'"),
        (
            "list",
            "who='ann'\naction='thread:list'\nexpect='allow'\nasks={tags={'$contains'='a'}}\nfinds=[{id='t',owner='ann',metadata={tags=['a']}}]\nhides=[{id='u',owner='ann'},{id='v',owner='eve',metadata={tags=['a']}}]",
        ),
        ("area", "who='eve'\nrequest='GET /reports/1'\nexpect='allow'"),
        ("deeper area", "who='ann'\nrequest='GET /reports/1'\nexpect='deny'"),
        ("method", "who='eve'\nrequest='POST /reports/1'\nexpect='deny'"),
        ("site", "who='ann'\nrequest='POST /x'\nexpect='allow'"),
        ("site and nobody", "who='nobody'\nrequest='GET /'\nexpect='deny'\nrule='no credential'"),
    ];
    let text: String = cases.iter().map(|(name, lines)| case(name, lines)).collect();
    let output = test(&format!("{WHO}{text}"), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    assert_eq!(printed(&output), format!("{} passed, 0 failed\n", cases.len()));
}

#[test]
fn what_fails_says_what_was_expected_what_is_and_why_in_every_format() {
    let failing =
        case("sees <all> & \\u001b[31m", "who='ann'\naction='thread:list'\nexpect='allow'\nfilter={}");
    let file = format!(
        "{WHO}{failing}{}{}{}",
        case("good", "who='ann'\naction='thread:list'\nexpect='allow'"),
        case("rule", "who='ann'\naction='user:list'\nexpect='deny'\nrule='scope'"),
        case("finds", "who='ann'\naction='thread:list'\nexpect='allow'\nfinds=[{id='t',owner='eve'}]"),
    );
    let pretty = test(&file, &[]);
    assert_eq!(pretty.status.code(), Some(1));
    let text = printed(&pretty);
    for part in [
        "cases.toml:18",
        "expected: allow with the filter {}",
        "got:      allow with the filter {\"owner\":\"local|ann\"}",
        "3. The role user allows it on one's own.",
        "expected: deny by the rule \"scope\"",
        "got:      deny by the rule \"role\"",
        "t of local|eve is not found",
        "1 passed, 3 failed",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('\u{1b}'));
    let json = test(&file, &["--format", "json"]);
    let said: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(
        (json.status.code(), &said["failed"], &said["cases"][1]["passed"]),
        (Some(1), &3.into(), &true.into())
    );
    assert_eq!(test(&file, &["--json"]).stdout, json.stdout);
    let tap = printed(&test(&file, &["--format", "tap"]));
    assert!(
        tap.starts_with("TAP version 14\n1..4\nnot ok 1 - sees") && tap.contains("\nok 2 - good\n"),
        "{tap}"
    );
    let junit = printed(&test(&file, &["--format", "junit"]));
    assert!(junit.contains("<testsuites tests=\"4\" failures=\"3\">"), "{junit}");
    assert!(junit.contains("sees &lt;all&gt; &amp; \u{fffd}[31m") && !junit.contains('\u{1b}'), "{junit}");
}

#[test]
fn each_mistake_in_a_file_is_named_with_its_line() {
    let whole = |lines: &str| format!("{WHO}{}", case("a", lines));
    let good = "who='ann'\naction='thread:list'\nexpect='allow'";
    let deep = format!("x = {}1{}", "[".repeat(4000), "]".repeat(4000));
    for (name, file, says) in [
        ("empty", String::new(), "it is empty"),
        ("spaces", " \n".to_owned(), "it is empty"),
        ("no cases", WHO.to_owned(), "there are none, which tests nothing"),
        ("cases of nothing", "cases = []".to_owned(), "there are none, which tests nothing"),
        ("no TOML", "[[cases]\n".to_owned(), "cases.toml:1: this is not TOML"),
        ("deep", deep, "this is not TOML"),
        ("huge", format!("# {}\n", "x".repeat(1 << 20)), "larger than 1 MiB"),
        ("unknown section", format!("[whom.x]\n{}", whole(good)), "did you mean who?"),
        ("unknown key", whole(&format!("{good}\nexpects='allow'")), "did you mean expect?"),
        (
            "unknown role",
            format!("[who.x]\nroles=['editro']\n{}", case("a", good)),
            "did you mean \"editor\"?",
        ),
        ("system", format!("[who.x]\nroles=['system']\n{}", case("a", good)), "no role \"system\""),
        (
            "unknown action",
            whole("who='ann'\naction='thread:reed'\nexpect='allow'"),
            "did you mean thread:read?",
        ),
        (
            "unknown caller",
            whole("who='anna'\naction='thread:list'\nexpect='allow'"),
            "did you mean \"ann\"?",
        ),
        ("unknown mount", whole(&format!("{good}\nmount='nativ'")), "did you mean \"native\"?"),
        (
            "unknown rule",
            whole("who='ann'\naction='thread:list'\nexpect='deny'\nrule='ownr'"),
            "did you mean \"owner\"?",
        ),
        ("unknown owner", whole(&format!("{good}\nresource='t'\nowner='bob'")), "\"bob\" is nobody"),
        (
            "unknown scope",
            format!("[who.x]\nroles=['user']\nscopes=['thread:fly']\n{}", case("a", good)),
            "names nothing",
        ),
        (
            "unknown issuer",
            format!("[who.x]\nissuer='compny'\nclaims={{}}\n{}", case("a", good)),
            "did you mean \"company\"?",
        ),
        (
            "no subject",
            format!("[who.x]\nissuer='company'\nclaims={{}}\n{}", case("a", good)),
            "sub is missing",
        ),
        (
            "permission",
            format!("[who.x]\nroles=['user']\nworkspaces={{a='x'}}\n{}", case("a", good)),
            "write r, rw or a",
        ),
        (
            "nobody's roles",
            format!("[who.x]\nanonymous=true\nroles=['user']\n{}", case("a", good)),
            "nobody shows a credential",
        ),
        (
            "no roles",
            format!("[who.x]\nscopes=['read']\n{}", case("a", good)),
            "who.x.roles (cases.toml:1): this is missing",
        ),
        ("no action", whole("who='ann'\nexpect='allow'"), "cases.action (cases.toml:18): this is missing"),
        (
            "no expectation",
            whole("who='ann'\naction='thread:list'"),
            "cases.expect (cases.toml:18): this is missing",
        ),
        ("another word", whole("who='ann'\naction='thread:list'\nexpect='alow'"), "did you mean \"allow\"?"),
        ("a number", whole("who=1\naction='thread:list'\nexpect='allow'"), "this is a number, not a text"),
        ("a fraction", whole(&format!("{good}\nfilter={{a=1.5}}")), "a number with a fraction"),
        ("an operator", whole(&format!("{good}\nasks={{a={{'$ne'='b'}}}}")), "unknown filter operator"),
        (
            "a filter of nothing",
            whole("who='ann'\naction='thread:list'\nexpect='deny'\nfilter={}"),
            "what is denied has no filter",
        ),
        ("a rule of nothing", whole(&format!("{good}\nrule='owner'")), "nothing denies what is allowed"),
        ("both", whole(&format!("{good}\nrequest='GET /'")), "a request says action and resource itself"),
        ("two readings", whole("who='ann'\nrequest='GET /a/..'\nexpect='deny'"), "dot segment"),
        (
            "unknown area",
            whole("who='ann'\naction='area:read'\nresource='reprots'\nexpect='deny'"),
            "there is no area \"reprots\"",
        ),
        (
            "a mount no proxy asks",
            whole("who='ann'\nrequest='GET /'\nmount='flow'\nexpect='deny'"),
            "proxies ask no mount like \"flow\"",
        ),
        (
            "a mount that takes no such token",
            whole("who='claimed'\naction='thread:list'\nmount='flow'\nexpect='allow'"),
            "the mount \"flow\" takes no tokens of the issuer \"company\"",
        ),
        (
            "a slip in the method",
            whole("who='ann'\nrequest='GOT /a'\nexpect='deny'"),
            "GOT is no method that is known",
        ),
        ("no method", whole("who='ann'\nrequest='/a'\nexpect='deny'"), "a method, a space and a path"),
        ("a host alone", whole(&format!("{good}\nhost='a'")), "only a request has a host"),
        ("a thing without owner", whole(&format!("{good}\nfinds=[{{id='t'}}]")), "cases.finds.owner"),
        ("no list", whole(&format!("{good}\nfinds='t'")), "not a list"),
        ("twice", format!("{WHO}{}{}", case("a", good), case("a", good)), "two cases are called \"a\""),
        ("a key twice", whole(&format!("{good}\nexpect='deny'")), "this is not TOML"),
    ] {
        let output = test(&file, &[]);
        let text = printed(&output);
        assert_eq!(output.status.code(), Some(2), "{name}: {text}");
        assert!(text.contains(says) && text.contains("mend: "), "{name}: {text}");
        assert!(text.contains("cases.toml:"), "{name} has no line: {text}");
        assert!(text.len() < 4000, "{name}: {text}");
    }
}

#[test]
fn everything_wrong_is_said_at_once_and_nothing_is_run() {
    let file = format!("{WHO}{}", case("a", "who='anna'\naction='thread:reed'\nexpect='alow'"));
    let output = test(&file, &["absent.toml"]);
    let text = printed(&output);
    for part in ["\"anna\"", "thread:reed", "alow", "absent.toml:1: it cannot be read"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(output.stdout.is_empty());
    let json = test(&file, &["--json"]);
    let said: Value = serde_json::from_slice(&json.stderr).expect("a line of JSON");
    assert_eq!(said["error"]["problems"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_policy_that_cannot_be_used_is_no_failed_test() {
    let home = tempfile::tempdir().expect("a directory");
    let file = format!("{WHO}{}", case("a", "who='ann'\naction='thread:list'\nexpect='allow'"));
    fs::write(home.path().join("bad.toml"), "[roles.x]\npermissions = [\"thread:fly\"]\n").expect("written");
    let output = test_in(home.path(), &file, &["--config", "bad.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(printed(&output).contains("thread:fly"), "{}", printed(&output));
}

#[test]
fn areas_that_cannot_be_meant_are_refused_with_the_configuration() {
    let proxy = "[server]\ntrusted_proxies = [\"10.0.0.7\"]\n";
    for (name, text, says) in [
        ("nowhere", format!("{proxy}[areas.a]\nroles=['user']\n"), "this is missing"),
        ("two readings", format!("{proxy}[areas.a]\nprefixes=['/a/../b']\n"), "dot segment"),
        ("role", format!("{proxy}[areas.a]\nprefixes=['/']\nroles=['usr']\n"), "did you mean \"user\"?"),
        ("method", format!("{proxy}[areas.a]\nprefixes=['/']\nmethods=['get']\n"), "no method"),
        ("host", format!("{proxy}[areas.a]\nprefixes=['/']\nhost='a.example:80'\n"), "is no host"),
        ("name", format!("{proxy}[areas.\"A b\"]\nprefixes=['/']\n"), "cannot be an area"),
        (
            "clash",
            format!("{proxy}[areas.a]\nprefixes=['/x']\n[areas.b]\nprefixes=['/x/']\nmethods=['GET']\n"),
            "both begin at /x",
        ),
        ("header", format!("{proxy}[forward_auth]\nsubject_header='Authorization'\n"), "begins with X-"),
        (
            "one header for two",
            format!("{proxy}[forward_auth]\nsubject_header='X-Who'\nroles_header='x-who'\n"),
            "two of the headers have one name",
        ),
        ("page", format!("{proxy}[forward_auth]\nlogin_url='javascript:x'\n"), "leads nowhere"),
        ("other page", format!("{proxy}[forward_auth]\nlogin_url='//evil.example'\n"), "leads nowhere"),
        ("origin", format!("{proxy}[forward_auth]\nreturn_origins=['https://a/x']\n"), "is no origin"),
        (
            "a header of the proxy",
            format!("{proxy}[areas.a]\nprefixes=['/']\n[mounts.native]\ntrusted_header='X-User'\n"),
            "hands on its clients' headers",
        ),
    ] {
        let home = tempfile::tempdir().expect("a directory");
        fs::write(home.path().join("doorward.toml"), text).expect("written");
        let output = run(home.path(), &["config", "show"]);
        assert!(!output.status.success() && printed(&output).contains(says), "{name}: {}", printed(&output));
    }
}
