//! Strangers without a credential, each under a name of its own for a while: Hypha's anonymous users.
//!
//! Whoever shows anything at all is left to the others, and in the end refused: a bad credential makes nobody a visitor.

use std::sync::Arc;

use super::{Descriptor, options};
use crate::authn::{Answer, Authenticator, Outcome, Presented};
use crate::authz::roles::ANONYMOUS;
use crate::engine::Engine;
use crate::principal::{AuthContext, Principal};
use crate::random::bytes;
use crate::workspaces::{Permission, WorkspaceScope, names};

/// How long a visitor is known, in seconds (Hypha 0.21.137).
const LIFE_S: i64 = 600;

/// The words of names: easy to say, and nobody's.
const MANNERS: &[&str; 32] = &[
    "amber", "bold", "brave", "bright", "calm", "clever", "cosmic", "daring", "eager", "early", "fair",
    "gentle", "glad", "golden", "happy", "honest", "jolly", "kind", "lively", "lucky", "mellow", "merry",
    "noble", "patient", "plucky", "proud", "quick", "quiet", "sunny", "swift", "warm", "wise",
];
const ANIMALS: &[&str; 32] = &[
    "badger", "beaver", "crane", "deer", "dolphin", "falcon", "finch", "fox", "gecko", "hare", "heron",
    "hound", "ibis", "koala", "lark", "lion", "lynx", "marten", "mole", "moose", "newt", "otter", "owl",
    "panda", "pony", "raven", "robin", "seal", "stork", "swan", "tiger", "wren",
];

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {}

struct Visitors {
    engine: Engine,
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "visitor",
    build: |section, engine| {
        let Options {} = options("visitor", &section)?;
        Ok(Arc::new(Visitors { engine: engine.clone() }))
    },
};

impl Authenticator for Visitors {
    fn name(&self) -> &'static str {
        DESCRIPTOR.name
    }

    fn authenticate<'a>(&'a self, presented: &'a Presented<'a>) -> Answer<'a> {
        Answer::Now(match presented.offered {
            Some(_) => Outcome::NotPresent,
            None => Outcome::Accepted(Arc::new(somebody_new(&self.engine))),
        })
    }
}

/// A visitor whom nobody has met.
pub(super) fn somebody_new(engine: &Engine) -> AuthContext {
    let random: [u8; 10] = bytes(engine.random());
    let word = |words: &'static [&'static str; 32], byte: u8| words[usize::from(byte) % words.len()];
    let number = u64::from_be_bytes(std::array::from_fn(|at| random[at + 2])) % 100_000_000;
    let name = format!("anonymouz-{}-{}-{number:08}", word(MANNERS, random[0]), word(ANIMALS, random[1]));
    let principal = Principal::visitor(&name);
    let expires_at_s = Some(engine.now_ms().div_euclid(1000) + LIFE_S);
    let own = names::own(&principal, &principal.authority);
    AuthContext {
        workspaces: WorkspaceScope {
            given: [(own.into(), Permission::Admin)].into(),
            ..WorkspaceScope::default()
        },
        principal,
        method: DESCRIPTOR.name,
        expires_at_s,
        ..AuthContext::anonymous(vec![ANONYMOUS.into()])
    }
}
