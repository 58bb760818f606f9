//! Namespaces: lists of labels, as LangGraph's stores have them.

use crate::error::{Error, Result, codes};

/// Most labels of one.
pub const MAX_DEPTH: usize = 16;
/// Longest label, and longest namespace with a `.` behind each label, in bytes.
pub const MAX_LABEL_BYTES: usize = 256;
const MAX_BYTES: usize = 1_024;

/// Where items stand. Empty is the root, in which nothing is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Namespace(Vec<String>);

/// How a namespace begins or ends; `*` stands for any one label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pattern(Namespace);

fn bad(text: impl Into<String>) -> Error {
    Error::new(codes::BAD_FIELD).message(text)
}

impl Namespace {
    /// Reads labels.
    ///
    /// # Errors
    /// `bad_field` for an empty label, one with a `.` or a control character, and for what is longer than may be.
    pub fn new(labels: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let mut all: Vec<String> = Vec::new();
        let mut bytes = 0;
        for label in labels {
            let label = label.into();
            if label.is_empty() || label.contains('.') || label.chars().any(char::is_control) {
                let shown: String = label.chars().take(64).collect();
                return Err(bad(format!(
                    "Namespace label {shown:?} must be a non-empty string without periods"
                )));
            }
            bytes += label.len() + 1;
            if label.len() > MAX_LABEL_BYTES || bytes > MAX_BYTES || all.len() == MAX_DEPTH {
                return Err(bad(format!(
                    "A namespace has at most {MAX_DEPTH} labels of {MAX_LABEL_BYTES} bytes, and {MAX_BYTES} bytes."
                )));
            }
            all.push(label);
        }
        Ok(Self(all))
    }

    /// Refuses a namespace in which nothing is kept.
    ///
    /// # Errors
    /// `bad_field` for the root and for what begins with the platform's own label.
    pub fn must_keep(&self) -> Result<()> {
        match self.0.first().map(String::as_str) {
            None => Err(bad("Namespace cannot be empty")),
            Some("langgraph") => Err(bad("Root label for namespace cannot be \"langgraph\"")),
            Some(_) => Ok(()),
        }
    }

    /// The labels.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.0
    }

    /// The stored spelling: each label with a `.` behind.
    #[must_use]
    pub fn place(&self) -> String {
        self.0.iter().flat_map(|label| [label.as_str(), "."]).collect()
    }

    pub(super) fn of_place(place: &str) -> Self {
        Self(place.split_terminator('.').map(str::to_owned).collect())
    }

    /// At most this many of its labels.
    #[must_use]
    pub fn cut(mut self, depth: Option<usize>) -> Self {
        self.0.truncate(depth.unwrap_or(MAX_DEPTH));
        self
    }
}

impl Pattern {
    /// A pattern of these labels.
    #[must_use]
    pub fn new(labels: Namespace) -> Self {
        Self(labels)
    }

    /// The labels, `*` among them.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        self.0.labels()
    }

    /// The labels before the first `*`.
    #[must_use]
    pub fn fixed(&self) -> Namespace {
        Namespace(self.0.0.iter().take_while(|label| *label != "*").cloned().collect())
    }

    fn is(wanted: &[String], labels: &[String]) -> bool {
        wanted.iter().zip(labels).all(|(wanted, label)| wanted == "*" || wanted == label)
    }

    /// Whether a namespace begins like this.
    #[must_use]
    pub fn begins(&self, namespace: &Namespace) -> bool {
        let wanted = self.0.labels();
        wanted.len() <= namespace.0.len() && Self::is(wanted, &namespace.0)
    }

    /// Whether a namespace ends like this.
    #[must_use]
    pub fn ends(&self, namespace: &Namespace) -> bool {
        let wanted = self.0.labels();
        let from = namespace.0.len().checked_sub(wanted.len());
        from.is_some_and(|from| Self::is(wanted, &namespace.0[from..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(labels: &[&str]) -> Namespace {
        Namespace::new(labels.iter().copied()).expect("a namespace")
    }

    #[test]
    fn a_namespace_has_one_spelling() {
        for labels in [vec![], vec!["a"], vec!["a", "b"], vec!["%", "_", "日本"]] {
            assert_eq!(Namespace::of_place(&of(&labels).place()), of(&labels), "{labels:?}");
        }
        assert_eq!(of(&["a", "b"]).place(), "a.b.");
        assert!(!of(&["ab"]).place().starts_with(&of(&["a"]).place()), "a label is whole");
    }

    #[test]
    fn hostile_labels_are_refused() {
        let long = "x".repeat(257);
        let wide = "x".repeat(250);
        for labels in [
            vec![""],
            vec!["a", ""],
            vec!["a.b"],
            vec!["."],
            vec!["a\0"],
            vec!["a\nb"],
            vec![long.as_str()],
            vec![wide.as_str(); 5],
            vec!["a"; 17],
        ] {
            assert!(Namespace::new(labels.iter().copied()).is_err(), "{labels:?}");
        }
        assert!(of(&[]).must_keep().is_err() && of(&["langgraph", "x"]).must_keep().is_err());
        assert!(of(&["x", "langgraph"]).must_keep().is_ok());
    }

    #[test]
    fn patterns_match_label_by_label() {
        let pattern = |labels: &[&str]| Pattern::new(of(labels));
        let namespace = of(&["users", "ann", "notes"]);
        for (labels, begins, ends) in [
            (&[][..], true, true),
            (&["users"], true, false),
            (&["user"], false, false),
            (&["users", "*"], true, false),
            (&["*", "notes"], false, true),
            (&["notes"], false, true),
            (&["users", "ann", "notes"], true, true),
            (&["users", "ann", "notes", "*"], false, false),
        ] {
            assert_eq!(pattern(labels).begins(&namespace), begins, "{labels:?}");
            assert_eq!(pattern(labels).ends(&namespace), ends, "{labels:?}");
        }
        assert_eq!(pattern(&["users", "*", "x"]).fixed(), of(&["users"]));
        assert_eq!(namespace.cut(Some(2)), of(&["users", "ann"]));
    }
}
