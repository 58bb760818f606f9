//! `docs/reference/events.md`: every event, its hook, and whether webhooks are told.

use super::{origin, quoted};

pub(super) fn page(sources: &[String]) -> Result<String, String> {
    let [catalogue] = sources else { return Err("one source is expected".into()) };
    let rows = rows(catalogue);
    if rows.is_empty() {
        return Err("the table of events was not found".into());
    }
    let mut text = format!("# Events\n\n{}\n", origin("crates/core/src/events/catalogue.rs"));
    text += "What `[webhooks.NAME] events` names, and what hooks of the Rust library are told. An event is a line of the audit log \
             under a name of\nits own, or a detail beside it; it never holds a credential. Refusals are told to webhooks as the \
             audit log has them: the first at once,\nrepeats within ten seconds as one with a `count`.\n\n";
    text += "| event | hook | webhooks | what happened |\n|---|---|---|---|\n";
    for (name, hook, leaves, doc) in rows {
        let told = if leaves { "yes" } else { "no, with every request" };
        text += &format!("| `{name}` | `{hook}` | {told} | {doc} |\n");
    }
    Ok(text)
}

/// `CONST = "name", "hook", true, "doc";`
fn rows(catalogue: &str) -> Vec<(String, String, bool, String)> {
    let inside =
        catalogue.lines().skip_while(|line| line.trim() != "events! {").take_while(|line| *line != "}");
    let row = |line: &str| {
        let (texts, between) = quoted(line);
        let [name, hook, doc] = <[String; 3]>::try_from(texts).ok()?;
        Some((name, hook, between.get(2)?.contains("true"), doc))
    };
    inside.filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_stands_with_its_hook_and_whether_it_leaves() {
        let source = "events! {\n    A = \"a.b\", \"on_a\", true, \"It was.\";\n    C = \"c.d\", \"on_c\", false, \"x\";\n}\n";
        let text = page(&[source.into()]).expect("well formed");
        assert!(text.contains("| `a.b` | `on_a` | yes | It was. |\n"), "{text}");
        assert!(text.contains("| `c.d` | `on_c` | no, with every request | x |\n"), "{text}");
        assert!(page(&["fn a() {}".into()]).is_err());
    }
}
