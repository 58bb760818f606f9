//! SQLite: what a point read costs beside the C interface, and what grouping commits gains.

use std::hint::black_box;
use std::path::Path;

use doorward_core::identity::model::User;
use doorward_core::ports::store::{Batch, Commit as _, Users as _, Write};
use doorward_core::tokens::model::{Family, Revocation, Revoked};
use doorward_protocols::jose::Algorithm;
use doorward_store::{Options, SqlStore};
use futures_util::FutureExt as _;
use futures_util::future::join_all;

use crate::house::{House, directory, runtime};
use crate::measure::{Report, Wanted, compare, wall};

pub(crate) const CONCURRENT: usize = 64;
const ROUNDS: usize = 40;

pub(crate) fn run(report: &mut Report) {
    point_read(report);
    for (name, batch) in
        [("sign-ups", sign_up as fn(usize) -> Batch), ("refreshes", refresh), ("revocations", revoke)]
    {
        let directory = directory();
        let ratio = grouped(&directory.path().join("store.db"), batch);
        let name = format!("64 concurrent {name}: × one at a time");
        report.figure(&name, ratio, "×", Wanted::AtLeast(10.0));
    }
}

fn point_read(report: &mut Report) {
    let runtime = runtime();
    let directory = directory();
    let path = directory.path().join("store.db");
    let house = runtime.block_on(House::open(&path, Algorithm::ES256));
    let user = runtime.block_on(house.user("ann"));
    let raw = rusqlite::Connection::open(&path).expect("opens");
    let mut statement = raw
        .prepare(
            "SELECT id, username, email, display_name, roles, user_metadata, admin_metadata, disabled, \
             created_at_ms, updated_at_ms, version FROM account WHERE id = ?1",
        )
        .expect("prepares");
    let [ours, bare] = compare([
        &mut || {
            let found = house.store.user(black_box(&user.id)).now_or_never().expect("read on this thread");
            assert!(black_box(found).is_ok_and(|found| found.is_some()));
        },
        &mut || {
            let mut rows = statement.query([black_box(user.id.as_str())]).expect("queries");
            let row = rows.next().expect("reads").expect("there");
            let mut bytes = 0;
            for column in 0..7 {
                bytes += row
                    .get_ref(column)
                    .expect("a cell")
                    .as_str_or_null()
                    .map_or(0, |text| text.map_or(0, str::len));
            }
            for column in 7..11 {
                bytes += usize::try_from(row.get::<_, i64>(column).expect("a number") & 1).expect("a bit");
            }
            assert!(black_box(bytes) > 0);
        },
    ]);
    report.figure("point read: ns", ours, "ns", Wanted::Shown);
    report.figure("point read: × the C interface's cost", ours / bare, "×", Wanted::AtMost(2.0));
}

fn sign_up(n: usize) -> Batch {
    let user = User {
        id: format!("usr_{n:032x}").into(),
        username: Some(format!("user-{n}")),
        email: None,
        display_name: None,
        roles: vec!["user".into()],
        user_metadata: Default::default(),
        admin_metadata: Default::default(),
        email_confirmed_at_ms: None,
        phone: None,
        phone_confirmed_at_ms: None,
        disabled: false,
        banned_until_ms: None,
        anonymous: false,
        deleted_at_ms: None,
        invited_at_ms: None,
        moving: None,
        created_at_ms: 0,
        updated_at_ms: 0,
        version: 1,
    };
    let phc =
        "$argon2id$v=19$m=47104,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";
    let password = Write::SetPassword { user: user.id.clone(), phc: phc.into(), at_ms: 0 };
    Batch::durable(vec![Write::InsertUser(user), password])
}

pub(crate) fn family(n: usize) -> Family {
    Family {
        id: format!("fam_{n:032x}").into(),
        user: "usr_x".into(),
        session: "ses_x".into(),
        client: String::new(),
        scope: None,
        counter: 0,
        advanced_at_ms: 0,
        expires_at_ms: 1,
        ends_at_ms: 1,
        ended_at_ms: None,
    }
}

/// A family for each of those that refresh at once, and whose they are.
pub(crate) fn families() -> Batch {
    let mut owner = sign_up(usize::MAX);
    if let Write::InsertUser(user) = &mut owner.writes[0] {
        user.id = "usr_x".into();
    }
    owner.writes.truncate(1);
    owner.writes.extend((0..CONCURRENT).map(|n| Write::InsertFamily(family(n))));
    owner
}

fn refresh(n: usize) -> Batch {
    // Families are numbered round robin; each is advanced once per round.
    let (slot, from) = (n % CONCURRENT, n / CONCURRENT);
    let from = i64::try_from(from).expect("few rounds");
    Batch::durable(vec![Write::AdvanceFamily { id: family(slot).id, from, at_ms: 0, expires_at_ms: 1 }])
}

fn revoke(n: usize) -> Batch {
    let revoked = Revoked::Token(format!("tok_{n:032x}"));
    Batch::durable(vec![Write::Revoke(Revocation { revoked, at_ms: 0, until_ms: i64::MAX })])
}

/// How many times faster 64 at once commit than one at a time.
fn grouped(path: &Path, batch: fn(usize) -> Batch) -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let store = SqlStore::open_path(path, &Options::default()).expect("opens");
    runtime.block_on(async {
        store.commit(families()).await.expect("committed");
        let mut next = 0;
        let mut best = [f64::INFINITY; 2];
        for _ in 0..ROUNDS / 8 {
            // One at a time.
            let start = wall();
            for _ in 0..CONCURRENT {
                store.commit(batch(next)).await.expect("committed");
                next += 1;
            }
            best[0] = best[0].min((wall() - start).as_secs_f64() / CONCURRENT as f64);
            // Sixty-four at once, several times over.
            let start = wall();
            for _ in 0..8 {
                let writes: Vec<_> = (next..next + CONCURRENT).map(|n| store.commit(batch(n))).collect();
                next += CONCURRENT;
                assert!(join_all(writes).await.into_iter().all(|done| done.is_ok()));
            }
            best[1] = best[1].min((wall() - start).as_secs_f64() / (8 * CONCURRENT) as f64);
        }
        best[0] / best[1]
    })
}
