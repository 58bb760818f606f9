//! Accounts that come from other systems, and accounts that are taken out.

use std::sync::Arc;

use doorward_core::Result;
use doorward_core::audit::Outcome;
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::user;
use doorward_core::clock::Clock as _;
use doorward_core::identity::hashes::{ForeignHash, SaltPlace, hex};
use doorward_core::identity::transfer::{
    Administrators, Imported, Incoming, IncomingPassword, Origin, Outgoing,
};
use doorward_core::ports::store::{AuditQuery, Page};
use serde_json::{Map, json};

use crate::house::{House, PASSWORD, code};

const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS";
const SCRYPT: &str = "$scrypt$ln=10,r=8,p=1$c2FsdHlzYWx0$xEZEWJU4tJ41VUKKZ/E/9xGweZNAk3dkVIrT5fwXjq4";
const PBKDF2: &str = "$pbkdf2-sha256$1000$c2FsdHlzYWx0$mFrNkv5iSGH91rz48G6wvz9xKZihQ03KmTZTWR8gDAo";
const ARGON2I: &str =
    "$argon2i$v=19$m=64,t=2,p=2$c2FsdHNhbHQxMjM0NTY3OA$r7YywQ8eXc98mOxPLDbvG8+GoqsyMIYSOciu0KMuGH8";
/// `sha256(PASSWORD + SALT)`.
const SHA256: &str = "92843e147f0401ceb58764d9d0eff27ec1e066a4d15a8bef534ee49d5dbca1e5";
const SALT: &str = "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f";

fn read(text: &str) -> IncomingPassword {
    IncomingPassword::Foreign(ForeignHash::read(text).expect("a hash"))
}

fn sha256() -> IncomingPassword {
    let output = hex(SHA256).expect("digits");
    let hash = ForeignHash::salted_sha256(output, SALT.into(), SaltPlace::Behind);
    IncomingPassword::Foreign(hash.expect("a hash"))
}

fn incoming(name: &str, password: Option<IncomingPassword>) -> Incoming {
    Incoming {
        origin: Origin { from: "hypha", id: name.to_owned() },
        note_origin: true,
        username: None,
        email: Some(format!("{name}@example.org")),
        email_confirmed: None,
        display_name: Some("Somebody".to_owned()),
        roles: Vec::new(),
        user_metadata: Map::new(),
        admin_metadata: Map::new(),
        disabled: false,
        created_at_ms: Some(1_600_000_000_000),
        password,
    }
}

async fn imported(house: &House, account: Incoming) -> Result<Imported> {
    let permit = house.system().permit::<user::Create>(Target::any())?;
    house.engine.users().import(permit, account, Administrators::Refused).await
}

async fn foreseen(house: &House, account: Incoming) -> Result<Imported> {
    let permit = house.system().permit::<user::List>(Target::any())?;
    house.engine.users().foresee_import(permit, account, Administrators::Refused).await
}

async fn stored(house: &House, name: &str) -> String {
    use doorward_core::ports::store::Users as _;
    let user = house.store.user_by_login(&format!("{name}@example.org")).await.expect("answers");
    house.store.password(&user.expect("there").id).await.expect("answers").expect("a hash")
}

#[tokio::test]
async fn an_imported_hash_opens_the_account_and_becomes_ours_at_the_first_log_in() {
    let house = House::new().await;
    for (name, password, kept) in [
        ("bcrypt", read(BCRYPT), "imported:$2b$04$"),
        ("scrypt", read(SCRYPT), "imported:$scrypt$ln=10,"),
        ("pbkdf2", read(PBKDF2), "imported:$pbkdf2-sha256$i=1000$"),
        ("argon2i", read(ARGON2I), "imported:$argon2i$"),
        ("sha256", sha256(), "imported:$sha256-suffix$"),
    ] {
        imported(&house, incoming(name, Some(password))).await.expect(name);
        let before = stored(&house, name).await;
        assert!(before.starts_with(kept) && !before.contains(SHA256), "{name}: {before}");
        let login = format!("{name}@example.org");
        for wrong in ["correct horse batterz", ""] {
            assert_eq!(code(house.login_as(&login, wrong, None).await), "bad_credentials", "{name}");
        }
        assert_eq!(stored(&house, name).await, before, "{name}: a wrong password changes nothing");
        house.login_as(&login, PASSWORD, None).await.expect(name);
        let after = stored(&house, name).await;
        assert!(after.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{name}: {after}");
        house.login_as(&login, PASSWORD, None).await.expect("and again");
        assert_eq!(stored(&house, name).await, after, "{name}: once");
    }
}

#[tokio::test]
async fn an_imported_hash_is_of_the_password_as_it_was_typed() {
    let house = House::new().await;
    // Of "cafe\u{301} au lait", an accent that stands alone, as argon2-cffi made it.
    let hash =
        "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQxMjM0NTY3OA$Qg8n2z83tmgu7PEl1lfy8E7fgpbOfchhGB289kTmPc8";
    imported(&house, incoming("ann", Some(read(hash)))).await.expect("imported");
    let login = async |password| house.login_as("ann@example.org", password, None).await;
    assert_eq!(code(login("caf\u{e9} au lait").await), "bad_credentials");
    login("cafe\u{301} au lait").await.expect("as it was typed there");
    login("caf\u{e9} au lait").await.expect("since then in any normal form");
}

#[tokio::test]
async fn first_log_ins_at_the_same_time_all_get_in() {
    let house = Arc::new(House::new().await);
    for (name, password) in [("ann", read(BCRYPT)), ("bob", sha256())] {
        imported(&house, incoming(name, Some(password))).await.expect("imported");
        let login = format!("{name}@example.org");
        let all = (0..8).map(|_| house.login_as(&login, PASSWORD, None));
        for done in futures_util::future::join_all(all).await {
            done.expect("the password is right");
        }
        assert!(stored(&house, name).await.starts_with("$argon2id$"));
    }
}

#[tokio::test]
async fn roles_state_and_times_come_along_and_the_origin_is_noted() {
    let house = House::new().await;
    let account = Incoming {
        roles: vec!["premium".into(), "user".into()],
        email_confirmed: Some(Some(1_650_000_000_000)),
        disabled: true,
        user_metadata: Map::from_iter([("theme".to_owned(), json!("dark"))]),
        ..incoming("ann", Some(read(BCRYPT)))
    };
    let Ok(Imported::Made(id)) = imported(&house, account).await else { panic!("made") };
    assert_eq!(id.as_str(), "usr_ann");
    let permit = house.system().permit::<user::Read>(Target::any()).expect("the system may");
    let made = house.engine.users().get(permit, &id).await.expect("there");
    assert_eq!(made.roles, ["premium".into(), "user".into()]);
    assert_eq!(
        (made.created_at_ms, made.email_confirmed_at_ms),
        (1_600_000_000_000, Some(1_650_000_000_000))
    );
    assert_eq!(made.admin_metadata["imported"], json!({ "from": "hypha", "id": "ann" }));
    assert_eq!(made.user_metadata["theme"], "dark");
    assert_eq!(code(house.login_as("ann@example.org", PASSWORD, None).await), "user_disabled");
    let permit = house.system().permit(Target::any()).expect("the system may");
    let query = AuditQuery { action: Some("user:create".into()), limit: 10, ..AuditQuery::default() };
    let lines = house.engine.audit().list(permit, query).await.expect("a log");
    assert!(
        lines.iter().any(|line| line.entry.resource.as_deref() == Some("usr_ann")),
        "an import leaves its line"
    );
}

#[tokio::test]
async fn nobody_who_is_there_is_changed_and_nothing_is_half_there() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let hash = stored(&house, "ann").await;
    let all = async || {
        use doorward_core::ports::store::Users as _;
        house.store.users(Page { after: None, limit: 200 }).await.expect("answers")
    };
    let before = all().await;
    let cases = [
        ("somebody's address", incoming("ann", None), "email_taken"),
        (
            "somebody's address as a name",
            Incoming { username: Some("x".into()), ..incoming("ann", Some(sha256())) },
            "email_taken",
        ),
        (
            "an unknown role",
            Incoming { roles: vec!["emperor".into()], ..incoming("eve", None) },
            "unknown_role",
        ),
        (
            "an administrator",
            Incoming { roles: vec!["admin".into()], ..incoming("eve", Some(read(BCRYPT))) },
            "administrator_unasked",
        ),
        ("no name", Incoming { email: None, ..incoming("eve", None) }, "bad_field"),
        ("no address", Incoming { email: Some("eve".into()), ..incoming("eve", None) }, "bad_field"),
        (
            "a control character",
            Incoming { display_name: Some("a\0b".into()), ..incoming("eve", None) },
            "bad_field",
        ),
        (
            "too much metadata",
            Incoming {
                user_metadata: Map::from_iter([("x".to_owned(), "y".repeat(20_000).into())]),
                ..incoming("eve", None)
            },
            "bad_field",
        ),
        (
            "a long id",
            Incoming { origin: Origin { from: "hypha", id: "x".repeat(257) }, ..incoming("eve", None) },
            "bad_field",
        ),
        (
            "somebody's id",
            Incoming {
                origin: Origin { from: "users", id: ann.user.id.to_string() },
                ..incoming("eve", Some(read(BCRYPT)))
            },
            "id_taken",
        ),
    ];
    for (name, account, expected) in cases {
        assert_eq!(code(imported(&house, account).await), expected, "{name}");
    }
    assert_eq!(code(foreseen(&house, incoming("ann", None)).await), "email_taken");
    assert_eq!(all().await, before);
    assert_eq!(stored(&house, "ann").await, hash);
    let admin = Incoming { roles: vec!["admin".into()], ..incoming("eve", None) };
    let permit = house.system().permit(Target::any()).expect("the system may");
    house.engine.users().import(permit, admin, Administrators::Taken).await.expect("asked for");
}

#[tokio::test]
async fn an_import_that_is_run_again_changes_nothing() {
    let house = House::new().await;
    let account = || incoming("ann", Some(sha256()));
    let dry = foreseen(&house, account()).await.expect("looked at");
    let Ok(Imported::Made(id)) = imported(&house, account()).await else { panic!("made") };
    assert_eq!(dry, Imported::Made(id.clone()), "a dry run had made nothing");
    house.login_as("ann@example.org", PASSWORD, None).await.expect("logs in");
    let upgraded = stored(&house, "ann").await;
    assert_eq!(imported(&house, account()).await.expect("there"), Imported::AlreadyThere(id.clone()));
    assert_eq!(foreseen(&house, account()).await.expect("there"), Imported::AlreadyThere(id));
    assert_eq!(stored(&house, "ann").await, upgraded, "nobody's password goes back");
    house.engine.flush(true).await.expect("written");
    let permit = house.system().permit(Target::any()).expect("the system may");
    let query = AuditQuery { action: Some("user:create".into()), limit: 10, ..AuditQuery::default() };
    let lines = house.engine.audit().list(permit, query).await.expect("a log");
    let told: Vec<_> = lines.iter().map(|line| (line.entry.outcome, line.entry.reason.as_deref())).collect();
    assert_eq!(told, [(Outcome::Denied, Some("already_there")), (Outcome::Done, None)], "one was made");
    let moved = Incoming { email: Some("other@example.org".into()), ..account() };
    assert_eq!(code(imported(&house, moved).await), "id_taken");
}

#[tokio::test]
async fn what_is_taken_out_is_taken_in_elsewhere_and_opens_the_same() {
    let house = House::new().await;
    house.person("ann").await;
    for (name, password) in [("bob", read(BCRYPT)), ("cid", sha256())] {
        imported(&house, incoming(name, Some(password))).await.expect("imported");
    }
    imported(&house, incoming("dan", None)).await.expect("imported");
    let export = async |house: &House, hashes| {
        let mut all: Vec<Outgoing> = Vec::new();
        let permit = house.system().permit::<user::Export>(Target::any()).expect("the system may");
        house
            .engine
            .users()
            .export(permit, hashes, |one| {
                all.push(one);
                true
            })
            .await
            .expect("walked");
        all
    };
    assert!(
        export(&house, false).await.iter().all(|one| one.password.is_none()),
        "only where it is asked for"
    );
    let all = export(&house, true).await;
    assert_eq!(all.iter().filter(|one| one.password.is_some()).count(), 3);
    let elsewhere = House::elsewhere().await;
    for one in &all {
        let password = one.password.as_ref().map(|password| match password.normalized {
            true => IncomingPassword::ours(password.hash.expose()).expect("ours"),
            false => read(password.hash.expose()),
        });
        let user = one.user.clone();
        let account = Incoming {
            origin: Origin { from: "users", id: user.id.to_string() },
            note_origin: false,
            username: user.username,
            email: user.email,
            email_confirmed: user.email_confirmed_at_ms.map(Some),
            display_name: user.display_name,
            roles: user.roles.iter().map(ToString::to_string).collect(),
            user_metadata: user.user_metadata,
            admin_metadata: user.admin_metadata,
            disabled: user.disabled,
            created_at_ms: Some(user.created_at_ms),
            password,
        };
        imported(&elsewhere, account).await.expect("taken in");
    }
    let here = export(&house, true).await;
    let there = export(&elsewhere, true).await;
    assert_eq!(here.len(), there.len());
    for (here, there) in here.iter().zip(&there) {
        let same = doorward_core::identity::model::User {
            updated_at_ms: here.user.updated_at_ms,
            ..there.user.clone()
        };
        assert_eq!(here.user, same);
        assert!(there.user.updated_at_ms <= elsewhere.clock.now_ms());
        let hash = |one: &Outgoing| one.password.as_ref().map(|p| (p.hash.expose().clone(), p.normalized));
        assert_eq!(hash(here), hash(there));
    }
    for name in ["ann", "bob", "cid"] {
        elsewhere.login_as(&format!("{name}@example.org"), PASSWORD, None).await.expect(name);
    }
    assert_eq!(code(elsewhere.login_as("dan@example.org", PASSWORD, None).await), "bad_credentials");
    let ann = house.login("ann").await;
    let call = house.bearer(ann.access.token.expose()).await.expect("in");
    assert_eq!(code(call.permit::<user::Export>(Target::any())), "forbidden");
    for bad in ["junk", BCRYPT, ARGON2I] {
        assert!(IncomingPassword::ours(bad).is_err(), "{bad}");
    }
}
