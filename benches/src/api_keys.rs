//! API keys.

use std::collections::HashMap;
use std::hint::black_box;

use aws_lc_rs::hmac;
use doorward_core::authz::Target;
use doorward_core::identity::api_keys::{Expiry, NewApiKey};
use doorward_core::identity::model::ApiKeyKind;
use doorward_protocols::jose::Algorithm;
use futures_util::FutureExt as _;

use crate::house::{House, bearer, directory, runtime};
use crate::measure::{Report, Wanted, compare};

pub(crate) fn run(report: &mut Report) {
    let runtime = runtime();
    let directory = directory();
    let house = runtime.block_on(House::open(&directory.path().join("store.db"), Algorithm::ES256));
    let made = runtime.block_on(async {
        let user = house.user("ann").await;
        let permit = house.engine.system_call(&house.mount, "bench").permit(Target::any()).expect("may");
        let new = NewApiKey { name: "robot".into(), scopes: vec!["*".into()], expiry: Expiry::Never };
        house.engine.api_keys().create_for(permit, &user.id, ApiKeyKind::User, new).await.expect("made")
    });
    let text = made.secret.expose();
    let presented = bearer(text);
    runtime.block_on(house.mount.chain.authenticate(&presented)).expect("let in");
    let pepper = hmac::Key::new(hmac::HMAC_SHA256, &[9; 32]);
    let tag =
        |text: &str| <[u8; 32]>::try_from(hmac::sign(&pepper, text.as_bytes()).as_ref()).expect("32 bytes");
    let table: HashMap<[u8; 32], u32> = HashMap::from([(tag(text), 7)]);
    let [ours, bare] = compare([
        &mut || {
            let answer = house.mount.chain.authenticate(black_box(&presented)).now_or_never();
            assert!(black_box(answer.expect("memory answers at once")).is_ok());
        },
        &mut || assert_eq!(black_box(table.get(&tag(black_box(text)))), Some(&7)),
    ]);
    report.figure("API key: ns", ours, "ns", Wanted::Shown);
    report.figure("API key: × bare HMAC-SHA-256 look-up", bare / ours, "×", Wanted::AtLeast(0.5));
}
