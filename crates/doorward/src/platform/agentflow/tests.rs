use std::fs;

use doorward_protocols::jose::{Algorithm, SigningKey};

use super::*;
use crate::secrets::Weakness;

const SECRET: &str = "Zx3vN7qKfP0sWm4tYbL9uRcHgE2jAo6dVi8nXkTlQy5w";

fn read_in(json: &str, dotenv: &str, process: &[(&str, &str)]) -> Result<Platform, String> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("agentflow.json");
    fs::write(&path, json).expect("written");
    fs::write(directory.path().join(".env"), dotenv).expect("written");
    let environment =
        |name: &str| process.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    read(&path, &environment).map_err(|problems| problems.to_string())
}

fn jwt(dotenv: &str, process: &[(&str, &str)]) -> Result<Jwt, String> {
    match read_in(r#"{"agent": "a:b", "auth": "jwt", "env": ".env"}"#, dotenv, process)?.auth {
        Auth::Jwt(jwt) => Ok(*jwt),
        Auth::Open | Auth::Custom(_) => Err("another mode".to_owned()),
    }
}

/// A PKCS#8 PEM, made here so that no key lies in the repository.
fn private_pem(algorithm: Algorithm) -> String {
    use base64::Engine as _;
    let (_, der) = SigningKey::generate(algorithm).expect("made");
    let body = base64::engine::general_purpose::STANDARD.encode(der.expose());
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64 is ASCII")).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

#[test]
fn a_class_of_ones_own_is_named_with_its_directory_and_the_variables_of_the_file_alone() {
    let json = r#"{"agent": "a:b", "auth": {"method": "custom", "path": "auth.custom:Mine"}, "env": ".env"}"#;
    let dotenv = "A=1\nB=${A}-${OUTSIDE}\nA=2\n";
    let Auth::Custom(custom) = read_in(json, dotenv, &[("OUTSIDE", "o"), ("OTHER", "x")]).expect("good").auth
    else {
        unreachable!("it is custom")
    };
    assert_eq!(custom.targets, ["auth.custom:Mine"]);
    assert!(custom.directory.is_absolute());
    let seen: Vec<_> =
        custom.environment.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect();
    assert_eq!(seen, ["B=1-o", "A=2"]);
    assert!(read_in(json, "A=${NOBODY}\n", &[]).is_err_and(|text| text.contains("NOBODY")));
}

#[test]
fn null_absent_and_empty_let_everybody_in() {
    for json in
        [r#"{"agent": "a:b", "auth": null}"#, r#"{"agent": "a:b"}"#, r#"{"agent": "a:b", "auth": ""}"#]
    {
        let read = read_in(json, "", &[]).expect("good");
        assert!(matches!(read.auth, Auth::Open), "{json}");
        assert!(read.warnings.is_empty(), "{:?}", read.warnings);
    }
}

#[test]
fn bad_auth_is_refused_in_the_packages_sentences() {
    let cases = [
        (r#""basic""#, "Unsupported auth method: basic"),
        ("{}", "Both method and path must be provided in auth config"),
        (r#"{"method": "custom"}"#, "Both method and path must be provided in auth config"),
        (r#"{"path": "a:B"}"#, "Both method and path must be provided in auth config"),
        (r#"{"method": "saml", "path": "a:B"}"#, "Unsupported auth method: saml"),
        ("7", "Unsupported auth method: 7"),
        (r#""jwt""#, "JWT_SECRET_KEY and JWT_ALGORITHM must be set in environment variables"),
    ];
    for (auth, expected) in cases {
        let refused = read_in(&format!(r#"{{"agent": "a:b", "auth": {auth}}}"#), "", &[]).err().expect(auth);
        assert!(refused.contains(expected), "{auth}: {refused}");
    }
}

#[test]
fn the_process_wins_over_the_file_and_either_suffices() {
    let from_file = jwt(&format!("JWT_SECRET_KEY={SECRET}\nJWT_ALGORITHM=HS512\n"), &[]).expect("good");
    assert_eq!(from_file.algorithm, Algorithm::HS512);
    let both = jwt(
        "JWT_SECRET_KEY=x\nJWT_ALGORITHM=HS512\n",
        &[("JWT_ALGORITHM", "HS384"), ("JWT_SECRET_KEY", SECRET)],
    );
    let both = both.expect("good");
    assert_eq!(both.algorithm, Algorithm::HS384);
    assert_eq!(both.weak, [("JWT_SECRET_KEY", Weakness::Short { actual_bytes: 44, needed_bytes: 48 })]);
}

#[test]
fn issuer_and_audience_are_read() {
    let read = jwt(
        &format!("JWT_SECRET_KEY={SECRET}\nJWT_ALGORITHM=HS256\nJWT_ISSUER=auth-service\nJWT_AUDIENCE=agentflow-api\n"),
        &[],
    )
    .expect("good");
    assert_eq!(
        (read.issuer.as_deref(), read.audience.as_deref()),
        (Some("auth-service"), Some("agentflow-api"))
    );
}

#[test]
fn a_pem_is_read_in_every_spelling_and_signs_when_private() {
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::ES512] {
        let pem = private_pem(algorithm);
        let escaped = pem.replace('\n', "\\n");
        for value in
            [format!("\"{pem}\""), format!("'{pem}'"), format!("\"{escaped}\""), escaped, pem.clone()]
        {
            let read =
                jwt(&format!("JWT_SECRET_KEY={value}\nJWT_ALGORITHM={algorithm}\n"), &[]).expect("good");
            assert_eq!(read.keys.len(), 1);
            assert!(read.signer.is_some() && read.weak.is_empty());
        }
    }
}

#[test]
fn a_list_of_keys_is_read_in_every_spelling_newest_first() {
    let (new, old) = (format!("new-{SECRET}"), format!("old-{SECRET}"));
    for value in [
        format!("[\"{new}\", \"{old}\"]"),
        format!("'[\"{new}\", \"{old}\"]'"),
        format!("{new},{old}"),
        format!("\"{new}\n{old}\""),
    ] {
        let read = jwt(&format!("JWT_SECRET_KEYS={value}\nJWT_ALGORITHM=HS256\n"), &[]).expect("good");
        assert_eq!(read.keys.len(), 2, "{value}");
        let mut by_signer = Vec::new();
        read.signer.as_ref().expect("signs").sign(b"x", &mut by_signer).expect("signed");
        let newest = read.keys.iter().next().expect("two keys");
        assert!(newest.verify(b"x", &by_signer), "the first of the list signs");
    }
    let pems = format!("{}{}", private_pem(Algorithm::ES256), private_pem(Algorithm::ES256));
    let read = jwt(&format!("JWT_SECRET_KEYS=\"{pems}\"\nJWT_ALGORITHM=ES256\n"), &[]).expect("good");
    assert_eq!(read.keys.len(), 2);
    let both = jwt(&format!("JWT_SECRET_KEY={old}\nJWT_SECRET_KEYS={new}\nJWT_ALGORITHM=HS256\n"), &[]);
    assert_eq!(both.expect("good").keys.len(), 2, "the single key goes on verifying");
}

#[test]
fn keys_that_make_no_sense_are_named_and_never_shown() {
    let cases = [
        ("an empty list", "JWT_SECRET_KEYS=[]\nJWT_ALGORITHM=HS256\n".to_owned(), "JWT_SECRET_KEYS"),
        (
            "an empty key",
            format!("JWT_SECRET_KEYS='[\"{SECRET}\", \"\"]'\nJWT_ALGORITHM=HS256\n"),
            "JWT_SECRET_KEYS",
        ),
        (
            "a number",
            format!("JWT_SECRET_KEYS='[\"{SECRET}\", 7]'\nJWT_ALGORITHM=HS256\n"),
            "JWT_SECRET_KEYS",
        ),
        (
            "an object",
            format!("JWT_SECRET_KEYS='{{\"a\": \"{SECRET}\"}}'\nJWT_ALGORITHM=HS256\n"),
            "JWT_SECRET_KEYS",
        ),
        ("not closed", format!("JWT_SECRET_KEYS='[\"{SECRET}'\nJWT_ALGORITHM=HS256\n"), "JWT_SECRET_KEYS"),
        ("no PEM", format!("JWT_SECRET_KEY={SECRET}\nJWT_ALGORITHM=RS256\n"), "not a PEM document"),
        ("another algorithm", format!("JWT_SECRET_KEY={SECRET}\nJWT_ALGORITHM=none\n"), "JWT_ALGORITHM"),
        (
            "a reference to nothing",
            format!("JWT_SECRET_KEY={SECRET}${{NO}}\nJWT_ALGORITHM=HS256\n"),
            "refers to NO",
        ),
        (
            "PEM as a secret",
            format!("JWT_SECRET_KEY=\"{}\"\nJWT_ALGORITHM=HS256\n", private_pem(Algorithm::ES256)),
            "the secret is a PEM document",
        ),
        (
            "a key of another curve",
            format!("JWT_SECRET_KEY=\"{}\"\nJWT_ALGORITHM=ES384\n", private_pem(Algorithm::ES256)),
            "does not fit the algorithm ES384",
        ),
    ];
    for (name, dotenv, expected) in cases {
        let refused = jwt(&dotenv, &[]).err().expect(name);
        assert!(refused.contains(expected), "{name}: {refused}");
        assert!(!refused.contains(SECRET), "{name}: {refused}");
    }
}

#[test]
fn rate_limits_are_read_or_refused() {
    let read = |block: &str| read_in(&format!(r#"{{"agent": "a:b", "rate_limit": {block}}}"#), "", &[]);
    let limit =
        read(r#"{"enabled": true, "requests": 3, "window": 60, "by": "global", "exclude_paths": ["/ping"]}"#);
    let expected = RateLimit {
        requests: 3,
        window_s: 60,
        by: RateLimitBy::Global,
        exclude_paths: vec!["/ping".to_owned()],
    };
    assert_eq!(limit.expect("good").rate_limit, Some(expected));
    assert_eq!(read(r#"{"enabled": false, "requests": 0}"#).expect("good").rate_limit, None);
    assert_eq!(read("{}").expect("good").rate_limit.map(|l| (l.requests, l.window_s)), Some((100, 60)));
    assert_eq!(read(r#"{"backend": "redis"}"#).expect("good").warnings.len(), 1);
    for bad in [
        r#"{"requests": 0}"#,
        r#"{"requests": -1}"#,
        r#"{"requests": "many"}"#,
        r#"{"window": 0}"#,
        r#"{"by": "moon"}"#,
        r#"{"backend": "carrier-pigeon"}"#,
        r#"{"backend": "custom"}"#,
        r#"{"requests": 1e30}"#,
        r#"{"exclude_paths": ["a//b"]}"#,
        r#"{"exclude_paths": 5}"#,
        "5",
        r#"{"enabled": 1}"#,
    ] {
        assert!(read(bad).err().expect(bad).contains("rate_limit"), "{bad}");
    }
}

#[test]
fn policies_that_cannot_be_honoured_stop_the_start_and_others_warn() {
    let read = |value: &str| read_in(&format!(r#"{{"agent": "a:b", "authorization": {value}}}"#), "", &[]);
    for fine in ["null", r#""ownership""#] {
        assert!(read(fine).expect("good").warnings.is_empty(), "{fine}");
    }
    assert_eq!(read(r#""allow_all""#).expect("good").warnings.len(), 1);
    for refused in [r#""policy:Backend""#, r#"{"backend": "rbac", "roles": {}}"#] {
        assert!(read(refused).err().expect(refused).contains("authorization"), "{refused}");
    }
}

#[test]
fn unknown_keys_and_absent_files_are_warned_about() {
    let read = read_in(r#"{"agent": "a:b", "colour_of_the_door": "green", "env": "no.env"}"#, "", &[])
        .expect("good");
    assert!(read.warnings.iter().any(|text| text.contains("colour_of_the_door")), "{:?}", read.warnings);
    assert!(read.warnings.iter().any(|text| text.contains("no.env")), "{:?}", read.warnings);
}

#[test]
fn files_that_are_no_configuration_are_refused() {
    for bad in ["", "[]", "{", r#"{"auth": null, "auth": "jwt"}"#, "\u{0}"] {
        assert!(read_in(bad, "", &[]).is_err(), "{bad:?}");
    }
    assert!(read(Path::new("no-such-directory/agentflow.json"), &|_| None).is_err());
}
