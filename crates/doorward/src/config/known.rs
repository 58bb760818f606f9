//! Names by which mounts call others: each has to be described, and no two may vouch for the same subjects.

use std::collections::BTreeMap;

use super::issuers::Issuer;
use super::mounts::Mount;
use super::nearest::nearest;
use super::problem::Problem;
use super::providers::Provider;
use super::remote_tokens::RemoteTokens;
use super::section::Reading;

/// What to do about a name that nothing has.
fn mend<'a>(heading: &str, name: &str, known: impl Iterator<Item = &'a String>) -> String {
    match nearest(name, known.map(String::as_str)) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("describe it in [{heading}.{name}]"),
    }
}

/// Notes issuers that mounts name and nobody describes, and names that would make two parties' users one.
pub(super) fn issuers(
    mounts: Option<&[Mount]>,
    issuers: Option<&BTreeMap<String, Issuer>>,
    reading: &mut Reading,
) {
    let (Some(mounts), Some(issuers)) = (mounts, issuers) else { return };
    for mount in mounts {
        for name in mount.issuers.iter().filter(|name| !issuers.contains_key(*name)) {
            let mend = mend("issuers", name, issuers.keys());
            let key = format!("mounts.{}.issuers", mount.name);
            reading.problems.push(Problem::of(key, format!("there is no issuer {name:?}"), mend));
        }
        if issuers.contains_key(&mount.name) {
            let what =
                format!("the mount {0} and the issuer {0} would vouch for the same subjects", mount.name);
            let key = format!("issuers.{}", mount.name);
            reading.problems.push(Problem::of(key, what, "give the issuer another name"));
        }
    }
    for (name, issuer) in issuers {
        let twin = issuers.iter().find(|(other, of)| *other < name && of.issuer == issuer.issuer);
        if let Some((twin, _)) = twin {
            let what = format!("the issuers {twin} and {name} have the same issuer");
            let mend = "keep one of them; its audience may list several";
            reading.problems.push(Problem::of(format!("issuers.{name}.issuer"), what, mend));
        }
    }
}

/// Notes a provider that a mount names and nobody describes.
pub(super) fn providers(
    mounts: Option<&[Mount]>,
    known: Option<&BTreeMap<String, Provider>>,
    reading: &mut Reading,
) {
    let (Some(mounts), Some(known)) = (mounts, known) else { return };
    for mount in mounts {
        if let Some(name) = mount.oauth_callback.as_ref().filter(|name| !known.contains_key(*name)) {
            let mend = mend("providers", name, known.keys());
            let key = format!("mounts.{}.oauth_callback", mount.name);
            reading.problems.push(Problem::of(key, format!("there is no provider {name:?}"), mend));
        }
    }
}

/// Notes whom mounts want asked and nobody describes, and names that would make two parties' users one.
pub(super) fn remote_tokens(
    mounts: Option<&[Mount]>,
    known: Option<&BTreeMap<String, RemoteTokens>>,
    reading: &mut Reading,
) {
    let (Some(mounts), Some(known)) = (mounts, known) else { return };
    for mount in mounts {
        if let Some(name) = mount.remote_tokens.as_ref().filter(|name| !known.contains_key(*name)) {
            let mend = mend("remote_tokens", name, known.keys());
            let key = format!("mounts.{}.remote_tokens", mount.name);
            reading.problems.push(Problem::of(key, format!("there is no {name:?} to ask"), mend));
        }
        let twin = known.keys().find(|name| **name == mount.name || mount.issuers.contains(name));
        if let Some(name) = twin {
            let what =
                format!("a mount or issuer is called {name} too, and would vouch for the same subjects");
            reading.problems.push(Problem::of(format!("remote_tokens.{name}"), what, "give it another name"));
        }
    }
}
