use super::*;

/// Feeds the bytes `step` at a time, as a slow peer would, and returns how many messages were passed.
fn messages(bytes: &[u8], step: usize) -> Result<usize, Refusal> {
    let (mut framing, mut buffered, mut passed) = (Framing::new(), Vec::new(), 0);
    let mut was_in_body = false;
    for chunk in bytes.chunks(step) {
        buffered.extend_from_slice(chunk);
        loop {
            let was_head = framing.in_head();
            let take = framing.advance(&buffered)?;
            if take == 0 {
                break;
            }
            buffered.drain(..take);
            was_in_body |= !was_head;
            if framing.in_head() {
                passed += 1;
            }
            if buffered.is_empty() {
                break;
            }
        }
    }
    assert!(buffered.is_empty() || framing.in_head() || was_in_body);
    Ok(passed)
}

fn refused(head: &str) -> Refusal {
    let whole = messages(head.as_bytes(), usize::MAX).expect_err(head);
    let slow = messages(head.as_bytes(), 1).expect_err(head);
    assert_eq!(whole, slow, "the verdict depends on how the bytes are cut: {head:?}");
    whole
}

#[test]
fn messages_are_told_apart_however_they_are_cut() {
    let stream = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\
        POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello\
        POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n\
        POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n\
        GET /last HTTP/1.0\r\n\r\n";
    for step in [1, 2, 3, 7, 64, 4096] {
        assert_eq!(messages(stream, step), Ok(5), "step {step}");
    }
}

#[test]
fn every_second_reading_is_refused() {
    let cases: &[(&str, &str, &str)] = &[
        (
            "both lengths",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "bad_header",
        ),
        (
            "both, other order",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            "bad_header",
        ),
        (
            "two lengths",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
            "bad_header",
        ),
        ("list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n", "bad_header"),
        ("signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", "bad_header"),
        ("negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "bad_header"),
        ("hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n", "bad_header"),
        (
            "huge length",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "bad_header",
        ),
        ("empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", "bad_header"),
        (
            "gzip coding",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "bad_header",
        ),
        (
            "two codings",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "bad_header",
        ),
        (
            "identity coding",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
            "bad_header",
        ),
        ("coding in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_header"),
        (
            "space before colon",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
            "bad_header",
        ),
        (
            "vertical tab in coding",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
            "bad_request",
        ),
        ("folded header", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", "bad_header"),
        ("bare line feeds", "GET / HTTP/1.1\nHost: a\n\n", "bad_request"),
        ("bare line feed in a header", "GET / HTTP/1.1\r\nHost: a\r\nX: a\nY: b\r\n\r\n", "bad_request"),
        ("bare carriage return", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", "bad_request"),
        ("NUL", "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", "bad_request"),
        ("no host", "GET / HTTP/1.1\r\nX: a\r\n\r\n", "bad_header"),
        ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "bad_header"),
        ("list of hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "bad_header"),
        ("unknown expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", "bad_header"),
        ("no colon", "GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", "bad_header"),
        ("no name", "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", "bad_header"),
        ("leading empty line", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request"),
        ("absolute form", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "bad_path"),
        ("authority form", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "bad_path"),
        ("fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "bad_path"),
        ("non-ASCII target", "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", "bad_path"),
        ("angle brackets", "GET /<a> HTTP/1.1\r\nHost: a\r\n\r\n", "bad_path"),
        ("two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request"),
        ("space in target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request"),
        ("no version", "GET /\r\n\r\n", "bad_request"),
        ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "bad_request"),
        ("lower-case version", "GET / http/1.1\r\nHost: a\r\n\r\n", "bad_request"),
        ("TLS", "\x16\x03\x01\x02\x00\x01", "bad_request"),
        (
            "trailers",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
            "bad_request",
        ),
        (
            "chunk without size",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
            "bad_request",
        ),
        (
            "chunk size in words",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            "bad_request",
        ),
        (
            "chunk size with prefix",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n",
            "bad_request",
        ),
        (
            "chunk size overflow",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n100000003\r\nabc\r\n",
            "bad_request",
        ),
        (
            "chunk longer than said",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
            "bad_request",
        ),
        (
            "chunk line ends in line feed",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n",
            "bad_request",
        ),
    ];
    for (name, bytes, code) in cases {
        let refusal = refused(bytes);
        assert_eq!(refusal.code.name, *code, "{name}: {refusal:?}");
        assert!((400..500).contains(&refusal.status), "{name}");
    }
}

#[test]
fn heads_are_bounded_in_bytes_and_fields() {
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    assert_eq!(messages(fields(MAX_HEADERS).as_bytes(), usize::MAX), Ok(1));
    assert_eq!(refused(&fields(MAX_HEADERS + 1)).status, 431);
    let sized = |size: usize| {
        let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(size - frame))
    };
    assert_eq!(messages(sized(MAX_HEAD_BYTES).as_bytes(), 1000), Ok(1));
    assert_eq!(messages(sized(MAX_HEAD_BYTES + 1).as_bytes(), usize::MAX).unwrap_err().status, 431);
    let endless = "GET / HTTP/1.1\r\nX: ".to_owned() + &"y".repeat(MAX_HEAD_BYTES);
    assert_eq!(messages(endless.as_bytes(), 1000).unwrap_err().status, 431);
    let chunk_line =
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;{}", "x".repeat(300));
    assert_eq!(refused(&chunk_line).status, 400);
}
