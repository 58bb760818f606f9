use http::HeaderValue;
use serde_json::Value;

use super::*;

type Lines = &'static [(&'static str, &'static [u8])];
type Found = Option<(Place, &'static str)>;

fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

fn native() -> &'static Surface {
    crate::surfaces::find("native").expect("it is there")
}

#[test]
fn a_key_beside_a_token_is_the_clouds_where_the_platforms_clients_send_one() {
    let surface = crate::surfaces::find("langgraph").expect("it is there");
    let both = headers(&[("authorization", b"Bearer a"), ("x-api-key", b"lsv2_b")]);
    let found =
        offered((&Heads::of(&both), &both), surface, None).unwrap().map(|found| (found.place, found.text));
    assert_eq!(found, Some((Place::Bearer, "a")));
    let alone = headers(&[("x-api-key", b"dw_key")]);
    let found =
        offered((&Heads::of(&alone), &alone), surface, None).unwrap().map(|found| (found.place, found.text));
    assert_eq!(found, Some((Place::ApiKeyHeader, "dw_key")));
}

#[test]
fn one_credential_is_found_where_it_stands() {
    let cases: &[(&str, Lines, Found)] = &[
        ("nothing", &[], None),
        ("bearer", &[("authorization", b"Bearer abc")], Some((Place::Bearer, "abc"))),
        ("any case", &[("authorization", b"bEARER abc")], Some((Place::Bearer, "abc"))),
        ("key scheme", &[("authorization", b"ApiKey abc")], Some((Place::ApiKeyScheme, "abc"))),
        ("key header", &[("x-api-key", b"abc")], Some((Place::ApiKeyHeader, "abc"))),
        (
            "the same twice",
            &[("authorization", b"Bearer abc"), ("x-api-key", b"abc")],
            Some((Place::Bearer, "abc")),
        ),
        ("basic", &[("authorization", b"Basic YTpi")], Some((Place::OtherScheme, "YTpi"))),
        ("bare bearer", &[("authorization", b"Bearer")], Some((Place::OtherScheme, "Bearer"))),
        ("two words", &[("authorization", b"Bearer a b")], Some((Place::OtherScheme, "Bearer a b"))),
        ("empty", &[("authorization", b"")], Some((Place::OtherScheme, ""))),
    ];
    for (name, lines, expected) in cases {
        let headers = headers(lines);
        let found = offered((&Heads::of(&headers), &headers), native(), None)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(found.map(|found| (found.place, found.text)), *expected, "{name}");
        // What is plain to see is the same, unread; the rest is left to be read.
        let plainly = Heads::of(&headers).plainly(&headers, native());
        let is_plain = matches!(name, &"nothing" | &"bearer" | &"key header" | &"two words");
        assert_eq!(plainly.is_some(), is_plain, "{name}");
        if *name == "two words" {
            assert_eq!(plainly.flatten(), Some((Place::Bearer, &b"a b"[..])), "no credential has a space");
        } else if let Some(plainly) = plainly {
            assert_eq!(plainly, expected.map(|(place, text)| (place, text.as_bytes())), "{name}");
        }
    }
}

#[test]
fn a_key_in_a_header_of_the_surfaces_own_is_not_plain_to_see() {
    let surface = crate::surfaces::find("muxi").expect("it is there");
    let own = surface.key_headers[0];
    for lines in [&[(own, &b"a"[..])][..], &[("x-api-key", b"a"), (own, b"b")]] {
        let headers = headers(lines);
        assert!(Heads::of(&headers).plainly(&headers, surface).is_none());
        assert!(
            Heads::of(&headers).plainly(&headers, native()).is_some(),
            "another surface does not look there"
        );
    }
}

#[test]
fn contradicting_credentials_are_refused() {
    let cases: &[(&str, Lines)] = &[
        ("two tokens", &[("authorization", b"Bearer a"), ("authorization", b"Bearer b")]),
        ("one token twice", &[("authorization", b"Bearer a"), ("authorization", b"Bearer a")]),
        ("two keys", &[("x-api-key", b"a"), ("x-api-key", b"b")]),
        ("token and key", &[("authorization", b"Bearer a"), ("x-api-key", b"b")]),
        ("not ASCII", &[("authorization", b"Bearer \xc3\xa9")]),
        ("not UTF-8", &[("x-api-key", b"\xff")]),
    ];
    for (name, lines) in cases {
        let headers = headers(lines);
        let error = offered((&Heads::of(&headers), &headers), native(), None)
            .err()
            .unwrap_or_else(|| panic!("{name} is taken"));
        assert!(error.is(codes::BAD_HEADER), "{name}: {error}");
        let plainly = Heads::of(&headers).plainly(&headers, native());
        // Memory knows nothing that is no ASCII.
        assert_eq!(plainly.is_none(), !name.starts_with("not "), "{name}");
    }
}

#[test]
fn media_types_are_json_or_forms_in_utf8() {
    for (value, expected) in [
        ("application/json", Some(Media::Json)),
        ("Application/JSON; charset=UTF-8", Some(Media::Json)),
        ("application/json;charset=\"utf-8\"", Some(Media::Json)),
        ("application/x-www-form-urlencoded", Some(Media::Form)),
        ("application/json; charset=utf-16", None),
        ("text/plain", None),
        ("application/jsonx", None),
        ("", None),
    ] {
        assert_eq!(media(&headers(&[("content-type", value.as_bytes())])).ok(), expected, "{value}");
    }
    assert_eq!(media(&HeaderMap::new()).unwrap(), Media::Unnamed);
}

#[test]
fn json_bodies_are_strict_and_an_empty_one_is_an_empty_object() {
    assert_eq!(json_body::<Value>(b"").unwrap(), serde_json::json!({}));
    for (name, bytes) in [
        ("duplicate", &br#"{"a":1,"a":2}"#[..]),
        ("not UTF-8", b"{\"a\":\"\xff\"}"),
        ("two values", b"{}{}"),
        ("deep", "[".repeat(40).as_bytes()),
    ] {
        assert!(json_body::<Value>(bytes).is_err_and(|error| error.is(codes::BAD_JSON)), "{name}");
    }
}
