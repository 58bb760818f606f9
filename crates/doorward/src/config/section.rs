//! Reading one section: typed values out of a tree, with every problem noted and none hiding another.
//!
//! A reading function answers `None` after noting what is wrong; whoever builds the section reads all its keys
//! first and only then gives up, so that a configuration is judged whole.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use doorward_core::authz::Catalogue;
use doorward_core::secret::SecretText;
use zeroize::Zeroizing;

use super::nearest::nearest;
use super::origin::Origin;
use super::problem::Problem;
use super::tree::{Node, Table, Value, from_toml};

/// The largest secret file that is read, in bytes.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// One setting there is: the source of its default, of the example file and of the reference.
#[derive(Debug)]
pub struct Key {
    /// Its name within the section.
    pub name: &'static str,
    /// Its default as TOML; empty when there is none.
    pub default: &'static str,
    /// A value to show in the example when there is no default, as TOML.
    pub sample: &'static str,
    /// Whether the value must never be shown.
    pub secret: bool,
    /// What it is for, its unit and its range.
    pub doc: &'static str,
}

impl Key {
    /// A setting with a default.
    pub(super) const fn new(name: &'static str, default: &'static str, doc: &'static str) -> Self {
        Self { name, default, sample: "", secret: false, doc }
    }

    /// A setting that may be absent.
    pub(super) const fn optional(name: &'static str, sample: &'static str, doc: &'static str) -> Self {
        Self { name, default: "", sample, secret: false, doc }
    }

    /// A secret that may be absent.
    pub(super) const fn secret(name: &'static str, sample: &'static str, doc: &'static str) -> Self {
        Self { name, default: "", sample, secret: true, doc }
    }
}

/// One effective setting, for `config show`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// `section.key`.
    pub key: String,
    /// The value as TOML; `"…"` for a secret.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// What gathers while a configuration is read.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) problems: Vec<Problem>,
    pub(super) settings: Vec<Setting>,
    /// The actions that permissions and scopes may name.
    pub(super) catalogue: Catalogue,
}

/// One section being read.
pub(super) struct Section<'r> {
    path: String,
    table: Table,
    /// Where the section stands, if it does.
    origin: Option<Origin>,
    keys: &'static [Key],
    reading: &'r mut Reading,
}

impl<'r> Section<'r> {
    /// The actions that there are.
    pub(super) fn catalogue(&self) -> &Catalogue {
        &self.reading.catalogue
    }

    /// Starts reading the section at `path`; `given` is what the sources say of it.
    pub(super) fn new(
        path: impl Into<String>,
        given: Option<&Node>,
        keys: &'static [Key],
        reading: &'r mut Reading,
    ) -> Self {
        let path = path.into();
        let mut table = defaults(keys);
        match given.map(|node| (&node.value, &node.origin)) {
            None => {}
            Some((Value::Table(own), _)) => {
                table.extend(own.iter().map(|(name, node)| (name.clone(), node.clone())));
            }
            Some((other, origin)) => reading.problems.push(
                Problem::of(
                    &*path,
                    format!("this is a section, not {}", other.kind()),
                    format!("write [{path}]"),
                )
                .at(origin),
            ),
        }
        Self { path, table, origin: given.map(|node| node.origin.clone()), keys, reading }
    }

    /// Notes keys that nobody knows. Ends the reading of this section.
    pub(super) fn finish(self) {
        for (name, node) in &self.table {
            if self.keys.iter().any(|key| key.name == name) {
                continue;
            }
            let known: Vec<&str> = self.keys.iter().map(|key| key.name).collect();
            let mend = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("known here: {}", known.join(", ")),
            };
            let key = format!("{}.{name}", self.path);
            self.reading.problems.push(Problem::of(key, "unknown key", mend).at(&node.origin));
        }
    }

    /// Notes that the value of `name` will not do.
    pub(super) fn refuse(&mut self, name: &str, what: impl Into<String>, mend: impl Into<String>) {
        let problem = Problem::of(format!("{}.{name}", self.path), what, mend);
        self.reading.problems.push(match self.table.get(name) {
            Some(node) => problem.at(&node.origin),
            None => problem,
        });
    }

    fn take(&mut self, name: &'static str) -> Option<Node> {
        let key = self.keys.iter().find(|key| key.name == name).expect("a key that is read has a row");
        let node = self.table.get(name)?.clone();
        let value = if key.secret { "\"…\"".to_owned() } else { spelled(&node.value) };
        let setting = Setting { key: format!("{}.{name}", self.path), value, origin: node.origin.clone() };
        // A file of a secret is asked for its path and for its content.
        if self.reading.settings.iter().all(|known| known.key != setting.key) {
            self.reading.settings.push(setting);
        }
        Some(node)
    }

    fn wrong_kind(&mut self, name: &'static str, wanted: &str, node: &Node) {
        self.refuse(name, format!("this is {}, not {wanted}", node.value.kind()), format!("give {wanted}"));
    }

    /// A text.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        let node = self.take(name)?;
        match &node.value {
            Value::Text(text) => Some(text.to_string()),
            _ => {
                self.wrong_kind(name, "a text", &node);
                None
            }
        }
    }

    /// A whole number within `range`.
    pub(super) fn integer(&mut self, name: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let node = self.take(name)?;
        let number = match &node.value {
            Value::Integer(number) => Some(*number),
            Value::Text(text) if node.origin.is_text() => text.trim().parse().ok(),
            _ => None,
        };
        let Some(number) = number else {
            self.wrong_kind(name, "a whole number", &node);
            return None;
        };
        if range.contains(&number) {
            return Some(number);
        }
        let (least, most) = (range.start(), range.end());
        self.refuse(
            name,
            format!("{number} is out of range"),
            format!("give a number from {least} to {most}"),
        );
        None
    }

    /// True or false.
    pub(super) fn boolean(&mut self, name: &'static str) -> Option<bool> {
        let node = self.take(name)?;
        match &node.value {
            Value::Boolean(yes) => Some(*yes),
            Value::Text(text) if node.origin.is_text() && matches!(&***text, "true" | "false") => {
                Some(&***text == "true")
            }
            _ => {
                self.wrong_kind(name, "true or false", &node);
                None
            }
        }
    }

    /// Names of variables of the server's environment that a program of the operator's may know.
    pub(super) fn variables(&mut self, name: &'static str) -> Option<Vec<String>> {
        let variables = self.list(name);
        for variable in variables.iter().flatten() {
            if variable.is_empty() || variable.contains(['=', '\0']) {
                self.refuse(name, format!("{variable:?} is no variable's name"), "correct it");
            } else if variable.starts_with("DOORWARD__") {
                let what = format!("{variable} is the server's own setting, perhaps its master key");
                self.refuse(name, what, "give the program a variable of its own");
            }
        }
        variables
    }

    /// A list of texts; from the environment and flags, separated by commas.
    pub(super) fn list(&mut self, name: &'static str) -> Option<Vec<String>> {
        let node = self.take(name)?;
        match &node.value {
            Value::List(items) => {
                let texts = items.iter().map(|item| match &item.value {
                    Value::Text(text) => Some(text.to_string()),
                    _ => None,
                });
                let texts: Option<Vec<String>> = texts.collect();
                if texts.is_none() {
                    self.refuse(name, "the list holds something that is not a text", "put each in quotes");
                }
                texts
            }
            Value::Text(text) if node.origin.is_text() => Some(
                text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            ),
            _ => {
                self.wrong_kind(name, "a list of texts", &node);
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let mend = match nearest(&text, known.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("give one of {}", known.join(", ")),
        };
        self.refuse(name, format!("{text:?} is not known"), mend);
        None
    }

    /// An address and port.
    pub(super) fn address(&mut self, name: &'static str) -> Option<SocketAddr> {
        let text = self.text(name)?;
        let address = text.parse().ok();
        if address.is_none() {
            self.refuse(
                name,
                format!("{text:?} is not an address and port"),
                "write it like 127.0.0.1:8420 or [::1]:8420; port 0 takes any free one",
            );
        }
        address
    }

    /// A path; from a file, relative to that file.
    pub(super) fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        let text = self.text(name)?;
        if text.is_empty() {
            self.refuse(name, "the path is empty", "give a path, or leave the key out");
            return None;
        }
        let origin = self.table.get(name).map(|node| node.origin.clone())?;
        Some(origin.resolve(&text))
    }

    /// Where paths of a key are meant from: the directory of its file, or the one this process works in.
    pub(super) fn place(&self, name: &'static str) -> PathBuf {
        self.table.get(name).map_or_else(|| PathBuf::from("."), |node| node.origin.resolve("."))
    }

    /// Paths, each from where the list was written.
    pub(super) fn paths(&mut self, name: &'static str) -> Option<Vec<PathBuf>> {
        let origin = self.table.get(name).map(|node| node.origin.clone());
        let texts = self.list(name)?;
        if texts.iter().any(String::is_empty) {
            self.refuse(name, "a path is empty", "give paths, or leave the key out");
            return None;
        }
        let resolve = |text: &String| {
            origin.as_ref().map_or_else(|| PathBuf::from(text), |origin| origin.resolve(text))
        };
        Some(texts.iter().map(resolve).collect())
    }

    /// A secret given as `name` or as the content of the file `file_name`. The source that comes first in the
    /// order of precedence wins; both from one source is a contradiction.
    pub(super) fn secret(&mut self, name: &'static str, file_name: &'static str) -> Option<SecretText> {
        let ranks = [name, file_name].map(|key| self.table.get(key).map(|node| node.origin.rank()));
        if let [Some(inline), Some(file)] = ranks
            && inline == file
        {
            self.refuse(name, format!("{name} and {file_name} are both given"), "keep one of them");
            return None;
        }
        if ranks[1] > ranks[0] {
            let path = self.path(file_name)?;
            return match read_secret(&path) {
                Ok(secret) => Some(secret),
                Err(what) => {
                    let mend = "give the path of a readable text file that holds the secret alone";
                    self.refuse(file_name, format!("{}: {what}", path.display()), mend);
                    None
                }
            };
        }
        let node = self.take(name)?;
        match &node.value {
            Value::Text(text) if !text.is_empty() => Some(SecretText::new(text.to_string())),
            Value::Text(_) => {
                self.refuse(name, "the secret is empty", "give it, or leave the key out");
                None
            }
            _ => {
                self.wrong_kind(name, "a text", &node);
                None
            }
        }
    }

    /// The section called `name` within this one, if it is there.
    pub(super) fn within<'s>(&'s mut self, name: &str, keys: &'static [Key]) -> Option<Section<'s>> {
        let node = self.table.remove(name)?;
        Some(Section::new(format!("{}.{name}", self.path), Some(&node), keys, self.reading))
    }

    /// Notes that `name` has to be there.
    pub(super) fn missing(&mut self, name: &str) {
        let at = self.origin.clone();
        let problem = Problem::of(format!("{}.{name}", self.path), "this is missing", format!("say {name}"));
        self.reading.problems.push(match at {
            Some(origin) => problem.at(&origin),
            None => problem,
        });
    }

    /// A value as JSON: texts, whole numbers, true and false, lists and tables of them.
    pub(super) fn json(&mut self, name: &'static str) -> Option<serde_json::Value> {
        let node = self.take(name)?;
        match to_json(&node) {
            Ok(value) => Some(value),
            Err(kind) => {
                self.refuse(name, format!("this holds {kind}"), "write texts, whole numbers, true and false");
                None
            }
        }
    }

    /// Whether anything is said about `name`, a setting without a built-in default.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }
}

fn defaults(keys: &'static [Key]) -> Table {
    let mut text = String::new();
    for key in keys.iter().filter(|key| !key.default.is_empty()) {
        text.push_str(&format!("{} = {}\n", key.name, key.default));
    }
    let mut problems = Vec::new();
    let mut table = from_toml(Path::new(""), &text, &|_| None, &mut problems);
    debug_assert!(problems.is_empty(), "defaults are TOML: {problems:?}");
    for node in table.values_mut() {
        node.origin = Origin::Default;
    }
    table
}

/// The content of a secret file, without the line end that editors leave.
fn read_secret(path: &Path) -> Result<SecretText, String> {
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_SECRET_BYTES {
        return Err("larger than 64 KiB".to_owned());
    }
    let trimmed = text.trim_end_matches(['\r', '\n']);
    if trimmed.is_empty() { Err("empty".to_owned()) } else { Ok(SecretText::from(trimmed)) }
}

fn to_json(node: &Node) -> Result<serde_json::Value, &'static str> {
    Ok(match &node.value {
        Value::Text(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Boolean(yes) => (*yes).into(),
        Value::List(items) => items.iter().map(to_json).collect::<Result<Vec<_>, _>>()?.into(),
        Value::Table(inner) => {
            let members = inner.iter().map(|(name, node)| to_json(node).map(|value| (name.clone(), value)));
            members.collect::<Result<serde_json::Map<_, _>, _>>()?.into()
        }
        Value::Other(kind) => return Err(kind),
    })
}

/// A value as TOML. Texts are quoted as JSON strings, which TOML's basic strings contain.
fn spelled(value: &Value) -> String {
    match value {
        Value::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(yes) => yes.to_string(),
        Value::List(items) => {
            format!("[{}]", items.iter().map(|item| spelled(&item.value)).collect::<Vec<_>>().join(", "))
        }
        Value::Table(inner) => {
            let pairs = inner.iter().map(|(name, node)| format!("{name} = {}", spelled(&node.value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::Other(kind) => format!("({kind})"),
    }
}
