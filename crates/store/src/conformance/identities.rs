//! Who providers say that people are.

use doorward_core::identity::model::Identity;
use doorward_core::ports::{Conflict, Write};

use super::samples::{HOSTILE, NOW_MS, identity, user};
use super::{Open, one, put, refused};

/// An identity comes back as it was put, opens one account alone, and needs a user.
pub async fn an_identity_opens_one_account(open: Open<'_>) {
    let store = one(open);
    assert_eq!(refused(&store, vec![Write::InsertIdentity(identity("a", "a"))]).await, Conflict::Missing);
    let plain = Identity { shown: None, ..identity("plain", "b") };
    put(
        &store,
        vec![
            Write::InsertUser(user("a")),
            Write::InsertUser(user("b")),
            Write::InsertIdentity(identity("a", "a")),
            Write::InsertIdentity(plain.clone()),
        ],
    )
    .await;
    let find =
        async |authority: &str, subject: &str| store.identity(authority, subject).await.expect("a read");
    assert_eq!(find("https://idp.example", "subject of a").await, Some(identity("a", "a")));
    assert_eq!(find("https://idp.example", "subject of plain").await, Some(plain));
    assert_eq!(find("https://idp.example/", "subject of a").await, None, "another authority");
    assert_eq!(find("https://idp.example", "Subject of a").await, None, "another subject");
    let again = Identity { id: "idn_again".into(), ..identity("a", "b") };
    assert_eq!(refused(&store, vec![Write::InsertIdentity(again)]).await, Conflict::Exists);
    put(&store, vec![Write::DeleteUser("usr_a".into())]).await;
    assert_eq!(find("https://idp.example", "subject of a").await, None, "gone with its account");
}

/// A user's identities come in order; only its own can be touched or removed.
pub async fn identities_are_their_owners(open: Open<'_>) {
    let store = one(open);
    let mut writes = vec![Write::InsertUser(user("a")), Write::InsertUser(user("b"))];
    writes.extend(
        [("2", "a"), ("1", "a"), ("3", "b")].map(|(n, owner)| Write::InsertIdentity(identity(n, owner))),
    );
    put(&store, writes).await;
    let ids = async |owner: &str| {
        let all = store.identities_of(&owner.into()).await.expect("a list");
        all.into_iter().map(|identity| identity.id.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids("usr_a").await, ["idn_1", "idn_2"]);
    assert_eq!(ids("usr_c").await, [""; 0]);
    let touch =
        |id: &str, owner: &str, at_ms| Write::TouchIdentity { id: id.into(), user: owner.into(), at_ms };
    put(&store, vec![touch("idn_1", "usr_a", NOW_MS + 50)]).await;
    put(&store, vec![touch("idn_1", "usr_a", NOW_MS + 40)]).await;
    let used = store.identity("https://idp.example", "subject of 1").await.expect("a read").expect("there");
    assert_eq!(used.last_used_at_ms, NOW_MS + 50, "never back");
    assert_eq!(refused(&store, vec![touch("idn_1", "usr_b", NOW_MS)]).await, Conflict::Stale);
    let delete = |id: &str, owner: &str| Write::DeleteIdentity { id: id.into(), user: owner.into() };
    assert_eq!(refused(&store, vec![delete("idn_1", "usr_b")]).await, Conflict::Missing);
    put(&store, vec![delete("idn_1", "usr_a")]).await;
    assert_eq!(refused(&store, vec![delete("idn_1", "usr_a")]).await, Conflict::Missing);
    assert_eq!(refused(&store, vec![touch("idn_1", "usr_a", NOW_MS)]).await, Conflict::Stale);
    assert_eq!(ids("usr_a").await, ["idn_2"]);
}

/// The last way into an account is told apart from others: another identity, or a password.
pub async fn the_last_way_in_is_known(open: Open<'_>) {
    let store = one(open);
    put(&store, vec![Write::InsertUser(user("a")), Write::InsertIdentity(identity("1", "a"))]).await;
    let leave = |id: &str| {
        vec![
            Write::DeleteIdentity { id: id.into(), user: "usr_a".into() },
            Write::ExpectAnotherWayIn { user: "usr_a".into(), but: id.into() },
        ]
    };
    assert_eq!(refused(&store, leave("idn_1")).await, Conflict::LastWayIn);
    put(&store, vec![Write::InsertIdentity(identity("2", "a"))]).await;
    put(&store, leave("idn_1")).await;
    assert_eq!(refused(&store, leave("idn_2")).await, Conflict::LastWayIn);
    let password = Write::SetPassword { user: "usr_a".into(), phc: "$argon2id$x".into(), at_ms: NOW_MS };
    put(&store, vec![password]).await;
    put(&store, leave("idn_2")).await;
    assert_eq!(store.identities_of(&"usr_a".into()).await.expect("a list"), []);
}

/// What a provider says is text, whatever it looks like.
pub async fn a_hostile_subject_is_only_text(open: Open<'_>) {
    let store = one(open);
    put(&store, vec![Write::InsertUser(user("a"))]).await;
    for (n, (name, text)) in HOSTILE.iter().enumerate() {
        let hostile = Identity {
            subject: (*text).to_owned(),
            shown: Some((*text).to_owned()),
            ..identity(&n.to_string(), "a")
        };
        put(&store, vec![Write::InsertIdentity(hostile.clone())]).await;
        let found = store.identity("https://idp.example", text).await.expect("a read");
        assert_eq!(found, Some(hostile), "{name}");
    }
}
