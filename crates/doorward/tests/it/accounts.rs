//! Accounts in, accounts out: `doorward user import` and `doorward user export` as a person runs them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::program::{Server, json as answered, printed};

const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS";

fn import(server: &Server, rows: &str, more: &[&str]) -> (Option<i32>, Value) {
    let output = server.command(&[&["user", "import", "-"], more].concat(), rows);
    let told = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    let value = serde_json::from_slice(told);
    assert!(value.is_ok(), "{}", printed(&output));
    (output.status.code(), value.expect("JSON"))
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

#[test]
fn a_file_with_faults_brings_the_others_in_and_says_where_each_fault_is() {
    let server = Server::dev();
    let report = server.directory().join("refused.jsonl");
    let rows = [
        json!({ "email": "ann@example.org", "roles": ["premium"], "password_hash": BCRYPT }).to_string(),
        "{\"email\": \"bob@example.org\", \"email\": \"eve@example.org\"}".to_owned(),
        json!({ "email": "ANN@example.org" }).to_string(),
        json!({ "email": "cid@example.org", "roles": ["emperor"] }).to_string(),
        json!({ "email": "dan@example.org", "roles": ["admin"] }).to_string(),
        json!({ "email": "eve@example.org", "password_hash": BCRYPT.replace("$04$", "$31$") }).to_string(),
        "[".repeat(1000),
        json!({ "email": "fay@example.org", "display_name": "a\u{0}b" }).to_string(),
        format!(
            "{{\"email\": \"gus@example.org\", \"user_metadata\": {{\"x\": \"{}\"}}}}",
            "y".repeat(300 << 10)
        ),
        json!({ "email": "hal@example.org", "roles": ["editor"] }).to_string(),
    ]
    .join("\n");
    let more = ["--map-role", "editor=user"];
    let (code, dry) = import(&server, &rows, &[&more[..], &["--dry-run"]].concat());
    assert_eq!((code, &dry["dry_run"]), (Some(1), &json!(true)));
    let listed = answered(&server.command(&["user", "list"], ""));
    assert!(!listed.to_string().contains("example.org"), "a dry run makes nothing: {listed}");
    let path = report.to_str().expect("UTF-8");
    let (code, done) = import(&server, &rows, &[&more[..], &["--report", path]].concat());
    assert_eq!(code, Some(1), "rows were refused: {done}");
    assert_eq!((&done["format"], &done["rows"], &done["made"]), (&json!("users"), &json!(10), &json!(2)));
    let expected = [
        (2, "json_duplicate_member"),
        (3, "id_taken"),
        (4, "unknown_role"),
        (5, "administrator_unasked"),
        (6, "hash_too_costly"),
        (7, "json_too_deep"),
        (8, "bad_field"),
        (9, "json_too_large"),
    ];
    let refused = |value: &Value| -> Vec<(u64, String)> {
        let all = value["refused_rows"].as_array().expect("rows");
        all.iter()
            .map(|one| {
                (one["line"].as_u64().expect("a line"), one["code"].as_str().expect("a code").to_owned())
            })
            .collect()
    };
    // The same address in another spelling has another derived id, so it is the address that is taken.
    let expected: Vec<_> = expected
        .iter()
        .map(|(line, code)| (*line, if *line == 3 { "email_taken" } else { code }.to_owned()))
        .collect();
    assert_eq!(refused(&done), expected);
    assert_eq!(refused(&dry), expected, "a dry run says the same");
    let written = fs::read_to_string(&report).expect("a report");
    assert_eq!(written.lines().count(), 8);
    assert_eq!(fs::metadata(&report).expect("there").permissions().mode() & 0o777, 0o600);
    assert!(
        !written.contains("example.org") && !written.contains("$2b$"),
        "nothing of what rows say: {written}"
    );
    let shown = answered(&server.command(&["user", "show", "ann@example.org"], ""));
    assert_eq!(shown["roles"], json!(["premium"]));
    assert_eq!(answered(&server.command(&["user", "show", "hal@example.org"], ""))["roles"], json!(["user"]));
    for absent in ["bob", "cid", "dan", "eve", "fay", "gus"] {
        let output = server.command(&["user", "show", &format!("{absent}@example.org")], "");
        assert_eq!(output.status.code(), Some(1), "{absent}: nothing of a refused row is there");
    }
    let (_, again) = import(&server, &rows, &more);
    assert_eq!((&again["made"], &again["already_there"]), (&json!(0), &json!(2)), "{again}");
    let (code, admin) = import(
        &server,
        &lines(&[json!({ "email": "dan@example.org", "roles": ["admin"] })]),
        &["--with-admins"],
    );
    assert_eq!((code, &admin["made"]), (Some(0), &json!(1)), "{admin}");
}

#[test]
fn each_format_is_recognised_and_said() {
    let server = Server::dev();
    let hypha = json!([{ "id": "happy-cat-1", "email": "a@example.org", "name": "A", "salt": "s", "roles": "[\"user\"]", "password_hash": "00".repeat(32) }]);
    let supabase = json!({ "id": "9f0c2e9a-6c1d-4b1e-8a57-1f2e3d4c5b6a", "email": "b@example.org", "encrypted_password": BCRYPT, "phone": "49123" });
    let auth0 = json!({ "user_id": "auth0|1", "email": "c@example.org", "email_verified": true, "password_hash": BCRYPT });
    for (rows, format) in
        [(hypha.to_string(), "hypha"), (supabase.to_string(), "supabase"), (auth0.to_string(), "auth0")]
    {
        let (code, done) = import(&server, &rows, &[]);
        assert_eq!((code, &done["format"], &done["made"]), (Some(0), &json!(format), &json!(1)), "{done}");
        assert_eq!(done["left_behind"]["phone number"].is_u64(), format == "supabase");
    }
    let text =
        printed(&crate::program::run_with(server.directory(), &["user", "import", "-"], &auth0.to_string()));
    assert!(
        text.starts_with("Read 1 rows of the format auth0: 0 made, 1 there already, 0 refused."),
        "{text}"
    );
    let (_, told) = import(&server, &supabase.to_string(), &["--format", "users"]);
    assert_eq!(told["refused_rows"][0]["code"], "bad_field", "the format that is named is the one: {told}");
    let known = answered(&server.command(&["user", "show", "usr_9f0c2e9a6c1d4b1e8a571f2e3d4c5b6a"], ""));
    assert_eq!(known["admin_metadata"]["imported"]["id"], "9f0c2e9a-6c1d-4b1e-8a57-1f2e3d4c5b6a");
}

#[test]
fn what_is_no_file_of_accounts_is_refused_in_a_sentence() {
    let server = Server::dev();
    for (rows, expected) in [
        ("id,email\n1,a@example.org\n", "neither an array of objects nor lines"),
        ("\0\0\0", "neither an array of objects nor lines"),
        ("{\n  \"users\": []\n}", "an object that spans lines"),
        ("{\"a\": 1}\n", "of no known format"),
        (
            "[{\"email\": \"zoe@example.org\"},",
            "ends inside of its array; before that 1 rows were read, 1 accounts made",
        ),
        ("[] []", "stands behind the file's array"),
    ] {
        let (code, told) = import(&server, rows, &[]);
        let message = told["error"]["message"].as_str().unwrap_or_default();
        assert!(code == Some(1) && message.contains(expected), "{rows:?}: {told}");
        assert!(told["error"]["mend"].as_str().is_some_and(|mend| !mend.is_empty()));
    }
    let (code, told) = import(&server, "", &[]);
    assert_eq!((code, &told["rows"], &told["format"]), (Some(0), &json!(0), &json!("none")));
    for (arguments, expected) in [
        (&["user", "import", "absent.json"][..], "absent.json"),
        (&["user", "import", "."], "directory"),
        (&["user", "import", "-", "--format", "csv"], "there are: supabase, auth0, hypha, users"),
        (&["user", "import", "-", "--map-role", "editor"], "like editor=user"),
    ] {
        let output = server.command(arguments, "");
        assert!(!output.status.success() && printed(&output).contains(expected), "{}", printed(&output));
    }
}

#[test]
fn what_one_store_exports_another_takes_back() {
    let (here, there) = (Server::dev(), Server::dev());
    answered(&here.command(
        &["user", "create", "--email", "ann@example.org", "--password-stdin"],
        "correct horse battery 7\n",
    ));
    answered(&here.command(&["user", "set-roles", "ann@example.org", "premium"], ""));
    import(
        &here,
        &lines(&[
            json!({ "email": "bob@example.org", "email_confirmed": true, "password_hash": BCRYPT, "user_metadata": { "a": 1 } }),
            json!({ "id": "happy-cat-1", "email": "cid@example.org", "salt": "s", "password_hash": "00".repeat(32) }),
        ]),
        &["--format", "users"],
    );
    let hypha = json!({ "id": "happy-cat-1", "email": "cid@example.org", "salt": "s", "password_hash": "00".repeat(32), "roles": "[\"user\"]" });
    import(&here, &lines(&[hypha]), &[]);
    let path = here.directory().join("out.jsonl");
    let export = ["user", "export", "--with-password-hashes", "--output", path.to_str().expect("UTF-8")];
    let done = answered(&here.command(&export, ""));
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).expect("written");
    assert_eq!(text.lines().count() as u64, done["accounts"].as_u64().expect("a number"));
    assert!(
        text.contains("$argon2id$") && text.contains("$2b$04$") && text.contains("$sha256-suffix$"),
        "{text}"
    );
    assert!(!here.command(&export, "").status.success(), "no file is written over");
    let without = printed(&here.command(&["user", "export"], ""));
    assert!(
        without.contains("ann@example.org")
            && !without.contains("$argon2id$")
            && !without.contains("password"),
        "{without}"
    );
    let own = |text: &str| -> Vec<Value> {
        let all = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        all.filter(|one: &Value| one["email"].as_str().is_some_and(|email| email.ends_with("example.org")))
            .collect()
    };
    let (code, told) = import(&there, &lines(&own(&text)), &[]);
    assert_eq!((code, &told["made"]), (Some(0), &json!(3)), "{told}");
    let back = printed(&there.command(&["user", "export", "--with-password-hashes"], ""));
    assert_eq!(own(&back), own(&text));
    let log = answered(&here.command(&["audit", "list", "--action", "user:export"], ""));
    assert_eq!(log.as_array().map(Vec::len), Some(2), "taking accounts out leaves its line");
}
