//! The configuration as text: an example file and the reference, both from the table of sections.

use std::fmt::Write;

use super::{Key, SECTIONS};

/// A `doorward.toml` that says every setting with its default, commented out.
#[must_use]
pub fn example() -> String {
    let mut out = String::from(
        "# doorward.toml\n\
         #\n\
         # Precedence, weakest first: defaults, this file, environment (DOORWARD__SECTION__KEY), flags.\n\
         # Texts may hold ${NAME}, read from the environment. Paths are relative to this file.\n\
         # Lines that are commented out show the default, or an example where there is none.\n",
    );
    for row in SECTIONS {
        // A named section that nobody asked for would be one more mount or role.
        let sign = if row.heading.contains('.') { "# " } else { "" };
        put(&mut out, format_args!("\n# {}\n{sign}[{}]\n", row.doc, row.heading));
        for key in row.keys {
            put(&mut out, format_args!("# {}\n# {} = {}\n", key.doc, key.name, value(key)));
        }
    }
    out
}

/// The reference of every setting, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut out = String::new();
    for row in SECTIONS {
        put(&mut out, format_args!("## `[{}]`\n\n{}\n\n", row.heading, row.doc));
        put(&mut out, format_args!("| key | default | meaning |\n|---|---|---|\n"));
        for key in row.keys {
            let default =
                if key.default.is_empty() { "none".to_owned() } else { format!("`{}`", key.default) };
            put(&mut out, format_args!("| `{}` | {default} | {} |\n", key.name, key.doc.replace('|', "\\|")));
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn value(key: &Key) -> &'static str {
    if key.default.is_empty() { key.sample } else { key.default }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes everything");
}
