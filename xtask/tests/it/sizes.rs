//! Files stay small enough to be held in the head.

use crate::{files, hold, text};

/// Lines outside tests at which a file must be split; 400 is the habit.
const LIMIT_LINES: usize = 600;
const SOURCES: &[&str] = &["rs", "py", "js", "ts"];

/// Whether the whole file is tests or made for them.
pub(crate) fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.split('/').any(|part| part == "tests")
        || name == "tests.rs"
        || name == "conftest.py"
        || name.starts_with("test_")
}

/// Lines before the module of unit tests, which by habit ends a file.
fn lines_outside_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| {
        pair[0].trim() == "#[cfg(test)]"
            && pair[1].trim_start().starts_with("mod ")
            && pair[1].trim_end().ends_with('{')
    });
    tests.unwrap_or(lines.len())
}

#[test]
fn no_source_file_is_longer_than_the_limit() {
    let sources = files().into_iter().filter(|path| {
        path.rsplit_once('.').is_some_and(|(_, end)| SOURCES.contains(&end)) && !is_test(path)
    });
    let broken: Vec<String> = sources
        .filter_map(|path| {
            let lines = lines_outside_tests(&text(&path).unwrap_or_default());
            (lines > LIMIT_LINES).then(|| format!("{path}: {lines} lines"))
        })
        .collect();
    hold(&broken, "give each of the things it does a file of its own");
}

#[test]
fn only_lines_outside_the_tests_count() {
    let code = "fn a() {}\n".repeat(601);
    assert_eq!(lines_outside_tests(&code), 601);
    assert_eq!(lines_outside_tests(&format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{code}}}\n")), 1);
    assert_eq!(
        lines_outside_tests(&format!("#[cfg(test)]\nmod tests;\n{code}")),
        603,
        "a declaration ends nothing"
    );
}

#[test]
fn test_files_are_known_by_name_or_directory() {
    let cases = [
        ("crates/core/tests/it/main.rs", true),
        ("crates/core/src/json/tests.rs", true),
        ("tests/compat/agentflow/test_modes.py", true),
        ("crates/core/src/testing.rs", false),
        ("crates/core/src/contest.rs", false),
    ];
    for (path, expected) in cases {
        assert_eq!(is_test(path), expected, "{path}");
    }
}
