//! W3C Trace Context: which trace a request belongs to, as its sender says.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

/// Which trace, and which of its spans asks.
pub(crate) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What tracing systems on the way keep with it.
pub(crate) static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Most bytes of `tracestate` that are passed on (§3.3.1.5 asks for 512 at least).
const MAX_STATE_BYTES: usize = 512;
/// Most members of it (§3.3.1.1).
const MAX_MEMBERS: usize = 32;
/// Most bytes of a member's key, and of its value (§3.3.1.3).
const MAX_PART_BYTES: usize = 256;

/// What a request says of its trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) trace_id: [u8; 16],
    /// The span that asks.
    pub(crate) span_id: [u8; 8],
    /// Whether its sender records the trace.
    pub(crate) sampled: bool,
    pub(crate) state: Option<HeaderValue>,
}

impl Context {
    /// Reads `traceparent` (§3.2.2) and `tracestate` with it. `None` for what is absent, malformed or there twice: then a trace begins
    /// here, as the recommendation has it.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(&TRACEPARENT).iter();
        let (parent, None) = (parents.next()?.as_bytes(), parents.next()) else { return None };
        let (trace_id, span_id, sampled) = parse(parent)?;
        // Several are one list (§3.3.1); who sends more than one may be without.
        let mut states = headers.get_all(&TRACESTATE).iter();
        let state = states.next().filter(|_| states.next().is_none());
        let state = state.filter(|value| value.len() <= MAX_STATE_BYTES && is_state(value.as_bytes()));
        Some(Self { trace_id, span_id, sampled, state: state.cloned() })
    }

    /// The headers for whoever is asked by `span_id`.
    pub(crate) fn write(&self, span_id: [u8; 8], headers: &mut HeaderMap) {
        let flags = u8::from(self.sampled);
        let text = format!("00-{}-{}-{flags:02x}", hex(&self.trace_id), hex(&span_id));
        headers.insert(TRACEPARENT.clone(), HeaderValue::from_str(&text).expect("hexadecimal"));
        if let Some(state) = &self.state {
            headers.insert(TRACESTATE.clone(), state.clone());
        }
    }
}

fn parse(text: &[u8]) -> Option<([u8; 16], [u8; 8], bool)> {
    // A later version may append more; of version 00 this is all.
    let whole = text.len() == 55 || (text.len() > 55 && text[55] == b'-' && &text[..2] != b"00");
    if !whole || [text[2], text[35], text[52]] != *b"---" || &text[..2] == b"ff" {
        return None;
    }
    let [_] = bytes::<1>(&text[..2])?;
    let (trace_id, span_id) = (bytes::<16>(&text[3..35])?, bytes::<8>(&text[36..52])?);
    let [flags] = bytes::<1>(&text[53..55])?;
    (trace_id != [0; 16] && span_id != [0; 8]).then_some((trace_id, span_id, flags & 1 == 1))
}

/// Lower-case hexadecimal alone (§3.2.2).
fn bytes<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (to, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *to = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

/// A list of members of §3.3.1.3, each under a key of its own; room between commas may be empty.
fn is_state(list: &[u8]) -> bool {
    let mut keys = Vec::new();
    for member in list.split(|byte| *byte == b',') {
        let member = member.trim_ascii();
        if member.is_empty() {
            continue;
        }
        let mut parts = member.splitn(2, |byte| *byte == b'=');
        let (Some(key), Some(value)) = (parts.next(), parts.next()) else { return false };
        if !is_key(key) || !is_value(value) || keys.contains(&key) || keys.len() == MAX_MEMBERS {
            return false;
        }
        keys.push(key);
    }
    !keys.is_empty()
}

fn is_key(key: &[u8]) -> bool {
    let begins = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    key.len() <= MAX_PART_BYTES
        && key.first().is_some_and(begins)
        && key.iter().all(|byte| begins(byte) || b"_-*/@".contains(byte))
}

fn is_value(value: &[u8]) -> bool {
    (1..=MAX_PART_BYTES).contains(&value.len())
        && value.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'=')
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(parents: &[&str], states: &[&str]) -> Option<Context> {
        let mut headers = HeaderMap::new();
        for (name, values) in [(&TRACEPARENT, parents), (&TRACESTATE, states)] {
            for value in values {
                headers.append(name.clone(), HeaderValue::from_str(value).expect("a value"));
            }
        }
        Context::read(&headers)
    }

    #[test]
    fn a_context_is_continued_under_another_span() {
        let context = read(&[GOOD], &["vendor=abc"]).expect("well formed");
        assert!(context.sampled);
        let mut headers = HeaderMap::new();
        context.write([1; 8], &mut headers);
        assert_eq!(headers[&TRACEPARENT], "00-0af7651916cd43dd8448eb211c80319c-0101010101010101-01");
        assert_eq!(headers[&TRACESTATE], "vendor=abc");
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-what-comes";
        assert!(!read(&[later], &[]).expect("a later version").sampled);
    }

    #[test]
    fn what_is_malformed_is_no_context() {
        for (name, text) in [
            ("empty", ""),
            ("short", &GOOD[..54]),
            ("long", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x"),
            ("upper case", "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("no trace", "00-00000000000000000000000000000000-b7ad6b7169203331-01"),
            ("no span", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"),
            ("version ff", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("no version", "zz-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("other separators", "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ] {
            assert_eq!(read(&[text], &[]), None, "{name}");
        }
        assert_eq!(read(&[GOOD, GOOD], &[]), None, "twice");
    }

    #[test]
    fn a_state_that_is_too_long_or_strange_is_left_out_and_the_trace_goes_on() {
        let long = format!("a={}", "b".repeat(MAX_STATE_BYTES));
        for states in [&[long.as_str()][..], &["nonsense"], &["a=1", "b=2"], &[""]] {
            assert_eq!(read(&[GOOD], states).expect("well formed").state, None, "{states:?}");
        }
    }

    #[test]
    fn a_state_is_a_list_of_members_as_the_recommendation_has_them() {
        let many = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        for good in ["vendor=x", "0v@sys-tem/a*b_c=a b!~", "a=1, b=2,,\tc=3", &many(MAX_MEMBERS)] {
            assert!(is_state(good.as_bytes()), "{good}");
        }
        let long = format!("a={}", "b".repeat(MAX_PART_BYTES + 1));
        for bad in ["", ",", "a", "=1", "a=", "A=1", "_a=1", "a b=1", "a=1,a=2", "a=1=2", "a=\x01", &long] {
            assert!(!is_state(bad.as_bytes()), "{bad}");
        }
        assert!(!is_state(many(MAX_MEMBERS + 1).as_bytes()));
    }
}
