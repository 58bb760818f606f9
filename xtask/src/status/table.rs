//! Reading the tables: `| A-001 | promise | check or proof |`.

/// A row of a table of promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `A-001`: the document's letter and a number.
    pub id: String,
    /// What is promised.
    pub promise: String,
    /// The last cell: the check in the list of promises, the proof in the status.
    pub last: String,
}

/// What the last cell of a status row says.
#[derive(Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing shows it; what it waits for.
    NotYet(String),
    /// Each test that shows a part of it: path of the file, and the name inside it (`Class::name` in Python).
    Tests(Vec<(String, String)>),
}

impl Proof {
    /// Reads a cell.
    ///
    /// # Errors
    /// What the cell should look like.
    pub fn read(cell: &str) -> Result<Self, String> {
        if let Some(rest) = cell.strip_prefix("not yet") {
            let reason = rest.strip_prefix(": ").unwrap_or_default().trim();
            return if reason.is_empty() {
                Err("`not yet` must name what it waits for: `not yet: the hub`".to_owned())
            } else {
                Ok(Self::NotYet(reason.to_owned()))
            };
        }
        let tests = cell.split("<br>").map(|part| {
            let part = part.trim().trim_matches('`');
            match part.split_once("::") {
                Some((path, name)) if !path.is_empty() && !name.is_empty() && !part.contains(' ') => {
                    Ok((path.to_owned(), name.to_owned()))
                }
                _ => Err(format!("`{part}` is neither `not yet: …` nor `path/to/file::test_name`")),
            }
        });
        tests.collect::<Result<_, _>>().map(Self::Tests)
    }
}

/// The rows of every table of promises in a text; struck-out promises have no plain id and are passed over.
#[must_use]
pub fn rows(text: &str) -> Vec<Row> {
    text.lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<Row> {
    let inside = line.strip_prefix("| ")?.trim_end().strip_suffix('|')?;
    let cells = cells(inside);
    let [id, promise, last] = cells.as_slice() else { return None };
    let (letter, number) = id.split_once('-')?;
    let plain = letter.len() == 1
        && letter.bytes().all(|b| b.is_ascii_uppercase())
        && number.len() >= 3
        && number.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| Row { id: id.clone(), promise: promise.clone(), last: last.clone() })
}

/// Splits at `|`, but not at `\|`, which is a bar inside a cell.
fn cells(inside: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut escaped = false;
    for c in inside.chars() {
        if c == '|' && !escaped {
            found.push(String::new());
        } else {
            found.last_mut().expect("never empty").push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    found.iter().map(|cell| cell.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_other_lines_are_not() {
        let text = "| id | promise | check |\n|---|---|---|\n| A-001 | one \\| two | curl |\n| ~~A-002~~ | x | y |\n\
                    | A-3 | x | y |\n| H-010 | x | `a::b` |\nA-004 | x | y\n";
        let found: Vec<(String, String)> = rows(text).into_iter().map(|r| (r.id, r.promise)).collect();
        assert_eq!(found, [("A-001".into(), "one \\| two".into()), ("H-010".into(), "x".into())]);
    }

    #[test]
    fn proof_cells_are_read_or_refused() {
        let tests = |list: &[(&str, &str)]| {
            Ok(Proof::Tests(list.iter().map(|(p, n)| ((*p).to_owned(), (*n).to_owned())).collect()))
        };
        assert_eq!(Proof::read("not yet: the hub"), Ok(Proof::NotYet("the hub".into())));
        assert_eq!(
            Proof::read("`a/b.rs::c`<br>`t.py::Class::d`"),
            tests(&[("a/b.rs", "c"), ("t.py", "Class::d")])
        );
        assert_eq!(Proof::read("a/b.rs::c"), tests(&[("a/b.rs", "c")]));
        for bad in
            ["", "not yet", "not yet:", "not yet, soon", "yes", "a.rs::", "::a", "see a.rs::b", "a::b<br>"]
        {
            assert!(Proof::read(bad).is_err(), "{bad}");
        }
    }
}
