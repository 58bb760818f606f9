//! Pieces of the page: prose, types and members as HTML. Whatever comes in is text and is escaped here.

use doorward_protocols::html::escaped;
use serde_json::Value;

/// Paragraphs, lists of lines that begin with a hyphen, and `code`.
pub(super) fn prose(text: &str) -> String {
    let mut html = String::new();
    for block in text.split("\n\n").filter(|block| !block.trim().is_empty()) {
        let (items, lines): (Vec<&str>, Vec<&str>) = block.lines().partition(|line| line.starts_with("- "));
        if !lines.is_empty() {
            html.push_str(&format!("<p>{}</p>\n", inline(&lines.join(" "))));
        }
        if !items.is_empty() {
            let items: String = items.iter().map(|item| format!("<li>{}</li>", inline(&item[2..]))).collect();
            html.push_str(&format!("<ul>{items}</ul>\n"));
        }
    }
    html
}

/// A line with `code` in it.
pub(super) fn inline(text: &str) -> String {
    let pieces = text.split('`').enumerate();
    let pieces = pieces.map(|(at, piece)| match at % 2 {
        0 => escaped(piece),
        _ => format!("<code>{}</code>", escaped(piece)),
    });
    pieces.collect()
}

/// A path that may be broken behind each slash.
pub(super) fn path(text: &str) -> String {
    escaped(text).replace('/', "/<wbr>")
}

/// What a schema allows, in a few words.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(name) = referred(schema) {
        return format!("<a href=\"#schema-{0}\">{0}</a>", escaped(name));
    }
    for joined in ["oneOf", "anyOf"] {
        if let Some(kinds) = schema[joined].as_array() {
            return kinds.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        let words = words.iter().map(|word| format!("<code>{}</code>", escaped(&plain(word))));
        return words.collect::<Vec<_>>().join(", ");
    }
    if !schema["const"].is_null() {
        return format!("<code>{}</code>", escaped(&plain(&schema["const"])));
    }
    let names: Vec<&str> = match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => return "any JSON".to_owned(),
    };
    let names = names.into_iter().map(|name| match name {
        "array" => format!("list of {}", kind(&schema["items"])),
        "integer" => format!("whole number{}", bounds(schema)),
        "string" if schema["format"] == "password" => "secret text".to_owned(),
        "string" => match (schema["minLength"].as_u64(), schema["maxLength"].as_u64()) {
            (Some(least), Some(most)) => format!("text, {least} to {most} characters"),
            (None, Some(most)) => format!("text, at most {most} characters"),
            (_, None) => "text".to_owned(),
        },
        "boolean" => "true or false".to_owned(),
        other => other.to_owned(),
    });
    names.collect::<Vec<_>>().join(" or ")
}

fn bounds(schema: &Value) -> String {
    // What every number of the kind has is not worth saying.
    let least = schema["minimum"].as_i64().filter(|least| *least != i64::MIN);
    let most = schema["maximum"].as_i64().filter(|most| *most < u32::MAX as i64);
    match (least, most) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) => format!(", at least {least}"),
        (None, Some(most)) => format!(", at most {most}"),
        (None, None) => String::new(),
    }
}

/// The name of the schema that this one refers to.
pub(super) fn referred(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// A value as it is written without quotes.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The members of an object, the needed ones first.
pub(super) fn members(schema: &Value) -> String {
    let Some(properties) = schema["properties"].as_object() else { return String::new() };
    let needed =
        |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|one| one == name));
    let mut all: Vec<_> = properties.iter().map(|(name, member)| (!needed(name), name, member)).collect();
    all.sort_by_key(|(optional, name, _)| (*optional, name.as_str()));
    let rows = all.into_iter().map(|(optional, name, member)| {
        row(name, member, !optional, member["description"].as_str().unwrap_or_default())
    });
    list(&rows.collect::<String>())
}

/// One name with what it may be and what it is for.
pub(super) fn row(name: &str, schema: &Value, needed: bool, notes: &str) -> String {
    let optional = if needed { "" } else { ", optional" };
    format!(
        "<dt><code>{}</code> <span class=\"kind\">{}{optional}</span></dt><dd>{}</dd>\n",
        escaped(name),
        kind(schema),
        inline(notes)
    )
}

/// A list of such rows; nothing for none.
pub(super) fn list(rows: &str) -> String {
    if rows.is_empty() { String::new() } else { format!("<dl>\n{rows}</dl>\n") }
}
