//! What `serve` would refuse, and what it warns about.

use super::{Check, Examined, Finding};
use crate::cli::Failure;
use crate::config::Problem;
use crate::refusals::{refusals, warnings};

pub(super) static CHECK: Check =
    Check { name: "configuration", needs_store: false, run: |examined| Box::pin(run(examined)) };

/// What is said when nothing could be read.
pub(in crate::doctor) fn unreadable(failure: &Failure) -> Vec<Finding> {
    match failure.problems.as_slice() {
        [] => vec![CHECK.problem(failure.what.as_str(), failure.mend.as_str())],
        problems => problems.iter().map(finding).collect(),
    }
}

async fn run(examined: &Examined) -> Vec<Finding> {
    let refused = if examined.is_for_others() { refusals(&examined.setup) } else { Vec::new() };
    let mut found: Vec<Finding> = refused.iter().map(finding).collect();
    found.extend(warnings(&examined.setup).iter().map(|warning| match warning.rsplit_once("; ") {
        Some((what, mend)) => CHECK.warning(what, mend),
        None => CHECK.warning(warning.as_str(), "see that it is what you want"),
    }));
    if found.is_empty() {
        found.push(
            CHECK.ok("nothing in it keeps a server from starting; `doorward config check` tries the rest"),
        );
    }
    found
}

fn finding(problem: &Problem) -> Finding {
    let what = if problem.key.is_empty() {
        problem.what.clone()
    } else {
        format!("{}: {}", problem.key, problem.what)
    };
    CHECK.problem(what, problem.mend.as_str())
}
