use super::member::decode_string;
use super::*;

fn code(bytes: &[u8]) -> &'static str {
    parse(bytes, Limits::STRANGER).expect_err("refused").code()
}

#[test]
fn every_refusal_has_its_code() {
    for (name, text, expected) in [
        ("empty", "", "json_syntax"),
        ("byte order mark", "\u{feff}{}", "json_syntax"),
        ("second document", "{} {}", "json_syntax"),
        ("duplicate", r#"{"a":1,"a":1}"#, "json_duplicate_member"),
        ("duplicate spelled with an escape", r#"{"a":1,"\u0061":2}"#, "json_duplicate_member"),
        ("nested duplicate", r#"[{"b":{"a":1,"c":2,"a":3}}]"#, "json_duplicate_member"),
        ("infinite", "1e999", "json_syntax"),
        ("negative infinite", "[-1e999]", "json_syntax"),
        ("lone surrogate", r#""\ud800""#, "json_syntax"),
        ("swapped surrogates", r#""\udc00\ud800""#, "json_syntax"),
        ("smuggled document", r#"{"$serde_json::private::RawValue":"{\"a\":1,\"a\":2}"}"#, "json_syntax"),
        ("smuggled, escaped", r#"{"\u0024serde_json::private::RawValue":"[]"}"#, "json_syntax"),
        ("not a number", "[NaN]", "json_syntax"),
        ("plus", "+1", "json_syntax"),
    ] {
        assert_eq!(code(text.as_bytes()), expected, "{name}");
    }
    assert_eq!(code(b"\"\xff\""), "json_syntax");
}

#[test]
fn duplicates_are_found_among_many_members() {
    let mut members: Vec<String> = (0..500).map(|n| format!("\"m{n}\":{n}")).collect();
    let unique = format!("{{{}}}", members.join(","));
    assert!(parse(unique.as_bytes(), Limits::STRANGER).is_ok());
    members.push("\"m250\":0".into());
    let twice = format!("{{{}}}", members.join(","));
    assert_eq!(parse(twice.as_bytes(), Limits::STRANGER), Err(JsonError::DuplicateMember("m250".into())));
}

#[test]
fn the_same_name_may_stand_in_different_objects() {
    assert!(parse(br#"{"a":{"a":{"a":1},"b":[{"a":1},{"a":2}]}}"#, Limits::STRANGER).is_ok());
}

#[test]
fn depth_and_size_are_bounded_exactly() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(check(nested(32).as_bytes(), Limits::STRANGER).is_ok());
    assert_eq!(check(nested(33).as_bytes(), Limits::STRANGER), Err(JsonError::TooDeep { max_depth: 32 }));
    let wide_open = Limits { max_bytes: usize::MAX, max_depth: usize::MAX };
    assert_eq!(
        check(nested(100_000).as_bytes(), wide_open),
        Err(JsonError::TooDeep { max_depth: Limits::DEEPEST })
    );
    assert!(parse(nested(Limits::DEEPEST).as_bytes(), wide_open).is_ok());
    let small = Limits { max_bytes: 4, max_depth: 1 };
    assert!(check(b"1234", small).is_ok());
    assert_eq!(check(b"12345", small), Err(JsonError::TooLarge { max_bytes: 4 }));
}

#[test]
fn strings_decode_as_serde_decodes_them() {
    for text in [r#""plain""#, r#""\"\\\/\b\f\n\r\t""#, r#""\u0041\u00e9\uD83D\ude00z""#, "\"\u{10FFFF}é\""]
    {
        let expected: String = serde_json::from_str(text).unwrap();
        assert!(check(text.as_bytes(), Limits::TOKEN).is_ok(), "{text}");
        assert_eq!(decode_string(text), expected, "{text}");
    }
}

#[test]
fn shape_errors_name_the_field_but_never_the_value() {
    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Login {
        user: String,
        password: u32,
    }
    let error = parse_as::<Login>(br#"{"user":"u","password":"hunter2"}"#, Limits::STRANGER).unwrap_err();
    assert_eq!(error.code(), "json_shape");
    assert!(!error.to_string().contains("hunter2") && error.to_string().contains("expected u32"), "{error}");
    let error = parse_as::<Login>(br#"{"user":"u"}"#, Limits::STRANGER).unwrap_err();
    assert!(error.to_string().contains("missing field `password`"), "{error}");
}

#[test]
fn members_of_an_object_are_listed_in_order() {
    let text = r#" {"a" : {"x":1,"y":[2]}, "b\n":"s", "c":-1.5e3} "#;
    let members = scan_object(text, Limits::TOKEN).unwrap();
    let listed: Vec<_> =
        members.iter().map(|m| (m.name(text).into_owned(), m.value.of(text), m.kind)).collect();
    assert_eq!(
        listed,
        [
            ("a".to_owned(), r#"{"x":1,"y":[2]}"#, Kind::Object),
            ("b\n".to_owned(), r#""s""#, Kind::PlainString),
            ("c".to_owned(), "-1.5e3", Kind::Number)
        ]
    );
    assert!(scan_object("[]", Limits::TOKEN).is_err());
}

#[test]
fn a_string_ends_at_its_quote_wherever_that_falls_in_a_word() {
    for length in 0..40 {
        for filler in ["a", "é", "\u{7f}", "\u{10FFFF}", "!"] {
            let text = format!("[\"{}\",1]", filler.repeat(length));
            let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(parse(text.as_bytes(), Limits::TOKEN), Ok(expected), "{text}");
            for stop in ['\n', '\0', '\u{1f}'] {
                let text = format!("[\"{}{stop}{}\"]", filler.repeat(length), filler.repeat(9));
                assert_eq!(
                    check(text.as_bytes(), Limits::TOKEN).unwrap_err().code(),
                    "json_syntax",
                    "{text:?}"
                );
            }
        }
    }
}

#[test]
fn a_number_that_is_read_and_spelled_again_stays_the_same_number() {
    for text in
        ["22000000000078458082794351129034", "0.1", "1e-7", "2.2250738585072011e-308", "9007199254740993.5"]
    {
        let once = parse(text.as_bytes(), Limits::STRANGER).expect(text);
        let again = parse(once.to_string().as_bytes(), Limits::STRANGER).expect(text);
        assert_eq!(once, again, "{text}");
        assert_eq!(once.as_f64(), text.parse().ok(), "{text}: the nearest there is");
    }
}
