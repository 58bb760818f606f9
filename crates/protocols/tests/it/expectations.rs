//! The numbered order of checks, and which key answers to which header.

use doorward_protocols::jose::{
    Algorithm, Expect, HeaderPolicy, KeySet, SecretRule, SigningKey, TokenError, sign_compact, verify_token,
};
use serde_json::{Value, json};

const NOW_S: i64 = 1_800_000_000;

fn secret(byte: u8, kid: Option<&str>) -> SigningKey {
    SigningKey::from_secret(&[byte; 64], Algorithm::HS256, kid.map(str::to_owned), SecretRule::Strict)
        .unwrap()
}

fn outcome(claims: Value, expect: &Expect<'_>) -> Option<TokenError> {
    let key = secret(1, Some("k"));
    let keys = KeySet::new([key.verifying_key()]).unwrap();
    verify_token(sign_compact(&key, "at+jwt", &claims).unwrap(), &keys, expect).err()
}

#[test]
fn claims_are_held_to_the_expectations() {
    let base = Expect { now_s: NOW_S, ..Expect::default() };
    let (issuer, audience) = (["us".to_owned(), "them".to_owned()], ["api".to_owned(), "web".to_owned()]);
    let issued = Expect { issuer: Some(&issuer), ..base.clone() };
    let meant = Expect { audience: Some(&audience), ..base.clone() };
    let bounded = Expect { max_lifetime_s: Some(3600), ..base.clone() };
    let eternal = Expect { require_exp: false, ..base.clone() };
    let typed = Expect { types: &["at+jwt"], ..base.clone() };
    let other = Expect { types: &["rt+jwt"], ..base.clone() };
    let needing = Expect { required: &["sid"], ..base.clone() };
    let exp = NOW_S + 60;
    for (name, claims, expect, expected) in [
        ("control", json!({"exp": exp}), &base, None),
        ("no exp", json!({}), &base, Some(TokenError::MissingExp)),
        ("no exp, not required", json!({}), &eternal, None),
        ("expired though not required", json!({"exp": 1}), &eternal, Some(TokenError::Expired)),
        ("just inside the leeway", json!({"exp": NOW_S - 29}), &base, None),
        ("at the end of the leeway", json!({"exp": NOW_S - 30}), &base, Some(TokenError::Expired)),
        ("smallest exp", json!({"exp": i64::MIN}), &base, Some(TokenError::Expired)),
        ("largest exp", json!({"exp": i64::MAX}), &base, None),
        ("nbf inside the leeway", json!({"exp": exp, "nbf": NOW_S + 30}), &base, None),
        ("nbf ahead", json!({"exp": exp, "nbf": NOW_S + 31}), &base, Some(TokenError::NotYetValid)),
        ("largest nbf", json!({"exp": exp, "nbf": i64::MAX}), &base, Some(TokenError::NotYetValid)),
        ("iat ahead", json!({"exp": exp, "iat": NOW_S + 31}), &base, Some(TokenError::IssuedInFuture)),
        ("issuer", json!({"exp": exp, "iss": "them"}), &issued, None),
        ("other issuer", json!({"exp": exp, "iss": "they"}), &issued, Some(TokenError::WrongIssuer)),
        ("no issuer", json!({"exp": exp}), &issued, Some(TokenError::MissingClaim("iss"))),
        ("audience", json!({"exp": exp, "aud": "web"}), &meant, None),
        ("one of several audiences", json!({"exp": exp, "aud": ["x", "api"]}), &meant, None),
        ("other audience", json!({"exp": exp, "aud": ["x", "API"]}), &meant, Some(TokenError::WrongAudience)),
        ("no audience", json!({"exp": exp, "aud": []}), &meant, Some(TokenError::MissingClaim("aud"))),
        ("lifetime", json!({"exp": exp, "iat": exp - 3600}), &bounded, None),
        (
            "long lifetime",
            json!({"exp": exp, "iat": exp - 3601}),
            &bounded,
            Some(TokenError::LifetimeTooLong),
        ),
        (
            "widest lifetime",
            json!({"exp": i64::MAX, "iat": i64::MIN}),
            &bounded,
            Some(TokenError::LifetimeTooLong),
        ),
        ("lifetime without iat", json!({"exp": exp}), &bounded, Some(TokenError::MissingClaim("iat"))),
        ("type", json!({"exp": exp}), &typed, None),
        ("other type", json!({"exp": exp}), &other, Some(TokenError::WrongType)),
        ("required claim", json!({"exp": exp, "sid": null}), &needing, None),
        ("required claim absent", json!({"exp": exp}), &needing, Some(TokenError::MissingClaim("sid"))),
    ] {
        assert_eq!(outcome(claims, expect), expected, "{name}");
    }
}

#[test]
fn the_first_failing_check_answers() {
    let (issuer, audience) = (["us".to_owned()], ["api".to_owned()]);
    let expect =
        Expect { now_s: NOW_S, issuer: Some(&issuer), audience: Some(&audience), ..Expect::default() };
    let mut claims = json!({"exp": 1, "nbf": NOW_S + 99, "iat": NOW_S + 99, "iss": "x", "aud": "x"});
    for (mend, value, expected) in [
        ("exp", json!(NOW_S + 60), TokenError::Expired),
        ("nbf", json!(NOW_S), TokenError::NotYetValid),
        ("iat", json!(NOW_S), TokenError::IssuedInFuture),
        ("iss", json!("us"), TokenError::WrongIssuer),
        ("aud", json!("api"), TokenError::WrongAudience),
    ] {
        assert_eq!(outcome(claims.clone(), &expect), Some(expected));
        claims[mend] = value;
    }
    assert_eq!(outcome(claims, &expect), None);
    // A bad signature is told before anything the payload says.
    let keys = KeySet::new([secret(2, Some("k")).verifying_key()]).unwrap();
    let token = sign_compact(&secret(1, Some("k")), "", &json!({"exp": 1})).unwrap();
    assert_eq!(verify_token(token, &keys, &expect).unwrap_err(), TokenError::BadSignature);
}

#[test]
fn the_kid_selects_the_key() {
    let expect = Expect { now_s: NOW_S, headers: HeaderPolicy::External, ..Expect::default() };
    let try_with = |signer: &SigningKey, keys: &[&SigningKey]| {
        let set = KeySet::new(keys.iter().map(|key| key.verifying_key())).unwrap();
        let token = sign_compact(signer, "", &json!({"exp": NOW_S + 60})).unwrap();
        verify_token(token, &set, &expect).map(|verified| verified.kid().map(str::to_owned))
    };
    let (a, b, same_kid) = (secret(1, Some("a")), secret(2, Some("b")), secret(3, Some("a")));
    let (plain, older, stranger) = (secret(4, None), secret(5, None), secret(6, None));
    let named_stranger = secret(5, Some("z"));
    let (ec, _) = SigningKey::generate(Algorithm::ES256).unwrap();
    for (name, signer, keys, expected) in [
        ("known kid", &b, vec![&a, &b], Ok(Some("b".to_owned()))),
        ("known kid, other key", &same_kid, vec![&a, &b], Err(TokenError::BadSignature)),
        (
            "known kid does not fall back",
            &same_kid,
            vec![&a, &secret(3, None)],
            Err(TokenError::BadSignature),
        ),
        ("unknown kid", &named_stranger, vec![&a, &b], Err(TokenError::UnknownKey)),
        ("unknown kid, keys without one", &named_stranger, vec![&a, &plain, &older], Ok(None)),
        ("no kid, newest", &plain, vec![&plain, &older], Ok(None)),
        ("no kid, older", &older, vec![&plain, &older], Ok(None)),
        ("no kid, none fits", &stranger, vec![&plain, &older], Err(TokenError::BadSignature)),
        ("no kid, named keys only", &plain, vec![&a, &b], Err(TokenError::UnknownKey)),
        ("no kid, other algorithm", &plain, vec![&ec], Err(TokenError::AlgorithmNotAllowed)),
        ("no keys", &plain, vec![], Err(TokenError::UnknownKey)),
    ] {
        assert_eq!(try_with(signer, &keys), expected, "{name}");
    }
}

#[test]
fn verified_tokens_tell_what_was_checked() {
    let key = secret(1, Some("k"));
    let keys = KeySet::new([key.verifying_key()]).unwrap();
    let token =
        sign_compact(&key, "at+jwt", &json!({"exp": NOW_S + 60, "sub": "u", "org": {"id": 1}})).unwrap();
    let verified = verify_token(&token, &keys, &Expect { now_s: NOW_S, ..Expect::default() }).unwrap();
    assert_eq!((verified.algorithm(), verified.kid()), (Algorithm::HS256, Some("k")));
    assert_eq!(verified.claims.sub().as_deref(), Some("u"));
    assert_eq!(verified.claims.get("org"), Some(json!({"id": 1})));
    assert_eq!(format!("{:?}", verified.claims), r#"{"exp", "org", "sub"}"#);
    let expired =
        verify_token(&token, &keys, &Expect { now_s: NOW_S + 99, ..Expect::default() }).unwrap_err();
    assert!(expired.is_expired() && expired.code() == "token_expired");
}
