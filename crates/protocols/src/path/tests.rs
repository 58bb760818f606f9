use super::*;

#[test]
fn good_paths_reach_one_spelling() {
    for (given, expected) in [
        ("/", "/"),
        ("/threads", "/threads"),
        ("/threads/", "/threads/"),
        ("/thre%61ds", "/threads"),
        ("/%7Euser/%2d%5F", "/~user/-_"),
        ("/a%20b", "/a%20b"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a:b@c;d=e,f", "/a:b@c;d=e,f"),
        ("/%3A", "/%3A"),
        ("/100%25", "/100%25"),
        ("/%25zz", "/%25zz"),
        ("/file%2Etxt", "/file.txt"),
        ("/...", "/..."),
        ("/.well-known/x", "/.well-known/x"),
    ] {
        let path = canonical(given.as_bytes()).unwrap();
        assert_eq!(path.as_str(), expected, "{given}");
        assert_eq!(canonical(path.as_str().as_bytes()).unwrap(), path, "{given}: canonical twice");
    }
}

#[test]
fn ambiguous_paths_are_refused_by_name() {
    use PathError::*;
    for (given, expected) in [
        (&b""[..], NotAbsolute),
        (b"*", NotAbsolute),
        (b"threads", NotAbsolute),
        (b"http://h/x", NotAbsolute),
        (b"/a%2fb", ForbiddenEscape),
        (b"/a%2Fb", ForbiddenEscape),
        (b"/a%5cb", ForbiddenEscape),
        (b"/a%00", ForbiddenEscape),
        (b"/a%0a", ForbiddenEscape),
        (b"/a%7f", ForbiddenEscape),
        (b"/%c0%af", ForbiddenEscape),
        (b"/%ff", ForbiddenEscape),
        (b"/%ed%a0%80", ForbiddenEscape),
        (b"/a\\b", BadCharacter),
        (b"/a\0", BadCharacter),
        (b"/a b", BadCharacter),
        (b"/a?b", BadCharacter),
        (b"/a#b", BadCharacter),
        (b"/a\xc3\xa9", BadCharacter),
        (b"/a\x7f", BadCharacter),
        (b"/a\r\n", BadCharacter),
        (b"/{id}", BadCharacter),
        (b"/a%", BadEscape),
        (b"/a%2", BadEscape),
        (b"/a%zz", BadEscape),
        (b"/a%u002f", BadEscape),
        (b"/a%252f", DoubleEscape),
        (b"/a%25%32%66", DoubleEscape),
        (b"/.", DotSegment),
        (b"/..", DotSegment),
        (b"/a/../b", DotSegment),
        (b"/a/./b", DotSegment),
        (b"/%2e%2e/b", DotSegment),
        (b"/.%2E", DotSegment),
        (b"/a/%2e", DotSegment),
        (b"//", EmptySegment),
        (b"//a", EmptySegment),
        (b"/a//b", EmptySegment),
        (b"/a//", EmptySegment),
    ] {
        assert_eq!(canonical(given).err(), Some(expected), "{}", given.escape_ascii());
    }
    assert_eq!(canonical(&[b'/'; MAX_PATH_BYTES + 1]).err(), Some(TooLong));
}

#[test]
fn segments_are_given_escaped_and_decoded() {
    let path = canonical(b"/threads/a%20b/").unwrap();
    assert_eq!(path.segments().collect::<Vec<_>>(), ["threads", "a%20b", ""]);
    assert_eq!(path.decoded_segments().collect::<Vec<_>>(), ["threads", "a b", ""]);
    assert!(path.has_trailing_slash());
    assert_eq!(canonical(b"/").unwrap().segments().count(), 0);
}
