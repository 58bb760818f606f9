//! Ways into an account that end, roles that reach far, and the last administrator.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use doorward_core::agents::crons::{Crons, NewCron};
use doorward_core::authz::catalogue::{api_key, user};
use doorward_core::authz::{RoleDef, Target};
use doorward_core::clock::Clock as _;
use doorward_core::id::IdentityId;
use doorward_core::identity::api_keys::{Expiry, NewApiKey};
use doorward_core::identity::model::Identity;
use doorward_core::identity::proofs::Purpose;
use doorward_core::identity::transfer::{Administrators, Incoming, Origin};
use doorward_core::login::People;
use doorward_core::memory::feed;
use doorward_core::ports::directory::{Directory, DirectoryError, Known};
use doorward_core::ports::store::{Commit as _, Identities as _, Users as _, Write};
use doorward_core::ports::{Batch, NoMailer};
use doorward_core::secret::SecretText;
use futures_util::future::BoxFuture;
use serde_json::Map;

use crate::house::{Around, House, PASSWORD, code};
use crate::proofs::{ANN, account, ask, house, letter, open, sign_up};

/// Whoever made an account of somebody's address, in by everything there is: at a mount that asks for no proof, with a key, and with a
/// provider.
async fn settled() -> (House, House, String, String) {
    let house = house().await;
    sign_up(&house, ANN, PASSWORD).await.expect("made");
    let elsewhere = house.neighbour_with(Around { mailer: Arc::new(NoMailer), ..Around::default() }).await;
    let token = elsewhere.login_as(ANN, PASSWORD, None).await.expect("in").access.token.expose().clone();
    let call = elsewhere.bearer(&token).await.expect("in");
    let permit = call.permit::<api_key::Create>(Target::any()).expect("may");
    let new = NewApiKey { name: "k".into(), scopes: vec!["write".into()], expiry: Expiry::Never };
    let key = elsewhere.engine.api_keys().create(permit, new).await.expect("made").secret.expose().clone();
    let at_ms = house.clock.now_ms();
    let identity = Identity {
        id: IdentityId::from("idn_1"),
        user: account(&house).await.id,
        authority: "https://idp.example".into(),
        subject: "made".into(),
        shown: None,
        created_at_ms: at_ms,
        last_used_at_ms: at_ms,
    };
    house.store.commit(Batch::durable(vec![Write::InsertIdentity(identity)])).await.expect("added");
    (house, elsewhere, token, key)
}

/// What still opens the account: the session, the key, the provider, the password.
async fn ways_in(house: &House, elsewhere: &House, token: &str, key: &str) -> [bool; 4] {
    feed::catch_up(&elsewhere.engine).await.expect("news is had");
    let id = account(house).await.id;
    [
        elsewhere.bearer(token).await.is_ok(),
        elsewhere.bearer(key).await.is_ok(),
        !house.store.identities_of(&id).await.expect("a read").is_empty(),
        house.store.password(&id).await.expect("a read").is_some(),
    ]
}

#[tokio::test]
async fn the_first_proof_by_somebody_elses_letter_ends_every_way_in_of_before() {
    for purpose in [Purpose::Recovery, Purpose::MagicLink] {
        let (house, elsewhere, token, key) = settled().await;
        assert_eq!(ways_in(&house, &elsewhere, &token, &key).await, [true; 4], "{purpose:?}");
        let _ = letter(&house, 1).await;
        house.clock.advance_ms(61_000);
        assert_eq!(ask(&house, purpose, ANN).await, "ok");
        assert_eq!(ways_in(&house, &elsewhere, &token, &key).await, [true; 4], "asking ends nothing");
        assert_eq!(open(&house, purpose, &letter(&house, 2).await.0).await, "ok");
        assert_eq!(ways_in(&house, &elsewhere, &token, &key).await, [false; 4], "{purpose:?}");
    }
}

#[tokio::test]
async fn the_first_proof_by_somebody_elses_letter_turns_off_the_crons_of_before() {
    let (house, elsewhere, token, _) = settled().await;
    let crons = Crons::of(&elsewhere.engine);
    let call = elsewhere.bearer(&token).await.expect("in");
    let cron = NewCron {
        id: "c".to_owned(),
        assistant: "an-assistant".to_owned(),
        thread: None,
        metadata: Map::new(),
        schedule: "*/10 * * * *".to_owned(),
        timezone: None,
        end_at_ms: None,
        enabled: true,
        keep: false,
        payload: Map::new(),
    };
    crons.create(call.permit(Target::any()).expect("may"), cron).await.expect("made");
    let _ = letter(&house, 1).await;
    house.clock.advance_ms(600_000);
    assert_eq!(ask(&house, Purpose::MagicLink, ANN).await, "ok");
    let (due, _) = crons.claim(&elsewhere.mount).await.expect("the store answers");
    assert!(crons.caller(&elsewhere.mount, &due[0]).await.is_ok(), "nobody has proven anything yet");
    assert_eq!(open(&house, Purpose::MagicLink, &letter(&house, 2).await.0).await, "ok");
    feed::catch_up(&elsewhere.engine).await.expect("news is had");
    house.clock.advance_ms(600_000);
    feed::catch_up(&elsewhere.engine).await.expect("news is had");
    let (due, _) = crons.claim(&elsewhere.mount).await.expect("the store answers");
    assert_eq!(code(crons.caller(&elsewhere.mount, &due[0]).await), "token_revoked");
}

#[tokio::test]
async fn the_letter_of_the_sign_up_itself_ends_none_and_a_second_proof_neither() {
    let (house, elsewhere, token, key) = settled().await;
    assert_eq!(open(&house, Purpose::SignUp, &letter(&house, 1).await.0).await, "ok");
    assert_eq!(ways_in(&house, &elsewhere, &token, &key).await, [true; 4]);
    house.clock.advance_ms(61_000);
    assert_eq!(ask(&house, Purpose::MagicLink, ANN).await, "ok");
    assert_eq!(open(&house, Purpose::MagicLink, &letter(&house, 2).await.0).await, "ok");
    assert_eq!(ways_in(&house, &elsewhere, &token, &key).await, [true; 4], "it is theirs already");
}

#[tokio::test]
async fn an_import_gives_no_role_that_reaches_further_than_ones_own_things_unless_that_is_asked_for() {
    let role = |permissions: &[&str], inherits: &[&str]| RoleDef {
        permissions: permissions.iter().map(|it| (*it).to_owned()).collect(),
        inherits: inherits.iter().map(|it| (*it).to_owned()).collect(),
    };
    let roles = BTreeMap::from([
        ("keeper".to_owned(), role(&["thread:read@any"], &[])),
        ("writer".to_owned(), role(&["thread:*"], &["user"])),
        ("helpdesk".to_owned(), role(&["user:administer@any"], &[])),
        ("heir".to_owned(), role(&[], &["keeper"])),
    ]);
    let house = House::with(Around { roles, ..Around::default() }).await;
    for (role, expected) in [
        ("user", "ok"),
        ("premium", "ok"),
        ("writer", "ok"),
        ("keeper", "administrator_unasked"),
        ("heir", "administrator_unasked"),
        ("helpdesk", "administrator_unasked"),
        ("admin", "administrator_unasked"),
    ] {
        for (administrators, expected) in [(Administrators::Refused, expected), (Administrators::Taken, "ok")]
        {
            let name = format!("{role}-{expected}-{}", administrators == Administrators::Refused);
            let account = Incoming {
                origin: Origin { from: "hypha", id: name.clone() },
                note_origin: true,
                username: None,
                email: Some(format!("{name}@example.org")),
                email_confirmed: None,
                display_name: None,
                roles: vec![role.to_owned()],
                user_metadata: Map::new(),
                admin_metadata: Map::new(),
                disabled: false,
                created_at_ms: None,
                password: None,
            };
            let permit = house.system().permit::<user::Create>(Target::any()).expect("the system may");
            let done = house.engine.users().import(permit, account, administrators).await;
            assert_eq!(code(done), expected, "{role}");
        }
    }
}

/// A directory of one person, whose groups change.
struct Groups(Mutex<Vec<String>>);

impl Directory for Groups {
    fn authority(&self) -> &'static str {
        "ldap://directory.example"
    }

    fn prove<'a>(
        &'a self,
        login: &'a str,
        password: &'a SecretText,
    ) -> BoxFuture<'a, Result<Option<Known>, DirectoryError>> {
        let roles = self.0.lock().expect("held").clone();
        let known = (login == "grace" && password.expose() == PASSWORD).then(|| Known {
            subject: "uid=grace".into(),
            username: Some("grace".into()),
            name: None,
            email: Some("grace@example.org".into()),
            roles: Some(roles),
        });
        Box::pin(async move { Ok(known) })
    }
}

#[tokio::test]
async fn a_directory_does_not_take_the_last_administrators_role() {
    let groups = Arc::new(Groups(Mutex::new(vec!["admin".to_owned()])));
    let people = People::new(Arc::clone(&groups) as _, true);
    let house = House::with(Around { people: Some(people), ..Around::default() }).await;
    let roles = async || {
        let user = house.store.user_by_login("grace@example.org").await.expect("a read").expect("there");
        user.roles.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    house.login_as("grace", PASSWORD, None).await.expect("in");
    assert_eq!(roles().await, ["admin"]);
    *groups.0.lock().expect("held") = Vec::new();
    assert_eq!(code(house.login_as("grace", PASSWORD, None).await), "last_admin");
    assert_eq!(roles().await, ["admin"], "nothing of the log-in is left");
    house.admin("boss").await;
    assert_eq!(code(house.login_as("grace", PASSWORD, None).await), "ok");
    assert_eq!(roles().await, ["user"]);
}
