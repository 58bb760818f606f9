//! Spans as a collector reads them: `ExportTraceServiceRequest` of `opentelemetry-proto` 1.x, in Protocol Buffers' wire format.
//!
//! Six messages of one shape are all there is to it, so they are written by hand. The field's own crates (opentelemetry, its SDK, its OTLP
//! exporter, prost, tracing-opentelemetry) make a span of everything that is logged, operators' details included, are set up once for the
//! process and not for a server, and run on every log line; here a span holds what [`doorward_server::Span`] was given, and nothing else.

use doorward_server::{Span, Value};

/// Who writes: `service.name` and what else is said of this server.
pub(super) struct Resource(Vec<u8>);

/// `Status.code`: it failed.
const STATUS_ERROR: u64 = 2;
/// Wire types (protobuf.dev, "Message Structure").
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;

impl Resource {
    /// A resource of these attributes.
    pub(super) fn new(attributes: &[(String, String)]) -> Self {
        let mut resource = Vec::new();
        for (name, value) in attributes {
            bytes(&mut resource, 1, &attribute(name, &Value::Text(value.clone())));
        }
        Self(resource)
    }
}

/// A batch as the body of a request.
pub(super) fn batch(resource: &Resource, spans: &[Span]) -> Vec<u8> {
    let mut scope = Vec::new();
    bytes(&mut scope, 1, b"doorward");
    bytes(&mut scope, 2, env!("CARGO_PKG_VERSION").as_bytes());
    let mut scope_spans = Vec::new();
    bytes(&mut scope_spans, 1, &scope);
    for one in spans {
        bytes(&mut scope_spans, 2, &span(one));
    }
    let mut resource_spans = Vec::new();
    bytes(&mut resource_spans, 1, &resource.0);
    bytes(&mut resource_spans, 2, &scope_spans);
    let mut request = Vec::new();
    bytes(&mut request, 1, &resource_spans);
    request
}

fn span(span: &Span) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    bytes(&mut out, 1, &span.trace_id);
    bytes(&mut out, 2, &span.span_id);
    if let Some(state) = &span.state {
        bytes(&mut out, 3, state.as_bytes());
    }
    if let Some(parent) = &span.parent {
        bytes(&mut out, 4, parent);
    }
    bytes(&mut out, 5, span.name.as_bytes());
    number(&mut out, 6, span.kind as u64);
    fixed(&mut out, 7, span.began_ns);
    fixed(&mut out, 8, span.ended_ns);
    for (name, value) in &span.attributes {
        bytes(&mut out, 9, &attribute(name, value));
    }
    if span.failed {
        let mut status = Vec::new();
        number(&mut status, 3, STATUS_ERROR);
        bytes(&mut out, 15, &status);
    }
    out
}

/// `KeyValue`.
fn attribute(name: &str, value: &Value) -> Vec<u8> {
    let mut any = Vec::new();
    match value {
        Value::Text(text) => bytes(&mut any, 1, text.as_bytes()),
        // Two's complement, as int64 has it.
        Value::Number(value) => number(&mut any, 3, value.cast_unsigned()),
    }
    let mut out = Vec::new();
    bytes(&mut out, 1, name.as_bytes());
    bytes(&mut out, 2, &any);
    out
}

fn tag(out: &mut Vec<u8>, field: u64, wire: u64) {
    varint(out, field << 3 | wire);
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    tag(out, field, BYTES);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    tag(out, field, VARINT);
    varint(out, value);
}

fn fixed(out: &mut Vec<u8>, field: u64, value: u64) {
    tag(out, field, FIXED_64);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Seven bits a byte, the lowest first.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(low & 0x7F);
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_seven_bits_a_byte() {
        for (value, expected) in [
            (0, &[0x00][..]),
            (127, &[0x7F]),
            (128, &[0x80, 0x01]),
            (300, &[0xAC, 0x02]),
            (u64::MAX, &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]),
        ] {
            let mut out = Vec::new();
            varint(&mut out, value);
            assert_eq!(out, expected, "{value}");
        }
    }

    /// The rest is read by the published package (tests/compat/operations/test_traces.py).
    #[test]
    fn an_attribute_is_a_name_and_a_value_of_its_kind() {
        assert_eq!(attribute("a", &Value::Text("b".into())), b"\x0a\x01a\x12\x03\x0a\x01b");
        assert_eq!(attribute("a", &Value::Number(200)), b"\x0a\x01a\x12\x03\x18\xc8\x01");
    }
}
