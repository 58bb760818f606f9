//! Tokens seen before.

use std::hint::black_box;

use doorward_core::authz::Target;
use doorward_core::tokens::model::Revoked;
use futures_util::FutureExt as _;

use crate::house::{House, bearer, directory, runtime};
use crate::keys::ALGORITHMS;
use crate::measure::{Report, Wanted, compare};

pub(crate) fn run(report: &mut Report) {
    let runtime = runtime();
    for algorithm in ALGORITHMS {
        let directory = directory();
        let house = runtime.block_on(House::open(&directory.path().join("store.db"), algorithm));
        let user = runtime.block_on(house.user("ann"));
        let text = house.token(&user);
        let presented = bearer(&text);
        runtime.block_on(house.mount.chain.authenticate(&presented)).expect("let in");
        let [ns] = compare([&mut || {
            let answer = house.mount.chain.authenticate(black_box(&presented)).now_or_never();
            assert!(black_box(answer.expect("memory answers at once")).is_ok());
        }]);
        report.figure(&format!("seen {algorithm}: a CPU second"), 1e9 / ns, "/s", Wanted::AtLeast(1e6));
        let system = house.engine.system_call(&house.mount, "bench");
        let permit = system.permit(Target::any()).expect("may");
        let owner = doorward_core::principal::Principal::local(&user.id).owner_key();
        let tokens = house.engine.tokens();
        runtime.block_on(tokens.revoke_any(permit, Revoked::Principal(owner))).expect("revoked");
        let refused = house.mount.chain.authenticate(&presented).now_or_never();
        let refused = f64::from(u8::from(refused.is_some_and(|answer| answer.is_err())));
        report.figure(&format!("seen {algorithm}: refused once revoked"), refused, "", Wanted::AtLeast(1.0));
    }
}
