//! The fields of a line for people: numbers and plain texts as they are, all else by the library, which knows what must not reach a
//! terminal.
//!
//! A request has a line of six fields, and the library spells each by way of `Debug`, which costs more than finding out who is asking.

use std::error::Error;
use std::fmt;

use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput as _};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};

/// Spells fields as [`tracing_subscriber::fmt::format::DefaultFields`] does, to the byte.
pub(super) struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line { writer, is_empty: true, result: Ok(()) };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'w> {
    writer: Writer<'w>,
    is_empty: bool,
    result: fmt::Result,
}

impl Line<'_> {
    /// By the library.
    fn usual(&mut self, record: impl FnOnce(&mut DefaultVisitor<'_>)) {
        if self.result.is_ok() {
            let mut visitor = DefaultVisitor::new(self.writer.by_ref(), self.is_empty);
            record(&mut visitor);
            self.result = visitor.finish();
            self.is_empty = false;
        }
    }

    /// As it is, unless it would be coloured.
    fn plain(&mut self, field: &Field, spelled: [&str; 3]) {
        if self.result.is_ok() {
            let pad = if self.is_empty { "" } else { " " };
            let mut parts = [pad, field.name(), "="].into_iter().chain(spelled);
            self.result = parts.try_for_each(|part| self.writer.write_str(part));
            self.is_empty = false;
        }
    }

    /// Whether the library would do something else with this field than write it down.
    fn is_particular(&self, field: &Field) -> bool {
        let name = field.name();
        self.writer.has_ansi_escapes()
            || name == "message"
            || name.starts_with("r#")
            || name.starts_with("log.")
    }
}

impl Visit for Line<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if self.is_particular(field) {
            self.usual(|usual| usual.record_u64(field, value));
        } else {
            self.plain(field, ["", itoa::Buffer::new().format(value), ""]);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if self.is_particular(field) || !value.bytes().all(is_plain) {
            self.usual(|usual| usual.record_str(field, value));
        } else {
            self.plain(field, ["\"", value, "\""]);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.usual(|usual| usual.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.usual(|usual| usual.record_debug(field, value));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing_subscriber::fmt::format::DefaultFields;

    use super::*;

    #[derive(Clone, Default)]
    struct Held(Arc<Mutex<Vec<u8>>>);

    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn said<F>(fields: F, coloured: bool, say: fn()) -> String
    where
        F: for<'w> FormatFields<'w> + Send + Sync + 'static,
    {
        let held = Held::default();
        let to = held.clone();
        let lines = tracing_subscriber::fmt()
            .without_time()
            .with_ansi(coloured)
            .with_writer(move || to.clone())
            .fmt_fields(fields)
            .finish();
        tracing::subscriber::with_default(lines, say);
        let text = held.0.lock().clone();
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn fields_are_spelled_as_the_library_spells_them_whatever_they_hold() {
        let says: [fn(); 6] = [
            || {
                tracing::info!(
                    path = "/v1/x",
                    status = 200_u64,
                    ms = u64::MAX,
                    none = None::<&str>,
                    "answered"
                )
            },
            || tracing::info!(status = 200_u16, less = -1, really = true, part = 0.5, "numbers"),
            || {
                tracing::info!(
                    path = "a\"b\\c",
                    escape = "\u{1b}[31mred",
                    line = "a\nb",
                    other = "Zoë",
                    "texts"
                )
            },
            || tracing::info!(path = "", shown = %"\u{1b}[31m", told = ?"a\"b", "\u{1b}[31mwords"),
            || tracing::info!(error = &fmt::Error as &(dyn Error + 'static), r#type = "x", r#if = 7_u64),
            || tracing::info!("{}", "no field"),
        ];
        for coloured in [false, true] {
            for say in says {
                let (ours, usual) = (said(Fields, coloured, say), said(DefaultFields::new(), coloured, say));
                assert!(usual.len() > 20, "{usual}");
                assert_eq!(ours, usual);
            }
        }
    }
}
