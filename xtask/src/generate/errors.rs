//! `docs/reference/errors.md`: every error code, what it means, and what to do.

use std::collections::BTreeMap;

use super::{origin, quoted};

/// A row of the table of codes.
#[derive(Debug, PartialEq, Eq)]
struct Code {
    name: String,
    kind: String,
    message: String,
    advice: String,
}

pub(super) fn page(sources: &[String]) -> Result<String, String> {
    let [codes, kinds] = sources else { return Err("two sources are expected".into()) };
    let statuses = statuses(kinds);
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in rows(codes) {
        let status = statuses.get(&code.kind).ok_or_else(|| format!("kind {} has no status", code.kind))?;
        by_status.entry(*status).or_default().push(code);
    }
    if by_status.is_empty() {
        return Err("the table of codes was not found".into());
    }
    let mut text = format!("# Error codes\n\n{}\n", origin("crates/core/src/error/codes.rs"));
    text += "The native surface sends the code in `code` of an RFC 9457 problem; other surfaces translate it (see \
             `docs/surfaces/`).\nPrograms compare the code. Messages may be said more precisely and may change.\n";
    for (status, codes) in by_status {
        text += &format!("\n## {status}\n\n| code | meaning | what to do |\n|---|---|---|\n");
        for code in codes {
            text += &format!("| `{}` | {} | {} |\n", code.name, code.message, code.advice);
        }
    }
    Ok(text)
}

/// `CONST = "name", Kind, "message", "advice";`
fn rows(codes: &str) -> Vec<Code> {
    let inside = codes.lines().skip_while(|line| line.trim() != "codes! {").take_while(|line| *line != "}");
    let row = |line: &str| {
        let (texts, between) = quoted(line);
        let [name, message, advice] = <[String; 3]>::try_from(texts).ok()?;
        let kind = between.get(1)?.trim_matches([',', ' ']).to_owned();
        Some(Code { name, kind, message, advice })
    };
    inside.filter_map(row).collect()
}

/// `Self::Kind => 400,`
fn statuses(kinds: &str) -> BTreeMap<String, u16> {
    let row = |line: &str| {
        let (kind, status) = line.trim().strip_prefix("Self::")?.split_once(" => ")?;
        Some((kind.to_owned(), status.trim_end_matches(',').parse().ok()?))
    };
    kinds.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: &str = "            Self::Invalid => 400,\n            Self::Gone(_) => panic,\n";

    #[test]
    fn codes_stand_under_their_status_with_their_advice() {
        let codes = "macro\n\ncodes! {\n    A = \"a\", Invalid, \"It is wrong.\", \"Mend it.\";\n\n}\nB = \"b\", Invalid, \"x\", \"y\";\n";
        let text = page(&[codes.into(), KINDS.into()]).expect("well formed");
        assert!(
            text.contains(
                "## 400\n\n| code | meaning | what to do |\n|---|---|---|\n| `a` | It is wrong. | Mend it. |\n"
            ),
            "{text}"
        );
        assert!(!text.contains("`b`"), "what stands after the table is not in it: {text}");
    }

    #[test]
    fn code_without_a_status_and_a_missing_table_are_refused() {
        let codes = "codes! {\n    A = \"a\", Unheard, \"x\", \"y\";\n}\n";
        assert_eq!(page(&[codes.into(), KINDS.into()]), Err("kind Unheard has no status".into()));
        assert!(page(&["fn a() {}".into(), KINDS.into()]).is_err());
    }
}
