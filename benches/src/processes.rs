//! Several processes on one store: how long until what one revokes is refused by the other.

use doorward_core::authz::Target;
use doorward_core::principal::Principal;
use doorward_core::tokens::model::Revoked;
use doorward_protocols::jose::Algorithm;
use doorward_store::conformance::postgres::Server;
use doorward_store::{Options, SqlStore};

use crate::house::{House, bearer, directory};
use crate::measure::{Report, Wanted, wall};

const TIMES: usize = 100;

/// Milliseconds from the answer to the one that revokes to the other's first refusal.
async fn times(open: impl Fn() -> SqlStore) -> Vec<f64> {
    // Two engines that share nothing but the store, as two processes do.
    let (one, other) =
        (House::over(open(), Algorithm::ES256).await, House::over(open(), Algorithm::ES256).await);
    other.engine.start();
    let mut times = Vec::with_capacity(TIMES);
    for n in 0..TIMES {
        let user = one.user(&format!("p{n}")).await;
        let token = one.token(&user);
        let presented = bearer(&token);
        other.mount.chain.authenticate(&presented).await.expect("let in");
        let permit = one.engine.system_call(&one.mount, "bench").permit(Target::any()).expect("may");
        let owner = Principal::local(&user.id).owner_key();
        one.engine.tokens().revoke_any(permit, Revoked::Principal(owner)).await.expect("revoked");
        let revoked = wall();
        while other.mount.chain.authenticate(&presented).await.is_ok() {
            tokio::task::yield_now().await;
        }
        times.push((wall() - revoked).as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    times
}

fn show(report: &mut Report, name: &str, times: &[f64]) {
    report.figure(
        &format!("{name}: revoked here, refused there, median"),
        times[TIMES / 2],
        "ms",
        Wanted::Shown,
    );
    report.figure(
        &format!("{name}: revoked here, refused there, p99"),
        times[TIMES * 99 / 100],
        "ms",
        Wanted::AtMost(500.0),
    );
}

pub(crate) fn run(report: &mut Report) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let directory = directory();
    let path = directory.path().join("store.db");
    let sqlite = runtime.block_on(times(|| SqlStore::open_path(&path, &Options::default()).expect("opens")));
    show(report, "SQLite", &sqlite);
    let server = Server::start();
    let address = server.database();
    let postgres = runtime.block_on(times(|| SqlStore::open(&address, &Options::default()).expect("opens")));
    show(report, "PostgreSQL", &postgres);
}
