//! The embedded agent server: each caller's own threads and nobody else's.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::agents::model::{MessageRole, RunStatus};
use doorward_core::agents::ownership::Claim;
use doorward_core::agents::runner::{RunEvent, RunInput, Runner, text_of};
use doorward_core::agents::runs::{InTurn, Progress, Running};
use doorward_core::agents::threads::{NewMessage, NewThread};
use doorward_core::agents::turns::Turn;
use doorward_core::authz::catalogue;
use doorward_core::authz::filter::Filter;
use doorward_core::authz::{RoleDef, Target};
use doorward_core::id::ThreadId;
use doorward_core::operation::Call;
use doorward_core::ports::store::Page;
use doorward_core::principal::AuthContext;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde_json::{Map, json};
use tokio::sync::Semaphore;

use crate::house::{Around, House, code};

fn page() -> Page {
    Page { after: None, limit: 100 }
}

fn say(text: &str) -> NewMessage {
    NewMessage { role: MessageRole::User, content: json!(text), metadata: Map::new() }
}

async fn thread(house: &House, call: &Call) -> ThreadId {
    let new = NewThread {
        metadata: json!({"topic": "a"}).as_object().expect("object").clone(),
        ..NewThread::default()
    };
    house.engine.threads().create(call.permit(Target::any()).expect("may"), new).await.expect("made").id
}

#[tokio::test]
async fn somebody_elses_thread_is_not_found_by_any_route() {
    let house = House::new().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let (ann, bob) = (ann.call(&house).await, bob.call(&house).await);
    let id = thread(&house, &ann).await;
    let threads = house.engine.threads();
    let runs = house.engine.runs();
    macro_rules! bob {
        () => {
            bob.permit(Target::named(id.as_str())).expect("a user may ask")
        };
    }
    let said =
        threads.add_message(ann.permit(Target::any()).expect("may"), &id, say("hi")).await.expect("said");
    for (name, refusal) in [
        ("get", code(threads.get(bob!(), &id).await)),
        ("update", code(threads.update(bob!(), &id, Default::default()).await)),
        ("delete", code(threads.delete(bob!(), &id).await)),
        ("add message", code(threads.add_message(bob!(), &id, say("hi")).await)),
        ("messages", code(threads.messages(bob!(), &id, page()).await)),
        ("message", code(threads.message_of(bob!(), &id, &said.id).await)),
        ("delete message", code(threads.delete_message(bob!(), &id, &said.id).await)),
        ("run", code(runs.start(bob!(), &id, vec![say("hi")]).await)),
        ("runs", code(runs.list(bob!(), &id, page()).await)),
    ] {
        assert_eq!(refusal, "not_found", "{name}");
    }
    let listed = threads.list(bob.permit(Target::any()).expect("may"), Filter::Everything, page()).await;
    assert!(listed.expect("listed").is_empty());
    assert_eq!(code(threads.get(ann.permit(Target::any()).expect("may"), &id).await), "ok");
}

#[tokio::test]
async fn a_filter_narrows_a_list_and_never_widens_it() {
    let house = House::new().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let (ann, bob) = (ann.call(&house).await, bob.call(&house).await);
    thread(&house, &ann).await;
    thread(&house, &bob).await;
    let list = async |filter: serde_json::Value| {
        let permit = ann.permit(Target::any()).expect("may");
        let filter = Filter::parse(&filter).expect("a filter");
        house.engine.threads().list(permit, filter, page()).await.expect("listed").len()
    };
    assert_eq!(list(json!({})).await, 1);
    assert_eq!(list(json!({"topic": "a"})).await, 1);
    assert_eq!(list(json!({"topic": "b"})).await, 0);
    assert_eq!(list(json!({"owner": bob.auth.principal.owner_key()})).await, 0);
    assert_eq!(list(json!({"$or": [{"owner": bob.auth.principal.owner_key()}, {"topic": "a"}]})).await, 1);
}

#[tokio::test]
async fn a_run_streams_its_answer_and_leaves_it_in_the_thread() {
    let house = House::new().await;
    let ann = house.person("ann").await.call(&house).await;
    let id = thread(&house, &ann).await;
    let permit = ann.permit(Target::named(id.as_str())).expect("may");
    let mut running = house.engine.runs().start(permit, &id, vec![say("hello there")]).await.expect("starts");
    let (mut text, mut ended) = (String::new(), None);
    while let Some(progress) = running.progress.recv().await {
        match progress {
            Progress::Text(more) => text.push_str(&more),
            Progress::Ended(run, answer) => ended = Some((run, answer)),
        }
    }
    let (run, answer) = ended.expect("told how it ended");
    assert_eq!((text.as_str(), run.status), ("Echo: hello there", RunStatus::Success));
    let messages = house
        .engine
        .threads()
        .messages(ann.permit(Target::any()).expect("may"), &id, page())
        .await
        .expect("read");
    assert_eq!(messages.len(), 2);
    assert_eq!(Some(&messages[1]), answer.as_ref());
}

/// Answers with how much it is shown once it may look.
struct Weighing {
    go: Arc<Semaphore>,
}

impl Runner for Weighing {
    fn name(&self) -> &'static str {
        "weighing"
    }

    fn run(&self, input: RunInput) -> BoxStream<'static, RunEvent> {
        let go = Arc::clone(&self.go);
        let answer = async move {
            go.acquire().await.expect("open").forget();
            let messages = input.context.read().await.expect("the thread is there");
            let bytes: usize = messages.iter().map(|one| one.content.to_string().len()).sum();
            let last = messages.last().map(|one| text_of(&one.content)).unwrap_or_default();
            RunEvent::Text(format!("{} {bytes} {last}", messages.len()))
        };
        futures_util::stream::once(answer).boxed()
    }
}

async fn answer(running: &mut Running) -> String {
    let mut text = String::new();
    while let Some(progress) = running.progress.recv().await {
        if let Progress::Text(more) = progress {
            text.push_str(&more);
        }
    }
    text
}

#[tokio::test]
async fn a_runner_reads_the_thread_when_it_begins_up_to_what_it_is_to_answer_and_no_more_than_four_mib() {
    let go = Arc::new(Semaphore::new(0));
    let around = Around { runner: Some(Arc::new(Weighing { go: Arc::clone(&go) })), ..Around::default() };
    let house = House::with(around).await;
    let ann = house.person("ann").await.call(&house).await;
    let id = thread(&house, &ann).await;
    let add = async |text: &str| {
        let permit = ann.permit(Target::any()).expect("may");
        house.engine.threads().add_message(permit, &id, say(text)).await.expect("said");
    };
    let start = async |text: &str| {
        let permit = ann.permit(Target::named(id.as_str())).expect("may");
        house.engine.runs().start(permit, &id, vec![say(text)]).await.expect("starts")
    };
    let mut running = start("the question").await;
    add("said while it waits").await;
    go.add_permits(1);
    assert_eq!(answer(&mut running).await, "1 14 the question");
    let long = "x".repeat(250 << 10);
    for _ in 0..20 {
        add(&long).await;
    }
    go.add_permits(1);
    let told = answer(&mut start("another").await).await;
    let (count, rest) = told.split_once(' ').expect("a count");
    let (bytes, last) = rest.split_once(' ').expect("a size");
    assert_eq!((count, last), ("17", "another"));
    assert!(bytes.parse::<usize>().is_ok_and(|bytes| bytes <= 4 << 20), "{told}");
}

#[tokio::test]
async fn what_would_take_many_times_its_bytes_in_memory_is_not_said_and_does_not_wait_either() {
    let house = House::new().await;
    let ann = house.person("ann").await.call(&house).await;
    let id = thread(&house, &ann).await;
    for content in [json!(vec![1; 100_000]), json!(vec![json!({}); 80_000]), json!([{"a": vec![""; 5_000]}])]
    {
        let new = || NewMessage { content: content.clone(), ..say("") };
        let permit = ann.permit(Target::any()).expect("may");
        assert_eq!(code(house.engine.threads().add_message(permit, &id, new()).await), "bad_field");
        let permit = ann.permit(Target::named(id.as_str())).expect("may");
        assert_eq!(code(house.engine.runs().start(permit, &id, vec![new()]).await), "bad_field");
        let permit = ann.permit(Target::named(id.as_str())).expect("may");
        let asked = InTurn {
            id: "waits".into(),
            said: vec![new()],
            details: Map::new(),
            turn: Turn::Queue,
            after: Duration::from_secs(3600),
            values: Map::new(),
            metadata: Map::new(),
            create: None,
            temporary: false,
        };
        let refused = house.engine.runs().start_in_turn(permit, &id, asked).await.err().expect("refused");
        assert_eq!(refused.code().name, "bad_field");
    }
}

#[tokio::test]
async fn a_client_that_leaves_does_not_stop_the_run() {
    let house = House::new().await;
    let ann = house.person("ann").await.call(&house).await;
    let id = thread(&house, &ann).await;
    let long = "word ".repeat(1_000);
    let permit = ann.permit(Target::named(id.as_str())).expect("may");
    let running = house.engine.runs().start(permit, &id, vec![say(&long)]).await.expect("starts");
    drop(running.progress);
    house.engine.stop(std::time::Duration::from_secs(10)).await.expect("waits for the run");
    let permit = ann.permit(Target::any()).expect("may");
    let run = house.engine.runs().get(permit, &id, &running.run.id).await.expect("there");
    assert_eq!(run.status, RunStatus::Success);
}

#[tokio::test]
async fn the_first_claim_of_an_upstreams_thread_wins_and_is_given_back_when_asked() {
    let house = House::new().await;
    let (ann, bob) = (house.person("ann").await, house.person("bob").await);
    let (ann, bob) = (ann.call(&house).await, bob.call(&house).await);
    let grant = |call: &Call| {
        let action = doorward_core::authz::catalogue::find("thread", "update").expect("there");
        call.permit_for(action, Target::named("t1")).expect("may")
    };
    let ownership = house.engine.ownership();
    assert_eq!(code(ownership.check(&grant(&ann), "thread", "t1").await), "not_found", "nobody's yet");
    let (a, b) = (grant(&ann), grant(&bob));
    let both = tokio::join!(ownership.claim(&a, "thread", "t1"), ownership.claim(&b, "thread", "t1"));
    assert_eq!([&both.0, &both.1].iter().filter(|claim| claim.is_ok()).count(), 1, "one of two");
    let (winner, loser) = if both.0.is_ok() { (&ann, &bob) } else { (&bob, &ann) };
    assert_eq!(code(ownership.check(&grant(winner), "thread", "t1").await), "ok");
    assert_eq!(code(ownership.check(&grant(loser), "thread", "t1").await), "not_found");
    ownership.release(&grant(loser), "thread", "t1").await.expect("does nothing");
    assert_eq!(code(ownership.check(&grant(winner), "thread", "t1").await), "ok");
    ownership.release(&grant(winner), "thread", "t1").await.expect("given back");
    assert_eq!(code(ownership.claim(&grant(loser), "thread", "t1").await), "ok");
}

#[tokio::test]
async fn an_upstreams_thread_that_a_role_names_is_reached_and_neither_claimed_nor_dug_up() {
    let permissions = ["thread:read@native/t1", "thread:update@native/t1", "thread:list@native/t1"];
    let reader = RoleDef { permissions: permissions.map(str::to_owned).to_vec(), ..RoleDef::default() };
    let house =
        House::with(Around { roles: [("reader".to_owned(), reader)].into(), ..Around::default() }).await;
    let (ann, rob) = (house.person("ann").await, house.person("rob").await);
    let (ann, mut rob) = (ann.call(&house).await, rob.call(&house).await);
    rob.auth = std::sync::Arc::new(AuthContext { roles: vec!["reader".into()], ..(*rob.auth).clone() });
    let grant = |call: &Call, name: &str, id: &str| {
        let action = catalogue::find("thread", name).expect("there");
        call.permit_for(action, Target::named(id))
    };
    let may = |call: &Call, id: &str| grant(call, "update", id).expect("may");
    let ids = ["t1", "t2", "t3"].map(str::to_owned);
    let ownership = house.engine.ownership();

    assert_eq!(code(ownership.claim(&may(&rob, "t1"), "thread", "t1").await), "not_found", "nobody's yet");
    assert_eq!(code(ownership.check(&may(&rob, "t1"), "thread", "t1").await), "not_found");
    for id in ["t1", "t2"] {
        ownership.claim(&may(&ann, id), "thread", id).await.expect("ann's");
    }
    assert_eq!(code(ownership.check(&may(&rob, "t1"), "thread", "t1").await), "ok");
    assert_eq!(ownership.claim(&may(&rob, "t1"), "thread", "t1").await.expect("reached"), Claim::Held);
    assert_eq!(code(ownership.check(&may(&rob, "t2"), "thread", "t2").await), "not_found");
    assert_eq!(code(grant(&rob, "delete", "t1").map(drop)), "forbidden", "not in the role");
    let list = grant(&rob, "list", "t1").expect("may");
    let visible = ownership.visible(&list, "thread", &ids).await.expect("read").expect("not all");
    assert_eq!(visible.into_iter().collect::<Vec<_>>(), ["t1"]);
    assert!(ownership.mine(&list, "thread", 10).await.expect("read").is_empty());

    ownership.bury(&may(&ann, "t1"), "thread", "t1").await.expect("gone");
    assert_eq!(code(ownership.check(&may(&rob, "t1"), "thread", "t1").await), "not_found", "stays gone");
    assert_eq!(code(ownership.claim(&may(&rob, "t1"), "thread", "t1").await), "not_found");
    let visible = ownership.visible(&list, "thread", &ids).await.expect("read").expect("not all");
    assert!(visible.is_empty());
}
