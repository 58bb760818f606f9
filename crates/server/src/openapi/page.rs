//! The document as a page: no script, nothing from elsewhere, and what is closed is found by the browser's own search.

use doorward_protocols::html::escaped;
use serde_json::Value;

use super::markup::{inline, kind, list, members, path, plain, prose, referred, row};

/// The whole of the style that the page has.
pub(crate) const STYLE: &str = ":root{color-scheme:light dark;--ground:#f4f5f7;--sheet:#fff;--ink:#1c2733;--soft:#4a5866;--line:#d9dee4;\
--link:#1859b3;--code:#eef1f4;--get:#1859b3;--post:#1d6b3a;--patch:#7a4b00;--delete:#b3261e}\
@media (prefers-color-scheme:dark){:root{--ground:#12161b;--sheet:#1c222a;--ink:#e6eaee;--soft:#aab6c2;--line:#36404b;\
--link:#8ab8ff;--code:#262e38;--get:#8ab8ff;--post:#7fd6a0;--patch:#f0bd6a;--delete:#ff8a80}}\
*{box-sizing:border-box}body{font:16px/1.5 system-ui,sans-serif;margin:0;background:var(--ground);color:var(--ink);overflow-wrap:anywhere}\
.page{display:grid;grid-template-columns:15rem minmax(0,1fr);gap:2rem;max-width:76rem;margin:0 auto;padding:1.5rem}\
nav{position:sticky;top:1.5rem;align-self:start;max-height:calc(100vh - 3rem);overflow:auto}nav ul{list-style:none;margin:0;padding:0}\
nav li a{display:block;padding:.25rem .6rem;border-radius:.3rem;text-decoration:none}nav li a:hover{background:var(--sheet)}\
@media (max-width:52rem){.page{display:block;padding:1rem}nav{position:static;max-height:none;margin:1rem 0}\
nav ul{display:flex;flex-wrap:wrap;gap:.3rem}nav li a{border:1px solid var(--line);background:var(--sheet)}}\
h1{font-size:1.7rem;margin:0}h2{font-size:1.25rem;margin:2.2rem 0 .2rem;scroll-margin-top:1rem}h3{font-size:1rem;margin:1.2rem 0 .3rem}\
p{margin:.4rem 0}a{color:var(--link)}code,pre{font:.9em/1.5 ui-monospace,monospace}code{background:var(--code);padding:.05em .3em;\
border-radius:.2rem}pre{background:var(--code);padding:.7rem .9rem;border-radius:.3rem;white-space:pre-wrap;margin:.4rem 0}pre code{padding:0}\
details.op,details.schema{background:var(--sheet);border:1px solid var(--line);border-radius:.4rem;margin:.5rem 0}\
summary{cursor:pointer;padding:.55rem .9rem}details details summary{padding:.3rem 0;color:var(--link)}\
.op>summary{display:flex;flex-wrap:wrap;gap:.2rem .7rem;align-items:baseline;list-style:none}\
.op>summary::-webkit-details-marker{display:none}.op>summary code{background:none;padding:0;font-weight:600}.inside{padding:0 .9rem .9rem}\
.inside{scroll-margin-top:6rem}\
.method{font:700 .8rem ui-monospace,monospace;min-width:4.2rem;color:var(--get)}.post{color:var(--post)}.patch,.put{color:var(--patch)}\
.delete{color:var(--delete)}.what{color:var(--soft);flex:1 1 16rem}.note,.kind{color:var(--soft);font-size:.9rem}\
dl{margin:.3rem 0}dt{margin-top:.5rem}dd{margin:0 0 0 1rem;color:var(--soft)}dd ul,dd p{margin:.2rem 0}ul{padding-left:1.2rem}\
a:focus-visible,summary:focus-visible{outline:3px solid var(--link);outline-offset:2px;border-radius:.2rem}";

const METHODS: [&str; 6] = ["get", "post", "put", "patch", "delete", "options"];

/// The page. It is the same each time.
pub(crate) fn page(document: &Value) -> String {
    let tags: Vec<&Value> = document["tags"].as_array().into_iter().flatten().collect();
    let links = tags.iter().map(|tag| {
        let name = tag["name"].as_str().unwrap_or_default();
        format!("<li><a href=\"#{}\">{}</a></li>", anchor(name), escaped(name))
    });
    let sections: String = tags.iter().map(|tag| section(document, tag)).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{}</title>\n<style>{STYLE}</style></head>\n<body>\n<div class=\"page\">\n<nav aria-label=\"Contents\"><ul>\
         <li><a href=\"#how-to-authenticate\">How to authenticate</a></li>{}<li><a href=\"#schemas\">Schemas</a></li></ul></nav>\n\
         <main>\n{}{sections}{}</main>\n</div>\n</body>\n</html>\n",
        title(document),
        links.collect::<String>(),
        beginning(document),
        schemas(document)
    )
}

fn title(document: &Value) -> String {
    format!("{} API", escaped(document["info"]["title"].as_str().unwrap_or_default()))
}

fn anchor(name: &str) -> String {
    name.to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_default()
}

/// What the whole is, and how to get in.
fn beginning(document: &Value) -> String {
    let server = document["servers"][0]["url"].as_str().unwrap_or_default();
    let shown = if server.starts_with('/') {
        format!("https://this.server{}", server.trim_end_matches('/'))
    } else {
        server.to_owned()
    };
    let ways: String = document["components"]["securitySchemes"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, scheme)| {
            format!(
                "<dt><code>{}</code></dt><dd>{}</dd>\n",
                escaped(name),
                inline(text(scheme, "description"))
            )
        })
        .collect();
    format!(
        "<h1>{}</h1>\n<p class=\"note\">Version {}. For programs: <a href=\"openapi.json\">openapi.json</a>, OpenAPI 3.1.</p>\n{}\
         <h2 id=\"how-to-authenticate\">How to authenticate</h2>\n<p>One of these, and one only. A token comes from \
         <a href=\"#op-logIn\"><code>POST /v1/token</code></a>, a key from <a href=\"#op-makeApiKey\"><code>POST /v1/api-keys</code></a>.</p>\n\
         {}<p>The command lines below want these in the environment:</p>\n\
         <pre><code>DOORWARD={}\nTOKEN=…</code></pre>\n",
        title(document),
        escaped(text(&document["info"], "version")),
        prose(text(&document["info"], "description")),
        list(&ways),
        escaped(&shown),
    )
}

fn section(document: &Value, tag: &Value) -> String {
    let name = text(tag, "name");
    let paths = document["paths"].as_object();
    let operations = paths.into_iter().flatten().flat_map(|(path, item)| {
        METHODS.iter().filter_map(move |method| item.get(*method).map(|operation| (path, *method, operation)))
    });
    let shown: String = operations
        .filter(|(_, _, operation)| operation["tags"][0] == name)
        .map(|(path, method, operation)| self::operation(document, path, method, operation))
        .collect();
    format!(
        "<section>\n<h2 id=\"{}\">{}</h2>\n<p>{}</p>\n{shown}</section>\n",
        anchor(name),
        escaped(name),
        inline(text(tag, "description"))
    )
}

fn operation(document: &Value, at: &str, method: &str, operation: &Value) -> String {
    let id = escaped(text(operation, "operationId"));
    format!(
        "<details class=\"op\"><summary><span class=\"method {method}\">{}</span> <code>{}</code> <span class=\"what\">{}</span></summary>\n\
         <div class=\"inside\" id=\"op-{id}\">\n{}<p class=\"note\">{} Operation <code>{id}</code>.</p>\n{}{}{}{}\
         <h3>Command line</h3>\n<pre><code>{}</code></pre>\n</div></details>\n",
        method.to_ascii_uppercase(),
        path(at),
        inline(text(operation, "summary")),
        prose(text(operation, "description")),
        asked(operation),
        parameters(operation),
        body(document, operation),
        answers(operation),
        refusals(document, operation),
        escaped(&command_line(at, method, operation)),
    )
}

/// Who may.
fn asked(operation: &Value) -> String {
    let Some(actions) = operation["x-doorward-actions"].as_array() else {
        return "No credential is looked at.".to_owned();
    };
    let actions: Vec<String> =
        actions.iter().map(|action| format!("<code>{}</code>", escaped(&plain(action)))).collect();
    let needs = if operation["security"].is_array() {
        "A credential is not needed."
    } else {
        "It needs a credential."
    };
    format!("{needs} What is decided about: {}.", actions.join(", "))
}

fn parameters(operation: &Value) -> String {
    let rows: String = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|parameter| {
            let place = match text(parameter, "in") {
                "query" => "In the query. ",
                "header" => "A header. ",
                _ => "",
            };
            let notes = format!("{place}{}", text(parameter, "description"));
            row(text(parameter, "name"), &parameter["schema"], parameter["required"] == true, &notes)
        })
        .collect();
    if rows.is_empty() { rows } else { format!("<h3>Parameters</h3>\n{}", list(&rows)) }
}

fn example(operation: &Value) -> Option<&Value> {
    operation.get("requestBody")?.pointer("/content/application~1json/example")
}

fn body(document: &Value, operation: &Value) -> String {
    let Some(content) = operation["requestBody"]["content"].as_object() else { return String::new() };
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let name = referred(schema).unwrap_or_default();
    let media: Vec<String> = content.keys().map(|media| format!("<code>{}</code>", escaped(media))).collect();
    let example = example(operation).map(|example| format!("{example:#}")).unwrap_or_default();
    format!(
        "<h3>Body</h3>\n<p>{} as {}.</p>\n{}<pre><code>{}</code></pre>\n",
        kind(schema),
        media.join(" or "),
        members(&document["components"]["schemas"][name]),
        escaped(&example)
    )
}

/// The good answers.
fn answers(operation: &Value) -> String {
    let good = operation["responses"].as_object().into_iter().flatten();
    let rows = good.filter(|(status, _)| status.as_str() < "400").map(|(status, response)| {
        let content: Vec<String> = response["content"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(media, shown)| match media.as_str() {
                "application/json" => kind(&shown["schema"]),
                media => format!("<code>{}</code>", escaped(media)),
            })
            .collect();
        let headers = response["headers"].as_object().into_iter().flatten();
        let headers = headers.map(|(name, header)| {
            format!("<li><code>{}</code> {}</li>", escaped(name), inline(text(header, "description")))
        });
        let headers: String = headers.collect();
        let headers = if headers.is_empty() { headers } else { format!("<ul>{headers}</ul>") };
        format!(
            "<dt><b>{}</b> <span class=\"kind\">{}</span></dt><dd>{}{headers}</dd>\n",
            escaped(status),
            content.join(" or "),
            inline(text(response, "description"))
        )
    });
    format!("<h3>Answers</h3>\n{}", list(&rows.collect::<String>()))
}

fn refusals(document: &Value, operation: &Value) -> String {
    let bad = operation["responses"].as_object().into_iter().flatten();
    let rows = bad.filter(|(status, _)| status.as_str() >= "400").map(|(status, response)| {
        let shared = response["$ref"].as_str().and_then(|target| document.pointer(target.strip_prefix('#')?));
        let said = text(shared.unwrap_or(response), "description");
        format!("<dt><b>{}</b></dt><dd>{}</dd>\n", escaped(status), prose(said))
    });
    format!(
        "<details><summary>Refusals, each with its codes</summary>\n{}</details>\n",
        list(&rows.collect::<String>())
    )
}

/// What to type in a shell. Names in braces are variables, as curl would read braces itself.
fn command_line(at: &str, method: &str, operation: &Value) -> String {
    let segments = at.split('/').map(|segment| {
        match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            // Every shell has a PATH of its own.
            Some("path") => "$REQUEST_PATH".to_owned(),
            Some(name) => format!("${}", name.to_ascii_uppercase()),
            None => segment.to_owned(),
        }
    });
    let mut line = String::from("curl");
    if method != "get" {
        line.push_str(&format!(" -X {}", method.to_ascii_uppercase()));
    }
    line.push_str(&format!(" \"$DOORWARD{}\"", segments.collect::<Vec<_>>().join("/")));
    if !operation["security"].is_array() {
        line.push_str(" -H \"Authorization: Bearer $TOKEN\"");
    }
    if let Some(example) = example(operation) {
        line.push_str(&format!(" \\\n  -H 'Content-Type: application/json' -d '{example}'"));
    }
    line
}

fn schemas(document: &Value) -> String {
    let all = document["components"]["schemas"].as_object().into_iter().flatten();
    let shown = all.map(|(name, schema)| {
        let inside = match schema["properties"].is_object() {
            true => members(schema),
            false => format!("<p>{}</p>\n", kind(schema)),
        };
        format!(
            "<details class=\"schema\"><summary><code>{0}</code></summary>\n<div class=\"inside\" id=\"schema-{0}\">\n{1}{inside}</div></details>\n",
            escaped(name),
            prose(text(schema, "description"))
        )
    });
    format!("<section>\n<h2 id=\"schemas\">Schemas</h2>\n{}</section>\n", shown.collect::<String>())
}
