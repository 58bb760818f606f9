//! Every route of a listener in one table: which mount and row a request belongs to, and whether that is clear.

use std::collections::HashMap;
use std::fmt;

use doorward_protocols::path::CanonicalPath;
use http::Method;

use crate::route::Route;

/// A mount's part of a listener.
pub(crate) struct Part {
    /// The mount's name, for messages.
    pub(crate) name: String,
    /// Where it stands: empty for the root, else a path without a trailing slash.
    pub(crate) prefix: String,
    pub(crate) routes: &'static [Route],
}

/// Two routes that one request could mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// One of them, as `mount: METHOD pattern`.
    pub first: String,
    /// The other.
    pub second: String,
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the routes `{}` and `{}` answer the same requests on one listener",
            self.first, self.second
        )
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Any(&'static str),
    /// Whatever is left: nothing, or any number of segments.
    Rest(&'static str),
}

struct Row {
    part: usize,
    route: &'static Route,
    segments: Vec<Segment>,
}

/// What a path and method mean on a listener.
pub(crate) enum Found {
    /// This row, with what its `{names}` stand for.
    Route { part: usize, route: &'static Route, params: Vec<(&'static str, String)> },
    /// The path exists for these methods only.
    Methods { part: usize, methods: Vec<Method> },
    /// Nothing. The mount is the one whose prefix the path has, if there is one.
    Nothing { part: Option<usize> },
}

/// The routes of a listener.
pub(crate) struct Table {
    /// Whole paths that rows spell out, each with its rows: no other row is meant before one of these.
    literal: HashMap<String, Vec<(usize, &'static Route)>>,
    /// By the number of segments.
    rows: HashMap<usize, Vec<Row>>,
    /// Those that end in whatever is left.
    open_ended: Vec<Row>,
    /// (prefix segments, part), longest first.
    prefixes: Vec<(Vec<String>, usize)>,
}

impl Table {
    /// Builds the table.
    ///
    /// # Errors
    /// [`Clash`] when two mounts could answer one request, or a mount says the same thing twice.
    pub(crate) fn new(parts: &[Part]) -> Result<Self, Clash> {
        let mut rows: HashMap<usize, Vec<Row>> = HashMap::new();
        let (mut prefixes, mut open_ended) = (Vec::new(), Vec::<Row>::new());
        for (index, part) in parts.iter().enumerate() {
            prefixes.push((literal_segments(&part.prefix), index));
            for route in part.routes {
                let segments = segments(&part.prefix, route.pattern);
                let row = Row { part: index, route, segments };
                let among: Vec<&Row> = match row.rest() {
                    None => rows.get(&row.segments.len()).into_iter().flatten().chain(&open_ended).collect(),
                    Some(_) => rows.values().flatten().chain(&open_ended).collect(),
                };
                if let Some(other) = among.into_iter().find(|other| row.clashes_with(other)) {
                    return Err(Clash { first: other.describe(parts), second: row.describe(parts) });
                }
                match row.rest() {
                    None => rows.entry(row.segments.len()).or_default().push(row),
                    Some(_) => open_ended.push(row),
                }
            }
        }
        prefixes.sort_by_key(|(segments, _)| std::cmp::Reverse(segments.len()));
        // Within a mount the row with the earlier literal is meant: `/threads/search` before `/threads/{id}`.
        for same_length in rows.values_mut() {
            same_length.sort_by_key(Row::vagueness);
        }
        open_ended.sort_by_key(|row| (std::cmp::Reverse(row.segments.len()), row.vagueness()));
        let mut literal: HashMap<String, Vec<_>> = HashMap::new();
        for row in rows.values().flatten() {
            if let Some(path) = row.literal() {
                literal.entry(path).or_default().push((row.part, row.route));
            }
        }
        Ok(Self { literal, rows, open_ended, prefixes })
    }

    /// Finds what a request means. `HEAD` is answered by the row for `GET`.
    pub(crate) fn find(&self, method: &Method, path: &CanonicalPath) -> Found {
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        let literal = self.literal.get(path.as_str()).into_iter().flatten();
        if let Some((part, route)) = literal.copied().find(|(_, route)| route.method == *wanted) {
            return Found::Route { part, route, params: Vec::new() };
        }
        let spelled: Vec<_> = path.decoded_segments().collect();
        let rows = self.rows.get(&spelled.len()).map(Vec::as_slice).unwrap_or_default();
        let mut methods = Vec::new();
        let mut part = None;
        // What is spelled whole is meant before what takes whatever is left.
        for row in rows.iter().chain(&self.open_ended) {
            if !row.matches(&spelled) {
                continue;
            }
            if row.route.method == *wanted {
                let params = row.params(&spelled);
                return Found::Route { part: row.part, route: row.route, params };
            }
            part.get_or_insert(row.part);
            if !methods.contains(&row.route.method) {
                methods.push(row.route.method.clone());
            }
        }
        match part {
            Some(part) => Found::Methods { part, methods },
            None => Found::Nothing { part: self.part_of(&spelled) },
        }
    }

    fn part_of(&self, spelled: &[impl AsRef<str>]) -> Option<usize> {
        let has = |prefix: &[String]| {
            prefix.len() <= spelled.len() && prefix.iter().zip(spelled).all(|(a, b)| a == b.as_ref())
        };
        self.prefixes.iter().find(|(prefix, _)| has(prefix)).map(|(_, part)| *part)
    }
}

impl Row {
    /// What the rest is called, where the row takes whatever is left.
    fn rest(&self) -> Option<&'static str> {
        match self.segments.last() {
            Some(Segment::Rest(name)) => Some(name),
            _ => None,
        }
    }

    /// The segments that have to be there.
    fn fixed(&self) -> &[Segment] {
        &self.segments[..self.segments.len() - usize::from(self.rest().is_some())]
    }

    /// The path, where there is only one.
    fn literal(&self) -> Option<String> {
        let texts = self.segments.iter().map(|segment| match segment {
            Segment::Literal(text) => Some(text.as_str()),
            Segment::Any(_) | Segment::Rest(_) => None,
        });
        texts.collect::<Option<Vec<_>>>().map(|texts| format!("/{}", texts.join("/")))
    }

    fn matches(&self, spelled: &[impl AsRef<str>]) -> bool {
        let fixed = self.fixed();
        let enough =
            if self.rest().is_some() { spelled.len() > fixed.len() } else { spelled.len() == fixed.len() };
        enough
            && fixed.iter().zip(spelled).all(|(mine, theirs)| match mine {
                Segment::Literal(text) => text == theirs.as_ref(),
                Segment::Any(_) | Segment::Rest(_) => !theirs.as_ref().is_empty(),
            })
    }

    fn params(&self, spelled: &[impl AsRef<str>]) -> Vec<(&'static str, String)> {
        let fixed = self.fixed();
        let mut params: Vec<_> = fixed
            .iter()
            .zip(spelled)
            .filter_map(|(mine, theirs)| match mine {
                Segment::Any(name) => Some((*name, theirs.as_ref().to_owned())),
                Segment::Literal(_) | Segment::Rest(_) => None,
            })
            .collect();
        if let Some(name) = self.rest() {
            let left: Vec<&str> = spelled[fixed.len()..].iter().map(AsRef::as_ref).collect();
            params.push((name, left.join("/")));
        }
        params
    }

    fn vagueness(&self) -> Vec<bool> {
        self.segments.iter().map(|segment| !matches!(segment, Segment::Literal(_))).collect()
    }

    /// Between mounts any request in common is a clash; within one mount only an equally vague pair.
    fn clashes_with(&self, other: &Self) -> bool {
        let long_enough = match (self.rest(), other.rest()) {
            (None, None) => self.segments.len() == other.segments.len(),
            (Some(_), None) => other.segments.len() > self.fixed().len(),
            (None, Some(_)) => self.segments.len() > other.fixed().len(),
            (Some(_), Some(_)) => true,
        };
        let overlap = long_enough
            && self.fixed().iter().zip(other.fixed()).all(|pair| match pair {
                (Segment::Literal(a), Segment::Literal(b)) => a == b,
                _ => true,
            });
        let as_vague =
            self.rest().is_some() == other.rest().is_some() && self.vagueness() == other.vagueness();
        self.route.method == other.route.method && overlap && (self.part != other.part || as_vague)
    }

    fn describe(&self, parts: &[Part]) -> String {
        let part = &parts[self.part];
        format!("{}: {} {}{}", part.name, self.route.method, part.prefix, self.route.pattern)
    }
}

fn literal_segments(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(str::to_owned).collect()
}

fn segments(prefix: &str, pattern: &'static str) -> Vec<Segment> {
    // `/` alone is where the mount stands: the root's path has no segments.
    let mine = pattern.split('/').skip(1).take(if pattern == "/" { 0 } else { usize::MAX }).map(|segment| {
        match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => name.strip_suffix('*').map_or(Segment::Any(name), Segment::Rest),
            None => Segment::Literal(segment.to_owned()),
        }
    });
    literal_segments(prefix).into_iter().map(Segment::Literal).chain(mine).collect()
}

#[cfg(test)]
mod tests;
