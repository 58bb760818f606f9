//! Settings as they were written, before anybody asked what they mean.
//!
//! A tree is made from each source, and the trees are laid over one another. Every leaf remembers where it came
//! from, so that whatever is wrong with it can be said at its place.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::expand::expand;
use super::origin::Origin;
use super::problem::Problem;

/// The largest configuration file that is read, in bytes.
const MAX_FILE_BYTES: usize = 1 << 20;
/// What a variable that sets a key begins with.
pub(super) const PREFIX: &str = "DOORWARD__";

/// Names to nodes.
pub(super) type Table = BTreeMap<String, Node>;

/// A value and where it stands. Texts may be secrets, so a node cannot be printed, and they are wiped.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

#[derive(Clone)]
pub(super) enum Value {
    Text(Zeroizing<String>),
    Integer(i64),
    Boolean(bool),
    List(Vec<Node>),
    Table(Table),
    /// A kind of TOML value that no setting takes.
    Other(&'static str),
}

impl Value {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a number",
            Self::Boolean(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a section",
            Self::Other(kind) => kind,
        }
    }
}

impl Node {
    pub(super) fn text(text: impl Into<String>, origin: Origin) -> Self {
        Self { value: Value::Text(Zeroizing::new(text.into())), origin }
    }
}

/// Lays `upper` over `lower`: sections are joined, anything else is replaced.
pub(super) fn lay_over(lower: &mut Table, upper: Table) {
    for (name, node) in upper {
        match (lower.get_mut(&name).map(|below| &mut below.value), node.value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                lower.insert(name, Node { value, origin: node.origin });
            }
        }
    }
}

/// Puts one value at a path of names, making the sections on the way.
pub(super) fn put(table: &mut Table, path: &[&str], node: Node) {
    let [first, rest @ ..] = path else { return };
    if rest.is_empty() {
        table.insert((*first).to_owned(), node);
        return;
    }
    let section = table
        .entry((*first).to_owned())
        .or_insert_with(|| Node { value: Value::Table(Table::new()), origin: node.origin.clone() });
    match &mut section.value {
        Value::Table(inner) => put(inner, rest, node),
        other => {
            let mut inner = Table::new();
            put(&mut inner, rest, node);
            *other = Value::Table(inner);
        }
    }
}

/// Reads the text of a configuration file. `${NAME}` in a text is replaced from `variable`.
pub(super) fn from_toml(
    path: &Path,
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> Table {
    let path: Arc<Path> = path.into();
    if text.len() > MAX_FILE_BYTES {
        problems.push(Problem::general(
            format!("{} is larger than 1 MiB", path.display()),
            "give the path of a configuration file",
        ));
        return Table::new();
    }
    match DeTable::parse(text) {
        Ok(table) => Reader { path, text, variable, problems }.table(table.into_inner()),
        Err(error) => {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            problems.push(
                Problem::general(
                    format!("this is not TOML: {}", error.message()),
                    "correct the line; texts stand in quotes, and each key once",
                )
                .at(&Origin::File { path, line, variable: false }),
            );
            Table::new()
        }
    }
}

fn line_of(text: &str, at_byte: usize) -> usize {
    text.as_bytes().iter().take(at_byte).filter(|byte| **byte == b'\n').count() + 1
}

struct Reader<'r> {
    path: Arc<Path>,
    text: &'r str,
    variable: &'r dyn Fn(&str) -> Option<String>,
    problems: &'r mut Vec<Problem>,
}

impl Reader<'_> {
    fn table(&mut self, table: DeTable<'_>) -> Table {
        table
            .into_iter()
            .map(|(name, value)| {
                let name = name.into_inner().into_owned();
                let node = self.node(&name, value);
                (name, node)
            })
            .collect()
    }

    fn node(&mut self, name: &str, value: Spanned<DeValue<'_>>) -> Node {
        let line = line_of(self.text, value.span().start);
        let value = value.into_inner();
        let variable = matches!(&value, DeValue::String(text) if text.contains("${"));
        let origin = Origin::File { path: self.path.clone(), line, variable };
        let value = match value {
            DeValue::String(text) => Value::Text(self.expanded(name, &text, &origin)),
            DeValue::Integer(number) => {
                i64::from_str_radix(&number.as_str().replace('_', ""), number.radix())
                    .map_or(Value::Other("a number beyond 64 bits"), Value::Integer)
            }
            DeValue::Boolean(yes) => Value::Boolean(yes),
            DeValue::Array(items) => {
                Value::List(items.into_iter().map(|item| self.node(name, item)).collect())
            }
            DeValue::Table(inner) => Value::Table(self.table(inner)),
            DeValue::Float(_) => Value::Other("a number with a fraction"),
            DeValue::Datetime(_) => Value::Other("a date"),
        };
        Node { value, origin }
    }

    fn expanded(&mut self, name: &str, text: &str, origin: &Origin) -> Zeroizing<String> {
        Zeroizing::new(expand(text, self.variable).unwrap_or_else(|missing| {
            self.problems.push(Problem::of(name, missing.to_string(), missing.mend()).at(origin));
            String::new()
        }))
    }
}

/// Reads `DOORWARD__SECTION__KEY` variables. Names are folded to lower case.
pub(super) fn from_environment(variables: &[(String, String)], problems: &mut Vec<Problem>) -> Table {
    let mut table = Table::new();
    for (name, text) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let lower = rest.to_ascii_lowercase();
        let path: Vec<&str> = lower.split("__").collect();
        let origin = Origin::Environment(name.clone());
        if path.len() < 2 || path.iter().any(|part| part.is_empty()) {
            problems.push(Problem::general(
                format!("{name} names no setting"),
                format!("call it {PREFIX}SECTION__KEY, such as {PREFIX}SERVER__LISTEN"),
            ));
            continue;
        }
        put(&mut table, &path, Node::text(text.as_str(), origin));
    }
    table
}
