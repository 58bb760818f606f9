use http::HeaderValue;

use super::*;

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn sources(texts: &[&str]) -> Sources {
    Sources::new(texts.iter().map(|text| text.parse().unwrap()).collect(), &[])
}

type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    Option<&'static str>,
    Option<(Place, &'static str)>,
);

#[test]
fn the_first_place_that_holds_something_decides() {
    let sources = sources(&[
        "header:CF-Authorization",
        "authorization",
        "header:X-API-Key",
        "cookie:app_token",
        "query:token",
    ]);
    let token = |text| Some((Place::Bearer, text));
    let cases: &[Case] = &[
        ("nothing", &[], None, None),
        ("the first", &[("cf-authorization", "a"), ("authorization", "Bearer b")], None, token("a")),
        (
            "the first, sent last",
            &[("authorization", "Bearer b"), ("cf-authorization", "a")],
            None,
            token("a"),
        ),
        (
            "the second",
            &[("cookie", "app_token=c"), ("authorization", "Bearer b")],
            Some("token=q"),
            token("b"),
        ),
        ("a key", &[("x-api-key", "dw_key")], None, token("dw_key")),
        ("a word before it", &[("cf-authorization", "bearer a.b.c")], None, token("a.b.c")),
        ("padding stays", &[("cf-authorization", "a=b==")], None, token("a=b==")),
        ("in a cookie too", &[("cookie", "x=1; app_token=a=b==; y=2")], None, token("a=b==")),
        ("an empty cookie is none", &[("cookie", "app_token=")], Some("token=q"), token("q")),
        ("a query", &[], Some("a=1&token=q%3D%2B&b=2"), token("q=+")),
        ("another name", &[("cookie", "App_Token=c"), ("x-auth-token", "d")], Some("Token=q&xtoken=r"), None),
        (
            "an empty header is bad, not none",
            &[("x-api-key", ""), ("cookie", "app_token=c")],
            None,
            token(""),
        ),
    ];
    for (name, lines, query, expected) in cases {
        let headers = headers(lines);
        let found = sources.find(&headers, *query, true).unwrap();
        let found = found.as_ref().map(|found| (found.as_offered().place, found.as_offered().text));
        assert_eq!(found, *expected, "{name}");
    }
}

#[test]
fn authorization_is_read_in_every_form() {
    let sources = sources(&["authorization"]);
    for (value, place, text) in [
        ("Bearer a.b.c", Place::Bearer, "a.b.c"),
        ("bEARER   a", Place::Bearer, "a"),
        ("Bearer session:1-2", Place::Bearer, "session:1-2"),
        ("a.b.c", Place::Bearer, "a.b.c"),
        ("sk_live_abc123", Place::Bearer, "sk_live_abc123"),
        ("ApiKey dw_key", Place::ApiKeyScheme, "dw_key"),
        ("Basic dXNlcjphOmI=", Place::Bearer, "a:b"),
        ("Basic dXNlcjo=", Place::OtherScheme, "Basic dXNlcjo="),
        ("Basic !", Place::OtherScheme, "Basic !"),
        ("Bearer", Place::OtherScheme, "Bearer"),
        ("Digest a", Place::OtherScheme, "Digest a"),
        ("", Place::OtherScheme, ""),
    ] {
        let headers = headers(&[("authorization", value)]);
        let found = sources.find(&headers, None, true).unwrap().unwrap();
        let offered = found.as_offered();
        assert_eq!((offered.place, offered.text, found.by_browser), (place, text, false), "{value}");
    }
}

#[test]
fn two_readings_are_refused_wherever_the_place_stands() {
    let sources = sources(&["authorization", "header:x-api-key", "cookie:app_token", "query:token"]);
    type Two = (&'static str, &'static [(&'static str, &'static str)], Option<&'static str>);
    let cases: &[Two] = &[
        ("header", &[("authorization", "Bearer a"), ("x-api-key", "a"), ("x-api-key", "b")], None),
        ("the same", &[("x-api-key", "a"), ("x-api-key", "a")], None),
        ("cookie", &[("cookie", "app_token=a; app_token=b")], None),
        (
            "in two headers",
            &[("authorization", "Bearer a"), ("cookie", "app_token=a"), ("cookie", "app_token=a")],
            None,
        ),
        ("query", &[("authorization", "Bearer a")], Some("token=a&token=b")),
        ("query, spelled otherwise", &[], Some("token=a&%74oken=b")),
    ];
    for (name, lines, query) in cases {
        let headers = headers(lines);
        assert!(sources.find(&headers, *query, true).is_err(), "{name}");
    }
}

#[test]
fn cookies_are_known_as_what_browsers_send_by_themselves() {
    let sources = sources(&["cookie:app_token", "header:x-api-key"]);
    let headers = headers(&[("cookie", "app_token=c"), ("x-api-key", "k")]);
    assert!(sources.find(&headers, None, true).unwrap().is_some_and(|found| found.by_browser));
    let without = sources.find(&headers, None, false).unwrap();
    assert!(without.is_some_and(|found| !found.by_browser && found.as_offered().text == "k"));
}

#[test]
fn a_token_of_the_query_goes_no_further() {
    let sources = sources(&["query:token", "query:access_token"]);
    for (query, left) in [
        (None, None),
        (Some("token=q"), None),
        (Some("a=1&token=q&b=2&access_token=r"), Some("a=1&b=2")),
        (Some("%74oken=q&tokens=1"), Some("tokens=1")),
        (Some("a=1&a=2"), Some("a=1&a=2")),
    ] {
        assert_eq!(sources.without_tokens(query).as_deref(), left, "{query:?}");
    }
    let other = Sources::new(Vec::new(), &[]);
    assert_eq!(other.without_tokens(Some("token=q")).as_deref(), Some("token=q"));
}

#[test]
fn texts_that_name_no_place_are_refused() {
    for (text, expected) in [
        ("authorization", "authorization"),
        ("Authorization", "authorization"),
        ("header:CF-Authorization", "header:cf-authorization"),
        ("cookie:CF_Authorization", "cookie:CF_Authorization"),
        ("query:access_token", "query:access_token"),
    ] {
        assert_eq!(text.parse::<TokenSource>().unwrap().to_string(), expected);
    }
    for text in [
        "",
        "bearer",
        "header",
        "header:",
        "header:a b",
        "header:cookie",
        "header:Authorization",
        "header:Host",
        "header:X-Forwarded-For",
        "header:sec-fetch-site",
        "cookie:",
        "cookie:a;b",
        "cookie:a=b",
        "cookie:__Host-doorward-session",
        "query:",
        "query:a&b",
        "query:a b",
        "body:token",
    ] {
        assert!(text.parse::<TokenSource>().is_err(), "{text:?}");
    }
    assert!(format!("header:{}", "a".repeat(65)).parse::<TokenSource>().is_err());
}
