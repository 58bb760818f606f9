//! What threads keep for themselves of a credential that they are shown all the time ends as everything does.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use doorward_core::authz::Target;
use doorward_core::id::ApiKeyId;
use doorward_core::identity::api_keys::{Expiry, NewApiKey};
use doorward_core::identity::users::Administration;
use doorward_core::principal::Principal;
use doorward_core::tokens::model::Revoked;

use crate::house::{House, Person, code};

/// How often it is shown: more often than it takes until a thread keeps it.
const TIMES: usize = 4;

/// Another thread, that goes on and has a front of its own.
struct Elsewhere {
    ask: Sender<String>,
    said: Receiver<bool>,
}

impl Elsewhere {
    fn new(house: &Arc<House>) -> Self {
        let ((ask, asked), (say, said), house) = (channel::<String>(), channel(), Arc::clone(house));
        std::thread::spawn(move || {
            while let Ok(text) = asked.recv() {
                let _ = say.send(house.knows(&text));
            }
        });
        Self { ask, said }
    }

    fn knows(&self, text: &str) -> bool {
        self.ask.send(text.to_owned()).expect("it is there");
        self.said.recv().expect("it is there")
    }
}

async fn key(house: &House, ann: &Person) -> (String, ApiKeyId) {
    let permit = ann.call(house).await.permit(Target::any()).expect("may");
    let new = NewApiKey { name: "robot".into(), scopes: vec!["*".into()], expiry: Expiry::Never };
    let made = house.engine.api_keys().create(permit, new).await.expect("made");
    (made.secret.expose().clone(), made.key.id)
}

#[tokio::test]
async fn whatever_ends_a_credential_ends_it_for_every_thread() {
    for end in ["itself", "its owner's", "all", "the owner is disabled", "it is late"] {
        let house = Arc::new(House::new().await);
        let elsewhere = Elsewhere::new(&house);
        let ann = house.person("ann").await;
        let (key, id) = key(&house, &ann).await;
        let token = ann.token();
        let known = |text| [house.knows(text), elsewhere.knows(text)];
        for text in [token, &key] {
            assert_eq!(code(house.bearer(text).await), "ok");
            for _ in 0..TIMES {
                assert_eq!(known(text), [true, true], "{end}");
            }
        }
        let system = house.system();
        let revoke = async |revoked| {
            let permit = system.permit(Target::any()).expect("the system may");
            house.engine.tokens().revoke_any(permit, revoked).await.expect("revoked");
        };
        let mut ended = vec![token, &key];
        match end {
            "itself" => {
                let call = ann.call(&house).await;
                revoke(Revoked::Token(call.auth.credential.clone().expect("has one").to_string())).await;
                let permit = system.permit(Target::any()).expect("the system may");
                house.engine.api_keys().revoke(permit, &id).await.expect("revoked");
            }
            "its owner's" => revoke(Revoked::Principal(Principal::local(&ann.user.id).owner_key())).await,
            "all" => revoke(Revoked::All).await,
            "the owner is disabled" => {
                let changes = Administration { disabled: Some(true), ..Administration::default() };
                let permit = system.permit(Target::any()).expect("the system may");
                house.engine.users().administer(permit, &ann.user.id, changes).await.expect("disabled");
            }
            _ => {
                house.clock.advance_s(100_000);
                // A key is without end.
                ended.pop();
            }
        }
        for text in ended {
            assert_eq!(known(text), [false, false], "{end}: {text}");
            assert_ne!(code(house.bearer(text).await), "ok", "{end}");
            assert_eq!(known(text), [false, false], "{end}: {text}");
        }
    }
}

#[tokio::test]
async fn a_key_says_what_its_owner_may_at_this_moment() {
    let house = House::new().await;
    let ann = house.person("ann").await;
    let (key, _) = key(&house, &ann).await;
    let roles = async || {
        let mut all = Vec::new();
        for _ in 0..TIMES {
            all.push(house.bearer(&key).await.expect("let in").auth.roles.clone());
        }
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:?}");
        all.swap_remove(0)
    };
    assert_eq!(roles().await, [Arc::from("user")]);
    let changes = Administration { roles: Some(vec!["premium".into()]), ..Administration::default() };
    let permit = house.system().permit(Target::any()).expect("the system may");
    house.engine.users().administer(permit, &ann.user.id, changes).await.expect("changed");
    assert_eq!(roles().await, [Arc::from("premium")], "found anew");
}
