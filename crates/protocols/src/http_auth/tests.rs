use super::*;

#[test]
fn authorization_values_parse_or_are_refused_by_name() {
    use HttpAuthError::*;
    for (name, header, expected) in [
        ("bearer", &b"Bearer abc.def-_~+/="[..], Ok((Scheme::Bearer, "abc.def-_~+/="))),
        ("case does not matter", b"bEaReR x", Ok((Scheme::Bearer, "x"))),
        ("a run of spaces", b"Bearer   x", Ok((Scheme::Bearer, "x"))),
        ("surrounding spaces", b"  Bearer x  ", Ok((Scheme::Bearer, "x"))),
        ("basic", b"Basic dTpw", Ok((Scheme::Basic, "dTpw"))),
        ("api key", b"ApiKey dw_live_1!", Ok((Scheme::ApiKey, "dw_live_1!"))),
        ("other", b"Digest a=\"b\", c", Ok((Scheme::Other("digest".into()), "a=\"b\", c"))),
        ("empty", b"", Err(NoScheme)),
        ("spaces", b"   ", Err(NoScheme)),
        ("scheme alone", b"Bearer", Err(NoCredential)),
        ("scheme and spaces", b"Bearer   ", Err(NoCredential)),
        ("bare token", b"abc.def.ghi", Err(NoCredential)),
        ("two credentials", b"Bearer a b", Err(BadCredential)),
        ("comma", b"Bearer a,b", Err(BadCredential)),
        ("padding inside", b"Bearer a=b", Err(BadCredential)),
        ("padding alone", b"Bearer ==", Err(BadCredential)),
        ("quoted", b"Bearer \"a\"", Err(BadCredential)),
        ("api key with space", b"ApiKey a b", Err(BadCredential)),
        ("bad scheme", b"Bea(rer x", Err(NoScheme)),
        ("tab", b"Bearer\tx", Err(NotText)),
        ("line break", b"Bearer x\r\nX: y", Err(NotText)),
        ("nul", b"Bearer x\0", Err(NotText)),
        ("utf-8", "Bearer é".as_bytes(), Err(NotText)),
        ("latin-1", b"Bearer \xe9", Err(NotText)),
    ] {
        let parsed = parse_authorization(header).map(|a| (a.scheme, a.credential));
        assert_eq!(parsed, expected, "{name}");
    }
    let huge = [b"Bearer ".to_vec(), vec![b'a'; MAX_HEADER_BYTES]].concat();
    assert_eq!(parse_authorization(&huge), Err(TooLarge));
}

#[test]
fn an_unread_credential_is_the_one_that_is_read_or_none_at_all() {
    let huge = [b"Bearer ".to_vec(), vec![b'a'; MAX_HEADER_BYTES]].concat();
    for (header, unread) in [
        (&b"Bearer abc.def-_~+/="[..], Some(&b"abc.def-_~+/="[..])),
        (b"Bearer a b", Some(b"a b")),
        (b"Bearer ", Some(b"")),
        (b"Bearer  x ", Some(b" x ")),
        (b"Bearer \xe9", Some(b"\xe9")),
        (b"bearer x", None),
        (b"Basic dTpw", None),
        (b" Bearer x", None),
        (b"Bearer", None),
        (&huge, None),
    ] {
        let name = header.escape_ascii();
        assert_eq!(unread_bearer(header), unread, "{name}");
        // Whoever reads the whole of it finds the same, or refuses it; spaces about it are no part of any credential.
        if let (Some(unread), Ok(read)) = (unread.map(<[u8]>::trim_ascii), parse_authorization(header)) {
            assert_eq!((read.scheme, read.credential.as_bytes()), (Scheme::Bearer, unread), "{name}");
        }
    }
}

#[test]
fn credentials_never_show_in_debug() {
    let shown = format!("{:?}", parse_authorization(b"Bearer topsecret").unwrap());
    assert!(!shown.contains("topsecret"), "{shown}");
    let shown =
        format!("{:?} {:?}", decode_basic("dTpodW50ZXIy").unwrap(), parse_cookies(b"a=hunter2").unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn basic_pairs_split_at_the_first_colon() {
    let encode = |text: &[u8]| STANDARD.encode(text);
    let decoded = decode_basic(&encode("üser:p:ss".as_bytes())).unwrap();
    assert_eq!((decoded.user.as_str(), decoded.password.expose()), ("üser", &b"p:ss"[..]));
    assert!(decode_basic(&encode(b":")).unwrap().user.is_empty());
    for (name, credential) in [
        ("no colon", encode(b"user")),
        ("not utf-8", encode(b"u:\xff")),
        ("nul", encode(b"u:\0")),
        ("line break", encode(b"u\n:p")),
        ("unpadded", "dTpwdw".to_owned()),
        ("trailing bits", "dTpwdx==".to_owned()),
        ("url alphabet", "_-8=".to_owned()),
        ("empty", String::new()),
    ] {
        assert!(decode_basic(&credential).is_err(), "{name}");
    }
}

#[test]
fn a_challenge_cannot_be_broken_out_of() {
    let value =
        Challenge::new("Bearer").param("realm", "a\"b\\c").param("error", "x\r\nSet-Cookie: é").build();
    assert_eq!(value, "Bearer realm=\"a\\\"b\\\\c\", error=\"x??Set-Cookie: ?\"");
    assert_eq!(Challenge::new("Basic").build(), "Basic");
}

#[test]
fn a_cookie_sent_twice_is_refused_only_when_asked_for() {
    let cookies = parse_cookies(b"a=1; b=\"2\";c=; a=3; bad name=x; =y; d=with space; e").unwrap();
    assert_eq!(cookies.get("a"), Err(HttpAuthError::DuplicateCookie));
    assert_eq!(cookies.get("b"), Ok(Some("2")));
    assert_eq!(cookies.get("c"), Ok(Some("")));
    assert_eq!(cookies.get("A"), Ok(None));
    assert_eq!((cookies.get("d"), cookies.get("bad name"), cookies.get("e")), (Ok(None), Ok(None), Ok(None)));
    assert_eq!(parse_cookies("a=é".as_bytes()).err(), Some(HttpAuthError::NotText));
    let many = "a=1;".repeat(300);
    assert_eq!(parse_cookies(many.as_bytes()).err(), Some(HttpAuthError::TooLarge));
}
