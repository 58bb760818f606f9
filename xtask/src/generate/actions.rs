//! `docs/reference/actions.md`: every action on every resource type, as scopes and the audit log spell it.

use super::{origin, quoted};

pub(super) fn page(sources: &[String]) -> Result<String, String> {
    let [catalogue] = sources else { return Err("one source is expected".into()) };
    let mut text = format!("# Actions\n\n{}\n", origin("crates/core/src/authz/catalogue.rs"));
    text += "An action is spelled `resource:action`, in scopes as in the audit log. The scope `read` covers the actions \
             that\nread, `write` those that read or write, `resource:*` all of a resource, `*` all that the owner's role \
             allows. Actions\nthat administer are covered by no short scope.\n";
    let mut meaning = String::new();
    let mut resource = String::new();
    let mut actions = 0;
    let inside = catalogue.lines().skip_while(|line| line.trim() != "catalogue! {").skip(1);
    for line in inside.take_while(|line| *line != "}").map(str::trim) {
        if let Some(doc) = line.strip_prefix("/// ") {
            meaning += if meaning.is_empty() { "" } else { " " };
            meaning += doc;
        } else if let Some(name) = line.strip_suffix(" {") {
            name.clone_into(&mut resource);
            text += &format!(
                "\n## {name}\n\n{meaning}\n\n| action | means | reaches | audited |\n|---|---|---|---|\n"
            );
            meaning.clear();
        } else if let (Some(name), rest) = action(line) {
            let [access, audit] = rest.as_slice() else { return Err(format!("not an action: `{line}`")) };
            text += &format!(
                "| `{resource}:{name}` | {meaning} | {} | {} |\n",
                access.to_lowercase(),
                audit.to_lowercase()
            );
            meaning.clear();
            actions += 1;
        }
    }
    if actions == 0 { Err("the catalogue was not found".into()) } else { Ok(text) }
}

/// `Type = "name", Access, Audit;`
fn action(line: &str) -> (Option<String>, Vec<String>) {
    let (mut texts, between) = quoted(line);
    let rest = between.get(1).map(|rest| rest.trim_matches([',', ' ', ';'])).unwrap_or_default();
    (texts.pop(), rest.split(", ").map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_stand_under_their_resource_with_what_they_do_not_imply() {
        let catalogue = "catalogue! {\n    /// Doors.\n    door {\n        /// Opening one. Does not\n        /// imply closing.\n        Open = \"open\", Write, Durable;\n    }\n}\n";
        let text = page(&[catalogue.into()]).expect("well formed");
        assert!(text.contains("## door\n\nDoors.\n\n| action |"), "{text}");
        assert!(
            text.ends_with("| `door:open` | Opening one. Does not imply closing. | write | durable |\n"),
            "{text}"
        );
    }

    #[test]
    fn missing_catalogue_and_malformed_rows_are_refused() {
        assert!(page(&["fn a() {}".into()]).is_err());
        assert!(page(&["catalogue! {\n    door {\n    Open = \"open\", Write;\n    }\n}\n".into()]).is_err());
    }
}
