//! User code that has a say: who somebody is, what may be done, and how long either is believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use doorward_core::agents::feed::Told;
use doorward_core::agents::model::{MessageRole, RunStatus};
use doorward_core::agents::runs::InTurn;
use doorward_core::agents::threads::{NewMessage, NewThread};
use doorward_core::agents::turns::Turn;
use doorward_core::authn::methods::{Section, build};
use doorward_core::authn::{Answer, Chain, Headers, Offered, Outcome, Place, Presented};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{Action as _, run, store, thread};
use doorward_core::authz::custom::{Asked, Foreseen, Policy, Uncovered};
use doorward_core::error::Result;
use doorward_core::id::ThreadId;
use doorward_core::identity::sessions::Which;
use doorward_core::mount::Mount;
use doorward_core::operation::Call;
use doorward_core::ports::Handlers;
use doorward_core::ports::handlers::{Both, HandlerFault, Refused, Then};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::house::{House, code};

/// Handlers that say what they are told to.
struct Said {
    says: Mutex<Result<Value, HandlerFault>>,
    heard: Mutex<Value>,
    asked: AtomicUsize,
    by_authorization: bool,
    /// What was asked in one go with another question, and how that is answered.
    then: Mutex<Vec<Value>>,
    says_then: Mutex<Option<Result<Value, HandlerFault>>>,
}

impl Said {
    fn new(says: Value) -> Arc<Self> {
        Arc::new(Self {
            says: Mutex::new(Ok(says)),
            heard: Mutex::default(),
            asked: AtomicUsize::new(0),
            by_authorization: true,
            then: Mutex::default(),
            says_then: Mutex::default(),
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Handlers for Said {
    fn name(&self) -> &str {
        "said"
    }

    fn places(&self) -> usize {
        64
    }

    fn by_authorization(&self) -> Option<u64> {
        self.by_authorization.then_some(0)
    }

    fn call<'a>(&'a self, _: &'static str, with: Value) -> BoxFuture<'a, Result<Value, HandlerFault>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        *self.heard.lock() = with;
        let says = self.says.lock().clone();
        Box::pin(async { says })
    }

    fn call_then<'a>(&'a self, function: &'static str, with: Value, then: Then) -> BoxFuture<'a, Both> {
        Box::pin(async move {
            let said = self.call(function, with).await;
            let says = self.says_then.lock().clone().filter(|_| said.is_ok());
            if says.is_some() {
                self.then.lock().push(json!([then.function, then.with, then.take]));
            }
            (said, says)
        })
    }
}

/// The house's mount with a policy, and a person's call through it.
async fn called(house: &House, name: &str, handlers: &Arc<Said>, uncovered: Uncovered) -> Call {
    let person = house.person(name).await;
    let token = person.granted.access.token.expose().clone();
    let mount = Arc::new(Mount {
        policy: Some(Policy::new(Arc::clone(handlers) as Arc<dyn Handlers>, uncovered)),
        ..house.mount_like()
    });
    let presented =
        Presented { offered: Some(Offered { place: Place::Bearer, text: &token }), ..Presented::nothing() };
    house.engine.authenticate(&mount, house.origin(), &presented).await.expect("let in")
}

fn covered(filter: Value) -> Value {
    json!({"covered": true, "value": {}, "filter": filter})
}

fn named(metadata: Value) -> NewThread {
    NewThread { metadata: metadata.as_object().cloned().expect("an object"), ..NewThread::default() }
}

async fn made(house: &House, call: &Call, metadata: Value) -> ThreadId {
    let permit = call.permit_asking(Target::any(), Asked::default()).await.expect("may");
    house.engine.threads().create(permit, named(metadata)).await.expect("made").id
}

async fn reads(house: &House, call: &Call, id: &ThreadId) -> String {
    let permit = match call.permit_asking::<thread::Read>(Target::any(), Asked::default()).await {
        Ok(permit) => permit,
        Err(error) => return error.code().name.to_owned(),
    };
    code(house.engine.threads().get(permit, id).await).to_owned()
}

#[tokio::test]
async fn a_filter_takes_the_place_of_ones_own_and_is_compared_exactly() {
    let house = House::new().await;
    let handlers = Said::new(json!({"covered": true, "value": {}}));
    let ann = called(&house, "ann", &handlers, Uncovered::Own).await;
    let bob = called(&house, "bob", &handlers, Uncovered::Own).await;
    let id = made(&house, &ann, json!({"org": "x", "size": 5, "owner": "ann"})).await;
    for (says, expected) in [
        (covered(json!({"org": "x"})), "ok"),
        (covered(json!({"org": "y"})), "not_found"),
        (covered(json!({"size": 5})), "ok"),
        (covered(json!({"size": "5"})), "not_found"),
        (covered(json!({"owner": "ann"})), "ok"),
        (covered(json!({"owner": "bob"})), "not_found"),
        (covered(json!({"org": {"$gt": "a"}})), "handler_filter_invalid"),
        (json!({"covered": true, "value": {}}), "ok"),
        (json!({"covered": false}), "not_found"),
        (json!({"nonsense": 1}), "handler_failed"),
    ] {
        *handlers.says.lock() = Ok(says.clone());
        assert_eq!(reads(&house, &bob, &id).await, expected, "{says}");
    }
    *handlers.says.lock() = Ok(json!({"covered": false}));
    assert_eq!(reads(&house, &ann, &id).await, "ok", "one's own, where nothing covers it");
}

#[tokio::test]
async fn what_no_handler_covers_is_as_the_mount_says() {
    let house = House::new().await;
    for (uncovered, own, others) in [
        (Uncovered::Own, "ok", "not_found"),
        (Uncovered::Allow, "ok", "ok"),
        (Uncovered::Deny, "forbidden", "forbidden"),
    ] {
        let handlers = Said::new(json!({"covered": true, "value": {}}));
        let ann = called(&house, &format!("ann{own}{others}"), &handlers, uncovered).await;
        let bob = called(&house, &format!("bob{own}{others}"), &handlers, uncovered).await;
        let id = made(&house, &ann, json!({})).await;
        *handlers.says.lock() = Ok(json!({"covered": false}));
        assert_eq!(reads(&house, &ann, &id).await, own, "{uncovered:?}");
        assert_eq!(reads(&house, &bob, &id).await, others, "{uncovered:?}");
    }
}

#[tokio::test]
async fn refusals_are_the_handlers_own_and_no_answer_is_none() {
    let house = House::new().await;
    let handlers = Said::new(json!({"covered": true, "value": {}}));
    let ann = called(&house, "ann", &handlers, Uncovered::Allow).await;
    let refused = |status| Refused { status, detail: "no".into(), headers: Vec::new() };
    for (says, status) in [
        (HandlerFault::Refused(refused(403)), 403),
        (HandlerFault::Refused(refused(418)), 418),
        (HandlerFault::Raised("KeyError".to_owned()), 500),
        (HandlerFault::Invalid("a text".to_owned()), 401),
        (HandlerFault::Away("it crashed".to_owned()), 503),
    ] {
        *handlers.says.lock() = Err(says.clone());
        let refused = ann.permit_asking::<thread::Read>(Target::any(), Asked::default()).await.err();
        assert_eq!(refused.expect("no leave").status(), status, "{says:?}");
    }
}

#[tokio::test]
async fn nobody_gets_leave_without_asking_and_roles_stay_in_front() {
    let house = House::new().await;
    let handlers = Said::new(json!({"covered": true, "value": {}}));
    let ann = called(&house, "ann", &handlers, Uncovered::Allow).await;
    let error = ann.permit::<thread::Read>(Target::any()).err().expect("no leave");
    assert_eq!(error.code().name, "internal");
    let before = handlers.asked();
    let refused = ann.permit_for_asking(
        doorward_core::authz::catalogue::find("audit", "read").expect("there is one"),
        Target::any(),
        Asked::default(),
    );
    assert!(refused.await.is_err());
    assert_eq!(handlers.asked(), before, "what a role refuses no handler is asked about");
}

#[tokio::test]
async fn handlers_are_told_the_platforms_event_and_may_change_the_value() {
    let house = House::new().await;
    let handlers = Said::new(json!({"covered": true, "value": {"metadata": {"owner": "x"}}}));
    let ann = called(&house, "ann", &handlers, Uncovered::Own).await;
    let value = json!({"key": "k"}).as_object().cloned().expect("an object");
    let asked = Asked { value, uuids: &[] };
    let permit = ann.permit_asking::<store::Write>(Target::any(), asked).await.expect("may");
    assert_eq!(permit.amended()["metadata"], json!({"owner": "x"}));
    let heard = handlers.heard.lock().clone();
    assert_eq!((&heard["resource"], &heard["action"]), (&json!("store"), &json!("put")));
    assert_eq!(heard["user"]["identity"], json!(ann.auth.principal.subject.to_string()));
    let done: Result<()> = Ok(());
    permit.close(done).expect("closed");
}

struct OneHeader(String);

impl Headers for OneHeader {
    fn get(&self, name: &str) -> Option<&str> {
        (name == "authorization").then_some(&self.0)
    }

    fn each(&self, each: &mut dyn FnMut(&str, &str)) {
        each("authorization", &self.0);
    }
}

#[tokio::test]
async fn whom_a_handler_let_in_is_remembered_and_never_past_a_revocation() {
    let house = House::new().await;
    let person = house.person("ann").await;
    let token = person.granted.access.token.expose().clone();
    for (by_authorization, remember_ms, calls) in [(true, 0, 3), (false, 60_000, 3), (true, 60_000, 1)] {
        let handlers = Arc::new(Said {
            says: Mutex::new(Ok(json!({"user": {"identity": "ann"}, "permissions": []}))),
            heard: Mutex::default(),
            asked: AtomicUsize::new(0),
            by_authorization,
            then: Mutex::default(),
            says_then: Mutex::default(),
        });
        let options = json!({"authority": "langgraph", "platform": "langgraph", "remember_ms": remember_ms});
        let section = Section {
            options: options.as_object().cloned().expect("an object"),
            handlers: Some(Arc::clone(&handlers) as Arc<dyn Handlers>),
            ..Section::default()
        };
        let method = build("custom", section, &house.engine).expect("built");
        let header = OneHeader(format!("Bearer {token}"));
        let ask = async || {
            let presented = Presented {
                offered: Some(Offered { place: Place::Bearer, text: &token }),
                headers: &header,
                ..Presented::nothing()
            };
            let outcome = match method.authenticate(&presented) {
                Answer::Now(outcome) => outcome,
                Answer::Later(later) => later.await,
            };
            match outcome {
                Outcome::Accepted(auth) => auth.principal.subject.to_string(),
                Outcome::Rejected(error) => error.code().name.to_owned(),
                Outcome::NotPresent => "not present".to_owned(),
            }
        };
        for _ in 0..3 {
            assert_eq!(ask().await, "ann");
        }
        assert_eq!(handlers.asked(), calls, "{by_authorization} {remember_ms}");
        if calls == 1 {
            // The session that the token is of ends: what the handler said a moment ago is worth nothing any more.
            let ann = person.call(&house).await;
            let session = ann.auth.session.clone().expect("a session");
            let permit = ann.permit(Target::any()).expect("may");
            let ended = house.engine.sessions().end(permit, &person.user.id, Which::One(session)).await;
            assert_eq!(ended.expect("ended"), 1);
            assert_eq!(ask().await, "token_revoked");
            assert_eq!(handlers.asked(), 1);
        }
    }
}

fn said(text: &str) -> Vec<NewMessage> {
    vec![NewMessage { role: MessageRole::User, content: text.into(), metadata: Map::new() }]
}

fn in_turn(id: &str, text: &str, turn: Turn) -> InTurn {
    InTurn {
        id: id.into(),
        said: said(text),
        details: Map::new(),
        turn,
        after: std::time::Duration::ZERO,
        values: Map::new(),
        metadata: Map::new(),
        create: None,
        temporary: false,
    }
}

#[tokio::test]
async fn runs_of_a_thread_go_in_turn_and_everybody_hears_them() {
    let house = House::new().await;
    let ann = house.person("ann").await.call(&house).await;
    let new = NewThread::default();
    let id =
        house.engine.threads().create(ann.permit(Target::any()).expect("may"), new).await.expect("made").id;
    let mut followers = Vec::new();
    for (run, text) in [("r1", "one"), ("r2", "two"), ("r3", "three")] {
        let permit = ann.permit::<run::Create>(Target::any()).expect("may");
        let asked = in_turn(run, text, Turn::Queue);
        let (begun, follower) = house.engine.runs().start_in_turn(permit, &id, asked).await.expect("begins");
        assert_eq!(begun.status, RunStatus::Pending);
        followers.push(follower);
    }
    for (mut follower, expected) in followers.into_iter().zip([1, 3, 5]) {
        let mut seen = 0;
        let mut status = None;
        while let Some(told) = follower.next().await {
            match told {
                Told::Begun { messages, .. } => seen = messages.len(),
                Told::Text(_) => {}
                Told::Ended(run, _) => status = Some(run.status),
            }
        }
        assert_eq!((seen, status), (expected, Some(RunStatus::Success)));
    }
    let mut late = house.engine.agents().feeds.follow(&"r1".into()).expect("it ended a moment ago");
    assert!(late.so_far().len() >= 3, "what it said can be heard again");
}

#[tokio::test]
async fn a_thread_that_a_run_asks_for_is_made_for_its_caller_alone() {
    let house = House::new().await;
    let ann = house.person("ann").await.call(&house).await;
    let bob = house.person("bob").await.call(&house).await;
    let begin = async |call: &Call, run: &str, create: bool| {
        let permit = call.permit::<run::Create>(Target::any()).expect("may");
        let create = create.then(|| NewThread { id: Some("t1".into()), ..NewThread::default() });
        let asked = InTurn { create, ..in_turn(run, "hi", Turn::Queue) };
        let begun = house.engine.runs().start_in_turn(permit, &"t1".into(), asked).await;
        match begun {
            Ok((_, mut follower)) => {
                while follower.next().await.is_some() {}
                "ok".to_owned()
            }
            Err(error) => error.code().name.to_owned(),
        }
    };
    assert_eq!(begin(&ann, "r0", false).await, "not_found");
    assert_eq!(begin(&ann, "r1", true).await, "ok");
    assert_eq!(begin(&ann, "r2", true).await, "ok", "it is there now");
    assert_eq!(begin(&bob, "r3", true).await, "not_found", "and is not bob's");
    assert_eq!(begin(&bob, "r4", false).await, "not_found");
}

/// A mount whose handlers say who somebody is and what they may do.
fn both_of(house: &House, handlers: &Arc<Said>, remember_ms: i64) -> Arc<Mount> {
    let options = json!({"authority": "langgraph", "platform": "langgraph", "remember_ms": remember_ms});
    let section = Section {
        options: options.as_object().cloned().expect("an object"),
        handlers: Some(Arc::clone(handlers) as Arc<dyn Handlers>),
        ..Section::default()
    };
    let method = build("custom", section, &house.engine).expect("built");
    Arc::new(Mount {
        chain: Chain::new(vec![method]),
        policy: Some(Policy::new(Arc::clone(handlers) as Arc<dyn Handlers>, Uncovered::Own)),
        ..house.mount_like()
    })
}

#[tokio::test]
async fn what_was_asked_in_one_go_answers_that_question_once_and_no_other() {
    let house = House::new().await;
    let handlers = Said::new(json!({"user": {"identity": "ann"}, "permissions": []}));
    *handlers.says_then.lock() = Some(Ok(json!({"covered": true, "value": {"told": "together"}})));
    let mount = both_of(&house, &handlers, 0);
    let asked = |id: &str| Asked {
        value: json!({ "thread_id": id }).as_object().cloned().expect("an object"),
        uuids: &["thread_id"],
    };
    let header = OneHeader("Bearer x".to_owned());
    let foreseen = asked("t");
    let presented = Presented {
        offered: Some(Offered { place: Place::Bearer, text: "x" }),
        headers: &header,
        foreseen: Some(Foreseen { action: thread::Read::DEF, asked: &foreseen }),
        ..Presented::nothing()
    };
    let call = house.engine.authenticate(&mount, house.origin(), &presented).await.expect("let in");
    let question =
        json!({"resource": "threads", "action": "read", "value": {"thread_id": "t"}, "uuids": ["thread_id"]});
    assert_eq!(*handlers.then.lock(), [json!(["authorize", question, ["user", "permissions"]])]);
    assert_eq!(handlers.asked(), 1);

    *handlers.says.lock() = Ok(json!({"covered": true, "value": {"told": "alone"}}));
    let told = async |id: &str, update: bool| {
        let target = Target::named(id);
        let grant = match update {
            true => call.permit_for_asking(thread::Update::DEF, target, asked(id)).await,
            false => call.permit_for_asking(thread::Read::DEF, target, asked(id)).await,
        };
        let grant = grant.expect("leave");
        let told = grant.amended()["told"].as_str().map(str::to_owned);
        grant.close(Ok(told)).expect("closed").expect("told")
    };
    assert_eq!(told("other", false).await, "alone", "about another thing");
    assert_eq!(told("t", true).await, "alone", "for another act");
    assert_eq!(told("t", false).await, "together");
    assert_eq!(told("t", false).await, "alone", "the second time it is asked again");
    assert_eq!(handlers.asked(), 4);
}

#[tokio::test]
async fn who_is_refused_or_remembered_is_asked_about_alone() {
    let house = House::new().await;
    for (says, remember_ms, let_in) in [
        (Err(HandlerFault::Away("gone".to_owned())), 0, false),
        (Ok(json!({"user": {"identity": "ann"}, "permissions": []})), 60_000, true),
    ] {
        let handlers = Said::new(Value::Null);
        *handlers.says.lock() = says;
        *handlers.says_then.lock() = Some(Ok(json!({"covered": false})));
        let mount = both_of(&house, &handlers, remember_ms);
        let (header, foreseen) = (OneHeader("Bearer x".to_owned()), Asked::default());
        let presented = Presented {
            offered: Some(Offered { place: Place::Bearer, text: "x" }),
            headers: &header,
            foreseen: Some(Foreseen { action: thread::Read::DEF, asked: &foreseen }),
            ..Presented::nothing()
        };
        let call = house.engine.authenticate(&mount, house.origin(), &presented).await;
        assert_eq!(call.is_ok(), let_in);
        assert_eq!(*handlers.then.lock(), Vec::<Value>::new());
    }
}
