use std::io::Read;

use doorward_core::identity::transfer::IncomingPassword;
use serde_json::{Value, json};

use super::Fault;
use super::formats::{Account, BUILTIN};
use super::members::{MAX_ROW_BYTES, Members};
use super::rows::{Broken, Piece, Rows};

const NOW_MS: i64 = 1_700_000_000_000;
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS";

fn cut(text: &str) -> Result<Vec<(u64, String)>, Broken> {
    // Through a reader that hands over one byte at a time: where its buffers end makes no difference.
    let mut rows = Rows::new(std::io::BufReader::with_capacity(1, text.as_bytes()));
    let mut all = Vec::new();
    while let Some((line, piece)) = rows.next()? {
        all.push((
            line,
            match piece {
                Piece::Row(bytes) => String::from_utf8(bytes).expect("UTF-8"),
                Piece::TooLong => "too long".to_owned(),
            },
        ));
        assert!(all.len() < 100, "it ends");
    }
    Ok(all)
}

#[test]
fn arrays_and_lines_are_cut_into_rows_with_their_lines() {
    let row = |line: u64, text: &str| (line, text.to_owned());
    for (text, expected) in [
        ("", vec![]),
        ("  \n ", vec![]),
        ("[]", vec![]),
        ("\u{feff}[ ]\n", vec![]),
        ("{\"a\":1}\n\n{\"b\":\"}\\n\"}", vec![row(1, "{\"a\":1}"), row(3, "{\"b\":\"}\\n\"}")]),
        (
            "\n [{\"a\":[1,{}]},\n {\"b\":\"],\\\"\"} ]\n",
            vec![row(2, "{\"a\":[1,{}]}"), row(3, "{\"b\":\"],\\\"\"} ")],
        ),
        ("[\n{\n\"a\":\n1},{\"b\":\n2}]", vec![row(2, "{\n\"a\":\n1}"), row(4, "{\"b\":\n2}")]),
        ("[{}},1 2,]", vec![row(1, "{}}"), row(1, "1 2"), row(1, "")]),
        ("{\"a\":\nnot json\n{}", vec![row(1, "{\"a\":"), row(2, "not json"), row(3, "{}")]),
    ] {
        assert_eq!(cut(text).expect(text), expected, "{text}");
    }
    for (text, why) in [
        ("\"a\"", "NotRows"),
        ("id,email\n1,a@x.org", "NotRows"),
        ("\u{fffe}[]", "NotRows"),
        ("\0", "NotRows"),
        ("{\n  \"users\": []\n}", "Spread"),
        ("[{}", "CutShort"),
        ("[{},", "CutShort"),
        ("[{\"a\":\"", "CutShort"),
        ("[", "CutShort"),
        ("[] x", "Trailing"),
        ("[{}]{}", "Trailing"),
    ] {
        let broken = cut(text).expect_err(text);
        assert_eq!(format!("{broken:?}"), why, "{text}");
    }
}

#[test]
fn a_row_of_a_hundred_megabytes_is_passed_over_and_the_next_is_read() {
    const HUNDRED_MB: u64 = 100 << 20;
    for (before, fill, after) in [
        ("{\"a\":\"", b'x', "\"}\n{\"b\":2}\n"),
        ("[{\"a\":\"", b'x', "\"},{\"b\":2}]"),
        ("{\"a\":", b'[', "\n{\"b\":2}\n"),
    ] {
        let long = before.as_bytes().chain(std::io::repeat(fill).take(HUNDRED_MB)).chain(after.as_bytes());
        let mut rows = Rows::new(std::io::BufReader::with_capacity(1 << 16, long));
        assert_eq!(rows.next().expect("read"), Some((1, Piece::TooLong)));
        assert_eq!(
            rows.next().expect("read").map(|(_, piece)| piece),
            Some(Piece::Row(b"{\"b\":2}".to_vec()))
        );
        assert!(rows.next().expect("read").is_none());
    }
    let most = format!("{{\"a\":\"{}\"}}\n", "x".repeat(MAX_ROW_BYTES - 8));
    assert!(matches!(Rows::new(most.as_bytes()).next(), Ok(Some((1, Piece::Row(_))))));
}

fn read(name: &str, row: &Value) -> Result<Account, Fault> {
    let format = BUILTIN.iter().find(|format| format.name == name).expect("a format");
    (format.read)(Members::read(row.to_string().as_bytes())?, NOW_MS)
}

fn account(name: &str, row: &Value) -> Account {
    read(name, row).unwrap_or_else(|fault| panic!("{name}: {fault:?}: {row}"))
}

fn code(name: &str, row: &Value) -> &'static str {
    read(name, row).map_or_else(|fault| fault.code, |_| "taken")
}

#[test]
fn a_row_is_strict_json_and_its_values_are_not_said() {
    for (row, expected) in [
        ("{\"a\":1,\"a\":2}", "json_duplicate_member"),
        ("{\"a\":1", "json_syntax"),
        ("{\"a\":\"\0\"}", "json_syntax"),
        ("\u{feff}{}", "json_syntax"),
        ("{\"a\":1e999}", "json_syntax"),
        ("{\"a\":\"\\ud800\"}", "json_syntax"),
        ("[1]", "json_shape"),
        ("\"hunter2\"", "json_shape"),
        ("", "json_syntax"),
    ] {
        let fault = Members::read(row.as_bytes()).expect_err(row);
        assert_eq!(fault.code, expected, "{row}");
        assert!(!fault.message.contains("hunter2"));
    }
    assert_eq!(Members::read(b"{\"a\":\"\xff\"}").expect_err("no UTF-8").code, "json_syntax");
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40));
    assert_eq!(Members::read(deep.as_bytes()).expect_err("deep").code, "json_too_deep");
}

#[test]
fn formats_are_told_by_their_members() {
    for (members, expected) in [
        (&["id", "email", "name", "password_hash", "salt", "roles"][..], Some("hypha")),
        (&["id", "aud", "email", "encrypted_password", "raw_app_meta_data"], Some("supabase")),
        (&["email", "user_id", "email_verified"], Some("auth0")),
        (&["_id", "email", "passwordHash", "email_verified"], Some("auth0")),
        (&["email", "custom_password_hash"], Some("auth0")),
        (&["email", "password_hash"], Some("users")),
        (&["username"], Some("users")),
        (&["id", "name"], None),
    ] {
        let row = Members::of(members.iter().map(|&name| (name.to_owned(), Value::Null)).collect());
        let found = BUILTIN.iter().find(|format| (format.recognises)(&row));
        assert_eq!(found.map(|format| format.name), expected, "{members:?}");
    }
}

#[test]
fn a_row_of_the_samples_table_keeps_who_somebody_is() {
    let row = json!({
        "id": "happy-cat-12", "email": "ann@example.org", "name": "Ann", "salt": "7f".repeat(32),
        "password_hash": "92843e147f0401ceb58764d9d0eff27ec1e066a4d15a8bef534ee49d5dbca1e5",
        "roles": "[\"user\", \"editor\"]",
    });
    let Account { incoming, .. } = account("hypha", &row);
    assert_eq!(incoming.origin.user_id().as_str(), "usr_happy-cat-12");
    assert_eq!(
        (incoming.email.as_deref(), incoming.display_name.as_deref()),
        (Some("ann@example.org"), Some("Ann"))
    );
    assert_eq!(incoming.roles, ["user", "editor"]);
    assert!(incoming.email_confirmed.is_none() && incoming.password.is_some());
    let with = |name: &str, value: Value| {
        let mut row = row.clone();
        row[name] = value;
        row
    };
    assert_eq!(account("hypha", &with("roles", json!(["user"]))).incoming.roles, ["user"]);
    assert_eq!(account("hypha", &with("id", json!(7))).incoming.origin.id, "7");
    assert!(account("hypha", &with("password_hash", json!(null))).incoming.password.is_none());
    for (name, value, expected) in [
        ("salt", json!(null), "bad_field"),
        ("salt", json!("x".repeat(300)), "hash_malformed"),
        ("password_hash", json!("92"), "hash_malformed"),
        ("password_hash", json!("x".repeat(64)), "hash_malformed"),
        ("password_hash", json!(BCRYPT), "hash_malformed"),
        ("roles", json!("user"), "bad_field"),
        ("roles", json!("[1]"), "bad_field"),
        ("roles", json!({}), "bad_field"),
        ("roles", json!("[".repeat(1000)), "bad_field"),
        ("id", json!(1.5), "bad_field"),
        ("email", json!(["a"]), "bad_field"),
    ] {
        assert_eq!(code("hypha", &with(name, value.clone())), expected, "{name}: {value}");
    }
}

#[test]
fn a_row_of_auth_users_keeps_proofs_bans_and_metadata() {
    let id = "9f0c2e9a-6c1d-4b1e-8a57-1f2e3d4c5b6a";
    let row = json!({
        "instance_id": "00000000-0000-0000-0000-000000000000", "id": id, "aud": "authenticated", "role": "authenticated",
        "email": "ann@example.org", "encrypted_password": BCRYPT, "email_confirmed_at": "2023-05-01T10:00:00.25+00:00",
        "raw_app_meta_data": { "provider": "email", "providers": ["email"], "plan": "pro" },
        "raw_user_meta_data": { "full_name": "Ann L." }, "created_at": "2023-04-30 10:00:00+00", "phone": null,
        "banned_until": null, "deleted_at": null, "is_anonymous": false, "is_sso_user": false,
    });
    let Account { incoming, left_behind } = account("supabase", &row);
    assert_eq!(incoming.origin.user_id().to_string(), format!("usr_{}", id.replace('-', "")));
    assert_eq!(incoming.email_confirmed, Some(Some(1_682_935_200_250)));
    assert_eq!(incoming.created_at_ms, Some(1_682_848_800_000));
    assert_eq!(Value::Object(incoming.admin_metadata), json!({ "plan": "pro" }));
    assert_eq!(incoming.display_name.as_deref(), Some("Ann L."));
    assert!(matches!(incoming.password, Some(IncomingPassword::Foreign(_))));
    assert!(!incoming.disabled && incoming.roles.is_empty() && left_behind.is_empty());
    let with = |name: &str, value: Value| {
        let mut row = row.clone();
        row[name] = value;
        row
    };
    for (until, disabled) in
        [("2100-01-01T00:00:00Z", true), ("infinity", true), ("2020-01-01T00:00:00+00:00", false)]
    {
        let banned = account("supabase", &with("banned_until", json!(until)));
        assert_eq!(
            (banned.incoming.disabled, banned.left_behind.contains(&"end of a ban")),
            (disabled, disabled),
            "{until}"
        );
    }
    assert_eq!(account("supabase", &with("phone", json!("491234"))).left_behind, ["phone number"]);
    assert!(account("supabase", &with("encrypted_password", json!(""))).incoming.password.is_none());
    assert!(
        account("supabase", &with("raw_user_meta_data", json!({ "full_name": 7 })))
            .incoming
            .display_name
            .is_none()
    );
    for (name, value, expected) in [
        ("id", json!(null), "bad_field"),
        ("deleted_at", json!("2023-05-01T10:00:00Z"), "account_deleted"),
        ("is_anonymous", json!(true), "account_anonymous"),
        ("banned_until", json!("soon"), "bad_field"),
        ("banned_until", json!(true), "bad_field"),
        ("email_confirmed_at", json!("yes"), "bad_field"),
        ("raw_app_meta_data", json!([]), "bad_field"),
        (
            "encrypted_password",
            json!("$2b$31$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS"),
            "hash_too_costly",
        ),
        ("encrypted_password", json!("secret in clear"), "hash_malformed"),
    ] {
        assert_eq!(code("supabase", &with(name, value.clone())), expected, "{name}: {value}");
    }
}

#[test]
fn auth0s_hashes_are_read_as_its_schema_spells_them() {
    let row = json!({
        "user_id": "auth0|5f7c8ec7c33c6c004bbafe82", "email": "ann@example.org", "email_verified": true, "name": "Ann",
        "app_metadata": { "roles": ["admin"] }, "user_metadata": { "theme": "light" }, "blocked": false,
    });
    let with = |name: &str, value: Value| {
        let mut row = row.clone();
        row[name] = value;
        row
    };
    let Account { incoming, left_behind } = account("auth0", &row);
    assert!(incoming.roles.is_empty(), "metadata makes nobody an administrator");
    assert_eq!(incoming.admin_metadata["roles"], json!(["admin"]));
    assert!(incoming.email_confirmed == Some(None) && incoming.password.is_none() && left_behind.is_empty());
    let exported = json!({ "_id": { "$oid": "5f7c8ec7c33c6c004bbafe82" }, "email": "ann@example.org", "passwordHash": BCRYPT });
    let exported = account("auth0", &exported).incoming;
    assert_eq!(exported.origin.user_id(), incoming.origin.user_id(), "both spellings are one account");
    assert!(exported.password.is_some() && exported.email_confirmed.is_none());
    let factors = with("mfa_factors", json!([{ "totp": { "secret": "x" } }]));
    assert_eq!(account("auth0", &factors).left_behind, ["second factors"]);
    assert!(account("auth0", &with("blocked", json!(true))).incoming.disabled);
    assert!(account("auth0", &with("password_hash", json!(BCRYPT))).incoming.password.is_some());
    let custom = |custom: Value| with("custom_password_hash", custom);
    let sha256 = |more: Value| {
        let mut hash = json!({ "algorithm": "sha256", "hash": { "value": "00".repeat(32), "encoding": "hex" }, "salt": { "value": "s", "position": "suffix" } });
        hash.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        custom(hash)
    };
    let scrypt = |cost: u64, keylen: u64| {
        let hash = json!({ "value": "A".repeat(43) + "=", "encoding": "base64" });
        custom(
            json!({ "algorithm": "scrypt", "hash": hash, "salt": { "value": "00ff", "encoding": "hex" }, "keylen": keylen, "cost": cost, "blockSize": 8, "parallelization": 1 }),
        )
    };
    let pbkdf2 = "$pbkdf2-sha512$i=1000,l=64$YXV0aDBzYWx0$by0tyxKUtijNYKS/oO8zqNbhKjdHz64lRiABy9oX0WODI8CxB4U7aNC5N/Togg1Rwf3jek0oyBXTwk7YUfXFzQ";
    for (name, row, expected) in [
        (
            "bcrypt",
            custom(json!({ "algorithm": "bcrypt", "hash": { "value": BCRYPT, "encoding": "utf8" } })),
            "taken",
        ),
        (
            "pbkdf2",
            custom(json!({ "algorithm": "pbkdf2", "hash": { "value": pbkdf2, "encoding": "utf8" } })),
            "taken",
        ),
        (
            "another than it says",
            custom(json!({ "algorithm": "pbkdf2", "hash": { "value": BCRYPT } })),
            "hash_malformed",
        ),
        ("scrypt", scrypt(16_384, 32), "taken"),
        ("scrypt of another length", scrypt(16_384, 64), "hash_malformed"),
        ("scrypt of 2^30", scrypt(1 << 30, 32), "hash_too_costly"),
        ("scrypt of 2^63", scrypt(1 << 63, 32), "hash_too_costly"),
        ("scrypt of 3", scrypt(3, 32), "hash_malformed"),
        ("sha256", sha256(json!({})), "taken"),
        ("sha256 without a salt", sha256(json!({ "salt": null })), "taken"),
        (
            "a salt in the middle",
            sha256(json!({ "salt": { "value": "s", "position": "middle" } })),
            "bad_field",
        ),
        ("UTF-16", sha256(json!({ "password": { "encoding": "utf16le" } })), "hash_unsupported"),
        ("no encoding", sha256(json!({ "hash": { "value": "00".repeat(32) } })), "hash_unsupported"),
        ("no hash", sha256(json!({ "hash": {} })), "bad_field"),
        (
            "md5",
            custom(json!({ "algorithm": "md5", "hash": { "value": "00", "encoding": "hex" } })),
            "hash_unsupported",
        ),
        (
            "two hashes",
            {
                let mut two = sha256(json!({}));
                two["password_hash"] = BCRYPT.into();
                two
            },
            "bad_field",
        ),
        ("text", custom(json!("x")), "bad_field"),
    ] {
        assert_eq!(code("auth0", &row), expected, "{name}");
    }
}

#[test]
fn our_own_format_takes_back_what_it_wrote_and_nothing_unknown() {
    let full = json!({
        "id": "usr_0123", "username": "ann", "email": "ann@example.org", "email_confirmed_at_ms": 1_600_000_000_000_i64,
        "display_name": "Ann", "roles": ["user"], "user_metadata": { "a": 1 }, "admin_metadata": { "b": 2 }, "disabled": true,
        "created_at_ms": 1_500_000_000_000_i64, "password_hash": BCRYPT,
    });
    let Account { incoming, .. } = account("users", &full);
    assert!(incoming.disabled && !incoming.note_origin);
    assert_eq!(
        (incoming.email_confirmed, incoming.created_at_ms),
        (Some(Some(1_600_000_000_000)), Some(1_500_000_000_000))
    );
    assert!(matches!(incoming.password, Some(IncomingPassword::Foreign(_))));
    let ours = json!({ "username": "ann", "password_normalization": "NFKC", "password_hash":
        "$argon2id$v=19$m=64,t=2,p=2$c2FsdHNhbHQxMjM0NTY3OA$V9eKFTd3ROVHNDNF804jdemKmX4JQ3raxuiyXDqOXLI" });
    assert!(matches!(account("users", &ours).incoming.password, Some(IncomingPassword::Ours(_))));
    for (row, expected) in [
        (json!({ "email": "a@x.org", "passwrd_hash": BCRYPT }), "bad_field"),
        (json!({ "email": "a@x.org", "password": "in clear" }), "bad_field"),
        (
            json!({ "email": "a@x.org", "password_hash": BCRYPT, "password_normalization": "NFKC" }),
            "hash_unsupported",
        ),
        (json!({ "email": "a@x.org", "password_normalization": "NFC" }), "bad_field"),
        (json!({ "email": "a@x.org", "created_at_ms": 1e300 }), "bad_field"),
        (json!({ "email": "a@x.org", "created_at_ms": i64::MAX }), "bad_field"),
        (json!({ "email": "a@x.org", "disabled": "no" }), "bad_field"),
        (json!({ "email": "a@x.org", "user_metadata": "{}" }), "bad_field"),
        (json!({ "email": "a@x.org", "email_confirmed": 1 }), "taken"),
        (json!({ "email": "a@x.org", "email_confirmed": 2 }), "bad_field"),
    ] {
        assert_eq!(code("users", &row), expected, "{row}");
    }
}
