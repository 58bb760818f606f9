//! Many users and many revocations change nothing about a verification.

use std::hint::black_box;

use doorward_core::memory::revocations::Revocations;
use doorward_core::ports::store::{Batch, Commit as _, Write};
use doorward_core::tokens::model::{Revocation, Revoked};
use doorward_protocols::jose::{Algorithm, KeySet};

use crate::house::{House, directory, runtime};
use crate::keys::{NOW_S, key, token};
use crate::measure::{Report, Wanted, compare, wall};
use crate::verify::first_sight;

const REVOCATIONS: usize = 1_000_000;
const USERS: usize = 100_000;

pub(crate) fn run(report: &mut Report) {
    verify(report);
    start(report);
}

fn verify(report: &mut Report) {
    let (empty, full) = (Revocations::new(), Revocations::new());
    for n in 0..REVOCATIONS {
        full.insert(&Revoked::Token(format!("tok_{n:032x}")), 1, i64::MAX);
    }
    let key = key(Algorithm::ES256);
    let text = token(&key);
    let keys = KeySet::new([key.signing.verifying_key()]).expect("one key");
    let ours = [String::from("doorward")];
    let [few, many] =
        compare([&mut || drop(black_box(first_sight(black_box(&text), &keys, &empty, &ours))), &mut || {
            drop(black_box(first_sight(black_box(&text), &keys, &full, &ours)))
        }]);
    report.figure("verify ES256 with 10^6 revocations: × without", many / few, "×", Wanted::AtMost(1.05));
}

fn start(report: &mut Report) {
    let runtime = runtime();
    let directory = directory();
    let path = directory.path().join("store.db");
    let house = runtime.block_on(House::open(&path, Algorithm::ES256));
    let user = runtime.block_on(async {
        let user = house.user("ann").await;
        for chunk in (0..REVOCATIONS).collect::<Vec<_>>().chunks(20_000) {
            let revoke = |n: &usize| {
                let revoked = Revoked::Token(format!("tok_{n:032x}"));
                Write::Revoke(Revocation { revoked, at_ms: 0, until_ms: (NOW_S + 86_400) * 1000 })
            };
            house.store.commit(Batch::buffered(chunk.iter().map(revoke).collect())).await.expect("committed");
        }
        for chunk in (0..USERS).collect::<Vec<_>>().chunks(5_000) {
            let insert = |n: &usize| {
                let mut other = user.clone();
                other.id = format!("usr_{n:032x}").into();
                other.username = Some(format!("user-{n}"));
                Write::InsertUser(other)
            };
            house.store.commit(Batch::buffered(chunk.iter().map(insert).collect())).await.expect("committed");
        }
        user
    });
    let text = house.token(&user);
    drop(house);
    let begun = wall();
    let house = runtime.block_on(House::open(&path, Algorithm::ES256));
    let opened = (wall() - begun).as_secs_f64();
    assert_eq!(house.engine.memory().revocations.len(), REVOCATIONS);
    let presented = crate::house::bearer(&text);
    runtime.block_on(house.mount.chain.authenticate(&presented)).expect("let in");
    let answered = (wall() - begun).as_secs_f64();
    report.figure("engine opens a store with 10^6 revocations", opened, "s", Wanted::Shown);
    report.figure("first answer over 10^5 users and 10^6 revocations", answered, "s", Wanted::AtMost(1.0));
}
