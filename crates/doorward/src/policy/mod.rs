//! Policy tests: questions with expected answers, put to the very function that decides requests.

mod report;

use std::path::{Path, PathBuf};

use doorward_core::authz::areas;
use doorward_core::authz::filter::{Filter, labels_of};
use doorward_core::authz::{Denial, Roles, Target, decide, explain};
use serde_json::Value;

pub(crate) use report::{Format, render};

use crate::config::{Case, Config, Expected, Problems, Thing, read_policy_tests};

/// How a file's cases went.
pub(crate) struct Suite {
    pub(crate) file: PathBuf,
    pub(crate) results: Vec<Outcome>,
}

/// How one case went.
pub(crate) struct Outcome {
    pub(crate) name: String,
    /// File and line.
    pub(crate) place: String,
    pub(crate) fault: Option<Fault>,
}

/// What was not as expected.
pub(crate) struct Fault {
    pub(crate) expected: String,
    pub(crate) got: String,
    /// What the decision looked at, in its order.
    pub(crate) why: Vec<String>,
}

/// Asks everything that a file asks.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn run(file: &Path, config: &Config, roles: &Roles) -> Result<Suite, Problems> {
    let cases = read_policy_tests(file, config, roles)?;
    let results = cases.iter().map(|case| Outcome {
        name: case.name.clone(),
        place: case.origin.to_string(),
        fault: judge(case, roles),
    });
    Ok(Suite { file: file.to_owned(), results: results.collect() })
}

fn judge(case: &Case, roles: &Roles) -> Option<Fault> {
    let target = Target { id: case.resource.as_deref(), owner: owner(case), mount: &case.mount };
    let decided = if case.in_no_area { None } else { Some(decide(roles, &case.auth, case.action, target)) };
    let differs = |(expected, got)| {
        let why = match decided {
            None => vec!["The request lies in no area, and what lies in none is for nobody.".to_owned()],
            Some(_) => explain(roles, &case.auth, case.action, target).steps(),
        };
        Fault { expected, got, why }
    };
    difference(case, decided.as_ref()).map(differs)
}

/// Whose the target is: nobody's, where it is an area.
fn owner(case: &Case) -> Option<&str> {
    let of_area = areas::is_entering(case.action) && case.resource.is_some();
    case.owner.as_deref().or(of_area.then_some(areas::OWNER))
}

/// What is expected and what is, where they differ.
fn difference(case: &Case, decided: Option<&Result<Filter, Denial>>) -> Option<(String, String)> {
    let got = match decided {
        None => "deny (in no area)".to_owned(),
        Some(Err(denial)) => format!("deny by the rule {:?}", denial.rule()),
        Some(Ok(filter)) => format!("allow with the filter {}", filter.to_json()),
    };
    let filter = match (&case.expected, decided) {
        (Expected::Deny(None), None | Some(Err(_))) => return None,
        (Expected::Deny(Some(rule)), Some(Err(denial))) if rule == denial => return None,
        (Expected::Deny(None), _) => return Some(("deny".to_owned(), got)),
        (Expected::Deny(Some(rule)), _) => {
            return Some((format!("deny by the rule {:?}", rule.rule()), got));
        }
        (Expected::Allow(None), Some(Ok(filter))) => filter,
        (Expected::Allow(Some(wanted)), Some(Ok(filter))) if *wanted == filter.to_json() => filter,
        (Expected::Allow(wanted), _) => {
            let with = wanted.as_ref().map(|wanted: &Value| format!(" with the filter {wanted}"));
            return Some((format!("allow{}", with.unwrap_or_default()), got));
        }
    };
    let filter = filter.clone().and(case.asks.clone());
    let found = |thing: &Thing| filter.matches(&thing.id, &thing.owner, &labels_of(&thing.metadata));
    let missed = case.finds.iter().find(|thing| !found(thing)).map(|thing| ("finds", thing));
    let shown = case.hides.iter().find(|thing| found(thing)).map(|thing| ("hides", thing));
    missed.or(shown).map(|(verb, thing)| {
        let not = if verb == "finds" { "is not found" } else { "is found" };
        let got = format!("{} of {} {not} through the filter {}", thing.id, thing.owner, filter.to_json());
        (format!("{verb} {} of {}", thing.id, thing.owner), got)
    })
}
