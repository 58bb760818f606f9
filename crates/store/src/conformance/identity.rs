//! Users, sessions and API keys.

use doorward_core::identity::model::{ApiKey, ApiKeyKind, PastLogin, User};
use doorward_core::ports::store::Page;
use doorward_core::ports::{Conflict, Write};
use serde_json::json;

use super::samples::{HOSTILE, HOUR_MS, NOW_MS, api_key, family, object, session, user};
use super::{Handle, Open, one, put, refused};

fn page(after: Option<&str>, limit: u32) -> Page {
    Page { after: after.map(str::to_owned), limit }
}

async fn user_of(store: &Handle, name: &str) -> Option<User> {
    store.user(&format!("usr_{name}").into()).await.expect("a user can be read")
}

/// Every member, present or absent, comes back as it was written.
pub async fn a_user_comes_back_as_written(open: Open<'_>) {
    let store = one(open);
    let full = user("a");
    let bare = User {
        username: None,
        email: None,
        display_name: None,
        user_metadata: object(json!({})),
        admin_metadata: object(json!({})),
        disabled: true,
        phone: None,
        phone_confirmed_at_ms: None,
        banned_until_ms: None,
        anonymous: false,
        deleted_at_ms: None,
        invited_at_ms: None,
        moving: None,
        ..user("b")
    };
    put(&store, vec![Write::InsertUser(full.clone()), Write::InsertUser(bare.clone())]).await;
    assert_eq!(user_of(&store, "a").await, Some(full));
    assert_eq!(user_of(&store, "b").await, Some(bare));
    assert_eq!(user_of(&store, "c").await, None);
}

/// A login name is compared as a whole and byte for byte: no wildcard, no folding of its own.
pub async fn a_login_name_finds_its_user_and_no_other(open: Open<'_>) {
    let store = one(open);
    put(&store, vec![Write::InsertUser(user("plain"))]).await;
    for (place, (_, text)) in HOSTILE.iter().enumerate() {
        let odd = User { username: Some((*text).to_owned()), email: None, ..user(&format!("h{place}")) };
        put(&store, vec![Write::InsertUser(odd)]).await;
    }
    for (place, (name, text)) in HOSTILE.iter().enumerate() {
        let found = store.user_by_login(text).await.expect("a user can be looked up");
        assert_eq!(found.map(|u| u.id), Some(format!("usr_h{place}").into()), "{name}");
    }
    for (login, expected) in [
        ("plain@example.org", true),
        ("plain-login", true),
        ("plain@example.or", false),
        ("PLAIN@example.org", false),
        ("plain@example.org ", false),
        ("plain@%", false),
        ("usr_plain", false),
    ] {
        let found = store.user_by_login(login).await.expect("a user can be looked up");
        assert_eq!(found.is_some(), expected, "{login}");
    }
}

/// Nobody can take another's address or name, also not as the other kind; a refused user is not there.
pub async fn login_names_are_one_space(open: Open<'_>) {
    let store = one(open);
    put(&store, vec![Write::InsertUser(user("a"))]).await;
    let with = |email: Option<&str>, username: Option<&str>| User {
        email: email.map(str::to_owned),
        username: username.map(str::to_owned),
        ..user("b")
    };
    for (name, second, expected) in [
        ("same address", with(Some("a@example.org"), None), Conflict::EmailTaken),
        ("same name", with(None, Some("a-login")), Conflict::UsernameTaken),
        ("another's name as address", with(Some("a-login"), None), Conflict::EmailTaken),
        ("another's address as name", with(None, Some("a@example.org")), Conflict::UsernameTaken),
        ("same id", User { id: "usr_a".into(), ..with(Some("n@example.org"), None) }, Conflict::Exists),
    ] {
        assert_eq!(refused(&store, vec![Write::InsertUser(second)]).await, expected, "{name}");
        assert_eq!(user_of(&store, "b").await, None, "{name}");
    }
    // One's own address as one's name is no conflict.
    put(&store, vec![Write::InsertUser(with(Some("b@example.org"), Some("b@example.org")))]).await;
    assert_eq!(store.user_by_login("n@example.org").await.expect("a user can be looked up"), None);
}

/// A phone number is one account's, and no name or address finds it by accident.
pub async fn a_phone_number_is_one_accounts(open: Open<'_>) {
    let store = one(open);
    put(&store, vec![Write::InsertUser(user("a"))]).await;
    let bare = User { email: None, phone: user("a").phone, username: Some("b".into()), ..user("b") };
    assert_eq!(refused(&store, vec![Write::InsertUser(bare.clone())]).await, Conflict::PhoneTaken);
    let freed = User { phone: None, version: 2, ..user("a") };
    put(&store, vec![Write::UpdateUser(freed), Write::InsertUser(bare.clone())]).await;
    let back = User { version: 3, ..user("a") };
    assert_eq!(refused(&store, vec![Write::UpdateUser(back)]).await, Conflict::PhoneTaken);
    let phone = bare.phone.expect("it has one");
    assert_eq!(store.user_by_login(&phone).await.expect("a look-up"), None);
}

/// The newest come first, as many as asked for, and all are counted.
pub async fn users_are_counted_and_paged_from_the_newest(open: Open<'_>) {
    let store = one(open);
    assert_eq!(store.count_users().await.expect("counted"), 0);
    put(&store, ["a", "b", "c"].map(|name| Write::InsertUser(user(name))).into()).await;
    assert_eq!(store.count_users().await.expect("counted"), 3);
    for (skip, limit, expected) in [(0, 2, "cb"), (2, 2, "a"), (3, 2, ""), (0, 0, ""), (1, 1, "b")] {
        let found = store.newest_users(skip, limit).await.expect("listed");
        let names: String = found.iter().map(|user| &user.id.as_str()[4..]).collect();
        assert_eq!(names, expected, "{skip} {limit}");
    }
}

/// A password that is dropped is gone, and dropping none is no conflict.
pub async fn a_password_can_be_dropped(open: Open<'_>) {
    let store = one(open);
    let set = Write::SetPassword { user: "usr_a".into(), phc: "$argon2id$x".into(), at_ms: NOW_MS };
    put(&store, vec![Write::InsertUser(user("a")), set]).await;
    for _ in 0..2 {
        put(&store, vec![Write::DropPassword { user: "usr_a".into() }]).await;
        assert_eq!(store.password(&"usr_a".into()).await.expect("read"), None);
    }
}

/// An update names the version it read; any other version is stale, and so is a user that is gone.
pub async fn an_update_needs_the_version_it_read(open: Open<'_>) {
    let store = one(open);
    put(&store, vec![Write::InsertUser(user("a"))]).await;
    let changed = |version| User { display_name: Some(format!("v{version}")), version, ..user("a") };
    put(&store, vec![Write::UpdateUser(changed(2))]).await;
    for (name, update) in [
        ("the version that is stored", changed(2)),
        ("an older version", changed(1)),
        ("a version from the future", changed(4)),
        ("the smallest version", changed(i64::MIN)),
        ("nobody", User { id: "usr_none".into(), email: None, username: None, ..changed(2) }),
    ] {
        assert_eq!(refused(&store, vec![Write::UpdateUser(update)]).await, Conflict::Stale, "{name}");
        assert_eq!(user_of(&store, "a").await, Some(changed(2)), "{name}");
    }
}

/// Names and roles that an update drops are free; names of others stay theirs.
pub async fn an_update_frees_old_names_and_roles(open: Open<'_>) {
    let store = one(open);
    put(&store, vec![Write::InsertUser(user("a")), Write::InsertUser(user("b"))]).await;
    let renamed = User {
        email: Some("new@example.org".into()),
        username: None,
        roles: vec!["admin".into()],
        version: 2,
        ..user("a")
    };
    put(&store, vec![Write::UpdateUser(renamed.clone())]).await;
    for (login, expected) in [
        ("new@example.org", Some("usr_a")),
        ("a@example.org", None),
        ("a-login", None),
        ("b-login", Some("usr_b")),
    ] {
        let found = store.user_by_login(login).await.expect("a user can be looked up");
        assert_eq!(found.as_ref().map(|u| u.id.as_str()), expected, "{login}");
    }
    for (role, expected) in [("admin", true), ("premium", true), ("user", true), ("adm", false), ("", false)]
    {
        assert_eq!(store.any_user_with_role(role).await.expect("roles can be read"), expected, "{role:?}");
    }
    for (name, update, expected) in [
        ("address", User { email: user("b").email, version: 3, ..renamed.clone() }, Conflict::EmailTaken),
        (
            "name",
            User { username: user("b").username, version: 3, ..renamed.clone() },
            Conflict::UsernameTaken,
        ),
    ] {
        assert_eq!(refused(&store, vec![Write::UpdateUser(update)]).await, expected, "{name}");
        assert_eq!(user_of(&store, "a").await.as_ref(), Some(&renamed), "{name}: nothing changed");
        assert!(
            store.user_by_login("new@example.org").await.expect("a look-up").is_some(),
            "{name}: name kept"
        );
    }
}

/// Password, keys, sessions, families and names go with the user; nobody else's do.
pub async fn a_deleted_user_takes_everything_along(open: Open<'_>) {
    let store = one(open);
    for (name, mac) in [("a", 1), ("b", 2)] {
        put(
            &store,
            vec![
                Write::InsertUser(user(name)),
                Write::SetPassword {
                    user: format!("usr_{name}").into(),
                    phc: "$argon2id$x".into(),
                    at_ms: NOW_MS,
                },
                Write::InsertSession(session(name, name)),
                Write::InsertFamily(family(name, name)),
                Write::InsertApiKey(api_key(name, name, mac)),
            ],
        )
        .await;
    }
    put(&store, vec![Write::DeleteUser("usr_a".into())]).await;
    for (name, mac, there) in [("a", 1, false), ("b", 2, true)] {
        assert_eq!(user_of(&store, name).await.is_some(), there, "{name}: user");
        let id = format!("usr_{name}").into();
        assert_eq!(store.password(&id).await.expect("a read").is_some(), there, "{name}: password");
        let session = store.session(&format!("ses_{name}").into()).await.expect("a read");
        assert_eq!(session.is_some(), there, "{name}: session");
        let family = store.family(&format!("fam_{name}").into()).await.expect("a read");
        assert_eq!(family.is_some(), there, "{name}: family");
        assert_eq!(store.api_key_by_mac([mac; 32]).await.expect("a read").is_some(), there, "{name}: key");
    }
    assert_eq!(refused(&store, vec![Write::DeleteUser("usr_a".into())]).await, Conflict::Missing);
    put(&store, vec![Write::InsertUser(User { id: "usr_again".into(), ..user("a") })]).await;
}

/// Page after page gives every user once, in the order of ids.
pub async fn pages_of_users_are_complete_and_ordered(open: Open<'_>) {
    let store = one(open);
    let names: Vec<_> = (0..25).map(|n| format!("{:02}", (n * 7) % 25)).collect();
    put(&store, names.iter().map(|name| Write::InsertUser(user(name))).collect()).await;
    for limit in [1, 7, 25, 100, u32::MAX] {
        let (mut seen, mut after) = (Vec::new(), None::<String>);
        loop {
            let some = store.users(page(after.as_deref(), limit)).await.expect("a page");
            assert!(some.len() <= limit as usize, "a page of {limit}");
            let Some(last) = some.last() else { break };
            after = Some(last.id.as_str().to_owned());
            seen.extend(some.into_iter().map(|user| user.id));
        }
        let expected: Vec<_> = (0..25).map(|n| format!("usr_{n:02}").into()).collect();
        assert_eq!(seen, expected, "pages of {limit}");
    }
    assert!(store.users(page(None, 0)).await.expect("a page").is_empty());
}

/// The newest hash counts; a user that is not there cannot have one.
pub async fn a_password_is_replaced(open: Open<'_>) {
    let store = one(open);
    let set =
        |user: &str, phc: &str| Write::SetPassword { user: user.into(), phc: phc.into(), at_ms: NOW_MS };
    assert_eq!(refused(&store, vec![set("usr_a", "x")]).await, Conflict::Missing);
    put(&store, vec![Write::InsertUser(user("a")), set("usr_a", "first")]).await;
    put(&store, vec![set("usr_a", "second")]).await;
    assert_eq!(store.password(&"usr_a".into()).await.expect("a read").as_deref(), Some("second"));
    assert_eq!(store.password(&"usr_b".into()).await.expect("a read"), None);
}

/// A session is ended once; it stays readable, and needs a user.
pub async fn a_session_comes_back_and_ends_once(open: Open<'_>) {
    let store = one(open);
    assert_eq!(refused(&store, vec![Write::InsertSession(session("a", "a"))]).await, Conflict::Missing);
    put(&store, vec![Write::InsertUser(user("a")), Write::InsertSession(session("a", "a"))]).await;
    let read = async || store.session(&"ses_a".into()).await.expect("a read");
    assert_eq!(read().await, Some(session("a", "a")));
    assert_eq!(refused(&store, vec![Write::InsertSession(session("a", "a"))]).await, Conflict::Exists);
    let end = |id: &str, at_ms| Write::EndSession { id: id.into(), at_ms };
    put(&store, vec![end("ses_a", NOW_MS + 5)]).await;
    assert_eq!(refused(&store, vec![end("ses_a", NOW_MS + 9)]).await, Conflict::Missing);
    assert_eq!(refused(&store, vec![end("ses_b", NOW_MS)]).await, Conflict::Missing);
    assert_eq!(read().await.and_then(|s| s.ended_at_ms), Some(NOW_MS + 5));
}

/// "Last seen" and "last used" only move forward; what has ended stays as it is; what is not there is no conflict.
pub async fn a_touch_never_moves_back_or_revives(open: Open<'_>) {
    let store = one(open);
    put(
        &store,
        vec![
            Write::InsertUser(user("a")),
            Write::InsertSession(session("a", "a")),
            Write::InsertApiKey(api_key("a", "a", 1)),
        ],
    )
    .await;
    let touch = async |at_ms| {
        let both = vec![
            Write::TouchSession { id: "ses_a".into(), at_ms },
            Write::TouchApiKey { id: "key_a".into(), at_ms },
            Write::TouchSession { id: "ses_none".into(), at_ms },
            Write::TouchApiKey { id: "key_none".into(), at_ms },
        ];
        put(&store, both).await;
        let session = store.session(&"ses_a".into()).await.expect("a read").expect("a session");
        let key = store.api_key(&"key_a".into()).await.expect("a read").expect("a key");
        (session.last_seen_at_ms, key.last_used_at_ms)
    };
    assert_eq!(touch(NOW_MS + 10).await, (NOW_MS + 10, Some(NOW_MS + 10)));
    assert_eq!(touch(NOW_MS + 4).await, (NOW_MS + 10, Some(NOW_MS + 10)));
    put(&store, vec![Write::EndSession { id: "ses_a".into(), at_ms: NOW_MS + 20 }]).await;
    assert_eq!(touch(NOW_MS + 30).await, (NOW_MS + 10, Some(NOW_MS + 30)));
    let ended = store.session(&"ses_a".into()).await.expect("a read").expect("a session");
    assert_eq!(ended.ended_at_ms, Some(NOW_MS + 20));
}

/// The list holds what has neither ended nor passed its absolute limit, of this user alone.
pub async fn live_sessions_are_listed_newest_first(open: Open<'_>) {
    let store = one(open);
    let mut writes = vec![Write::InsertUser(user("a")), Write::InsertUser(user("b"))];
    for name in ["1", "3", "2", "4"] {
        writes.push(Write::InsertSession(session(name, "a")));
    }
    writes.push(Write::InsertSession(session("5", "b")));
    writes.push(Write::EndSession { id: "ses_2".into(), at_ms: NOW_MS });
    let mut short = session("6", "a");
    short.expires_at_ms = NOW_MS + HOUR_MS;
    writes.push(Write::InsertSession(short));
    put(&store, writes).await;
    for (name, owner, now_ms, expected) in [
        ("all live", "usr_a", NOW_MS, vec!["ses_6", "ses_4", "ses_3", "ses_1"]),
        ("at the limit one is over", "usr_a", NOW_MS + HOUR_MS, vec!["ses_4", "ses_3", "ses_1"]),
        ("another's", "usr_b", NOW_MS, vec!["ses_5"]),
        ("nobody's", "usr_c", NOW_MS, vec![]),
        ("all over", "usr_a", NOW_MS + 24 * HOUR_MS, vec![]),
    ] {
        let list = store.sessions_of(&owner.into(), now_ms).await.expect("a list");
        let ids: Vec<_> = list.iter().map(|session| session.id.as_str()).collect();
        assert_eq!(ids, expected, "{name}");
    }
}

/// What an account did before is there after its sessions ended: newest first, no more than asked for.
pub async fn log_ins_are_remembered_after_their_end(open: Open<'_>) {
    let store = one(open);
    let mut writes = vec![Write::InsertUser(user("a")), Write::InsertUser(user("b"))];
    for (name, owner) in [("1", "a"), ("3", "a"), ("2", "a"), ("4", "b")] {
        let mut session = session(name, owner);
        session.origin.address = Some(format!("192.0.2.{name}"));
        session.origin.user_agent = (name != "2").then(|| format!("agent {name}"));
        writes.push(Write::InsertSession(session));
    }
    writes.push(Write::EndSession { id: "ses_3".into(), at_ms: NOW_MS });
    put(&store, writes).await;
    let login = |n: &str| PastLogin {
        address: Some(format!("192.0.2.{n}")),
        user_agent: (n != "2").then(|| format!("agent {n}")),
        at_ms: session(n, "a").created_at_ms,
    };
    for (owner, limit, expected) in [
        ("usr_a", 10, vec!["3", "2", "1"]),
        ("usr_a", 2, vec!["3", "2"]),
        ("usr_a", 0, vec![]),
        ("usr_b", 10, vec!["4"]),
        ("usr_c", 10, vec![]),
    ] {
        let list = store.recent_logins(&owner.into(), limit).await.expect("a list");
        assert_eq!(list, expected.into_iter().map(login).collect::<Vec<_>>(), "{owner}, {limit}");
    }
}

/// A key is found by the whole MAC or by its handle; neither can be given twice.
pub async fn an_api_key_is_found_by_mac_and_id(open: Open<'_>) {
    let store = one(open);
    assert_eq!(refused(&store, vec![Write::InsertApiKey(api_key("a", "a", 1))]).await, Conflict::Missing);
    let never = ApiKey { kind: ApiKeyKind::User, expires_at_ms: None, ..api_key("b", "a", 2) };
    put(
        &store,
        vec![
            Write::InsertUser(user("a")),
            Write::InsertApiKey(api_key("a", "a", 1)),
            Write::InsertApiKey(never.clone()),
        ],
    )
    .await;
    assert_eq!(store.api_key_by_mac([1; 32]).await.expect("a read"), Some(api_key("a", "a", 1)));
    assert_eq!(store.api_key_by_mac([2; 32]).await.expect("a read"), Some(never.clone()));
    let mut close = [1; 32];
    close[31] = 0;
    assert_eq!(store.api_key_by_mac(close).await.expect("a read"), None);
    assert_eq!(store.api_key(&"key_b".into()).await.expect("a read"), Some(never));
    assert_eq!(store.api_key(&"key_c".into()).await.expect("a read"), None);
    for (name, key) in [("same id", api_key("a", "a", 3)), ("same MAC", api_key("c", "a", 1))] {
        assert_eq!(refused(&store, vec![Write::InsertApiKey(key)]).await, Conflict::Exists, "{name}");
    }
}

/// The moment of the first revocation stays.
pub async fn an_api_key_is_revoked_once(open: Open<'_>) {
    let store = one(open);
    put(&store, vec![Write::InsertUser(user("a")), Write::InsertApiKey(api_key("a", "a", 1))]).await;
    let revoke = |id: &str, at_ms| Write::RevokeApiKey { id: id.into(), at_ms };
    put(&store, vec![revoke("key_a", NOW_MS + 1)]).await;
    assert_eq!(refused(&store, vec![revoke("key_a", NOW_MS + 2)]).await, Conflict::Missing);
    assert_eq!(refused(&store, vec![revoke("key_b", NOW_MS)]).await, Conflict::Missing);
    let key = store.api_key_by_mac([1; 32]).await.expect("a read").expect("a revoked key stays readable");
    assert_eq!(key.revoked_at_ms, Some(NOW_MS + 1));
}

/// Pages of one owner hold its keys alone; pages of all hold everybody's.
pub async fn api_keys_are_paged_by_owner(open: Open<'_>) {
    let store = one(open);
    let mut writes = vec![Write::InsertUser(user("a")), Write::InsertUser(user("b"))];
    for n in 0..6_u8 {
        writes.push(Write::InsertApiKey(api_key(&n.to_string(), if n % 2 == 0 { "a" } else { "b" }, n)));
    }
    put(&store, writes).await;
    for (name, owner, after, limit, expected) in [
        ("all", None, None, 10, vec!["key_0", "key_1", "key_2", "key_3", "key_4", "key_5"]),
        ("the middle of all", None, Some("key_1"), 2, vec!["key_2", "key_3"]),
        ("one owner's", Some("usr_a"), None, 10, vec!["key_0", "key_2", "key_4"]),
        ("the rest of one owner's", Some("usr_b"), Some("key_1"), 10, vec!["key_3", "key_5"]),
        ("nobody's", Some("usr_c"), None, 10, vec![]),
    ] {
        let owner = owner.map(Into::into);
        let keys = store.api_keys(owner.as_ref(), page(after, limit)).await.expect("a page");
        assert_eq!(keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), expected, "{name}");
    }
}
