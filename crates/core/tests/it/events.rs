//! What hooks and webhooks are told, and what happens to those that misbehave.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::authn::Place;
use doorward_core::authz::Target;
use doorward_core::events::webhooks::parse_secret;
use doorward_core::events::{Event, EventDef, Hook, Webhook, catalogue};
use doorward_core::identity::users::Administration;
use doorward_core::ports::store::DeliveryQueue as _;
use doorward_core::ports::{Ask, Outbound, OutboundError, Reply};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::house::{Around, House, PASSWORD};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PATIENCE: Duration = Duration::from_secs(20);

/// A hook that notes what it is told, and one that does not behave.
struct Noting {
    told: mpsc::UnboundedSender<Arc<Event>>,
    behave: fn(&Event) -> Result<(), String>,
}

impl Hook for Noting {
    fn name(&self) -> &str {
        "noting"
    }

    fn wants(&self, _: &'static EventDef) -> bool {
        true
    }

    fn handle(&self, event: Arc<Event>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let behaved = (self.behave)(&event);
            self.told.send(event).map_err(|_| "the test is over".to_owned())?;
            behaved
        })
    }
}

struct Told(mpsc::UnboundedReceiver<Arc<Event>>);

impl Told {
    /// The next event of this kind; what comes before is passed over.
    async fn next(&mut self, def: &'static EventDef) -> Arc<Event> {
        loop {
            let event =
                tokio::time::timeout(PATIENCE, self.0.recv()).await.expect(def.hook).expect("it goes on");
            if event.def == def {
                return event;
            }
        }
    }
}

fn noting(behave: fn(&Event) -> Result<(), String>) -> (Arc<dyn Hook>, Told) {
    let (told, events) = mpsc::unbounded_channel();
    (Arc::new(Noting { told, behave }), Told(events))
}

async fn listening() -> (House, Told) {
    let (hook, told) = noting(|_| Ok(()));
    let house = House::with(Around { hooks: vec![hook], ..Around::default() }).await;
    house.engine.start();
    (house, told)
}

#[tokio::test]
async fn a_log_in_tells_of_the_session_and_its_tokens_by_name() {
    let (house, mut told) = listening().await;
    let ann = house.person("ann").await;
    let created = told.next(catalogue::USER_CREATED).await;
    assert_eq!(created.line.resource.as_deref(), Some(ann.user.id.as_str()));
    told.next(catalogue::LOGIN).await;
    let session = told.next(catalogue::SESSION_CREATED).await;
    assert_eq!(session.detail("user_id"), Some(ann.user.id.as_str()));
    assert_eq!(session.detail("session_id"), Some(ann.granted.session.as_str()));
    assert_eq!(session.details["metadata"]["source"], "password");
    let access = told.next(catalogue::TOKEN_GENERATED).await;
    assert_eq!(
        (access.detail("token_type"), access.detail("user_id")),
        (Some("access"), Some(ann.user.id.as_str()))
    );
    assert_eq!(access.details["expires_in"], 3_600);
    assert_eq!(told.next(catalogue::TOKEN_GENERATED).await.detail("token_type"), Some("refresh"));
    for event in [&created, &session, &access] {
        let text = event.to_json().to_string();
        assert!(!text.contains(ann.token()) && !text.contains(PASSWORD), "{text}");
    }
}

#[tokio::test]
async fn tokens_let_in_and_refused_denials_roles_and_log_outs_are_told() {
    let (house, mut told) = listening().await;
    let ann = house.person("ann").await;
    let call = ann.call(&house).await;
    let validated = told.next(catalogue::TOKEN_VALIDATED).await;
    assert_eq!(validated.line.principal, format!("local|{}", ann.user.id));
    assert!(house.knows(ann.token()));
    let remembered = told.next(catalogue::TOKEN_VALIDATED).await;
    assert_eq!(
        (&remembered.line.principal, &remembered.line.address),
        (&validated.line.principal, &validated.line.address)
    );
    let _ = house.bearer("nonsense").await.map(|_| ()).expect_err("no token");
    assert_eq!(told.next(catalogue::TOKEN_INVALID).await.line.outcome.as_str(), "denied");
    let _ = house
        .login_as("ann@example.org", "a wrong password, surely", None)
        .await
        .map(|_| ())
        .expect_err("wrong");
    assert_eq!(told.next(catalogue::LOGIN_FAILED).await.line.reason.as_deref(), Some("bad_credentials"));
    let denied = call.permit::<doorward_core::authz::catalogue::user::List>(Target::any()).map(|_| ());
    assert!(denied.is_err());
    assert_eq!(told.next(catalogue::DENIED).await.line.action, "user:list");
    let permit = house.system().permit(Target::any()).expect("may");
    let changes = Administration { roles: Some(vec!["premium".into()]), ..Administration::default() };
    house.engine.users().administer(permit, &ann.user.id, changes).await.expect("done");
    let roles = told.next(catalogue::ROLES_CHANGED).await;
    assert!(roles.details["roles"].to_string().contains("premium"), "{:?}", roles.details);
    let permit = house.system().permit(Target::any()).expect("may");
    let changes = Administration { disabled: Some(true), ..Administration::default() };
    house.engine.users().administer(permit, &ann.user.id, changes).await.expect("done");
    told.next(catalogue::USER_DISABLED).await;
}

#[tokio::test]
async fn a_hook_that_fails_or_panics_or_hangs_is_told_the_next_event_and_disturbs_nobody() {
    let (failing, mut told) = noting(|event| match event.def.name {
        "user.created" => Err("on purpose".to_owned()),
        "login.succeeded" => std::panic::resume_unwind(Box::new("on purpose")),
        _ => Ok(()),
    });
    struct Hanging;
    impl Hook for Hanging {
        fn name(&self) -> &str {
            "hanging"
        }
        fn wants(&self, _: &'static EventDef) -> bool {
            true
        }
        fn handle(&self, _: Arc<Event>) -> BoxFuture<'_, Result<(), String>> {
            Box::pin(std::future::pending())
        }
    }
    let (quiet, mut also_told) = noting(|_| Ok(()));
    let hooks = vec![Arc::new(Hanging) as Arc<dyn Hook>, failing, quiet];
    let house = House::with(Around { hooks, ..Around::default() }).await;
    house.engine.start();
    house.person("ann").await;
    told.next(catalogue::TOKEN_GENERATED).await;
    also_told.next(catalogue::TOKEN_GENERATED).await;
}

#[tokio::test]
async fn an_act_that_does_not_happen_is_not_told() {
    let (house, mut told) = listening().await;
    house.sign_up("ann").await.expect("made");
    house.sign_up("ann").await.expect_err("taken");
    house.sign_up("bob").await.expect("made");
    told.next(catalogue::USER_CREATED).await;
    let second = told.next(catalogue::USER_CREATED).await;
    assert!(second.line.resource.is_some());
    house.sign_up("cora").await.expect("made");
    told.next(catalogue::USER_CREATED).await;
    assert!(told.0.try_recv().is_err(), "three accounts, three events");
}

/// A receiver that answers what it is told to, in turn, and 204 afterwards.
struct Receiver {
    answers: Mutex<VecDeque<Result<u16, OutboundError>>>,
    asks: mpsc::UnboundedSender<Ask>,
}

impl Outbound for Receiver {
    fn send(&self, ask: Ask) -> BoxFuture<'_, Result<Reply, OutboundError>> {
        let answer = self.answers.lock().pop_front().unwrap_or(Ok(204));
        let _ = self.asks.send(ask);
        let reply = |status| Reply { status, body: Vec::new(), max_age_s: None, retry_after_s: None };
        Box::pin(async move { answer.map(reply) })
    }

    fn check(&self, url: &str) -> Result<String, OutboundError> {
        Ok(url.to_owned())
    }
}

fn receiver(answers: &[Result<u16, OutboundError>]) -> (Arc<Receiver>, mpsc::UnboundedReceiver<Ask>) {
    let (asks, asked) = mpsc::unbounded_channel();
    (Arc::new(Receiver { answers: Mutex::new(answers.iter().cloned().collect()), asks }), asked)
}

fn webhook(events: &[&'static EventDef], give_up_ms: i64) -> Webhook {
    Webhook {
        name: "audit".to_owned(),
        url: "https://hooks.example/x".to_owned(),
        secrets: vec![parse_secret(SECRET).expect("a secret")],
        events: events.to_vec(),
        give_up_ms,
    }
}

fn header<'a>(ask: &'a Ask, name: &str) -> &'a str {
    ask.headers
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.as_str())
        .expect("it is there")
}

async fn next(asked: &mut mpsc::UnboundedReceiver<Ask>) -> Ask {
    tokio::time::timeout(PATIENCE, asked.recv()).await.expect("in time").expect("it goes on")
}

fn body(ask: &Ask) -> Value {
    serde_json::from_slice(&ask.body.as_ref().expect("a body").1).expect("JSON")
}

const LONG_MS: i64 = 86_400_000;

#[tokio::test]
async fn a_webhook_is_told_what_it_wants_signed_for_the_moment_and_once() {
    let (outbound, mut asked) = receiver(&[]);
    let webhooks = vec![webhook(&[catalogue::USER_CREATED], LONG_MS)];
    let house = House::with(Around { outbound, webhooks, ..Around::default() }).await;
    house.engine.start();
    let ann = house.person("ann").await;
    let ask = next(&mut asked).await;
    let told = body(&ask);
    assert_eq!(told["type"], "user.created");
    assert_eq!(told["data"]["resource"], ann.user.id.as_str());
    assert_eq!(ask.url, "https://hooks.example/x");
    let at_s = house.engine.now_ms() / 1000;
    assert_eq!(header(&ask, "webhook-timestamp"), at_s.to_string());
    let own = webhook(&[], 0);
    let bytes = &ask.body.as_ref().expect("a body").1;
    assert_eq!(header(&ask, "webhook-signature"), own.signature(header(&ask, "webhook-id"), at_s, bytes));
    house.sign_up("bob").await.expect("made");
    assert_ne!(
        header(&next(&mut asked).await, "webhook-id"),
        header(&ask, "webhook-id"),
        "the log-in was not told"
    );
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_later_with_the_same_id_and_a_new_signature() {
    let failures = [Ok(500), Err(OutboundError::TimedOut), Ok(302), Ok(410)];
    let (outbound, mut asked) = receiver(&failures);
    let webhooks = vec![webhook(&[catalogue::USER_CREATED], LONG_MS)];
    let house = House::with(Around { outbound, webhooks, ..Around::default() }).await;
    house.engine.start();
    house.sign_up("ann").await.expect("made");
    let first = next(&mut asked).await;
    for attempt in 1..=failures.len() {
        assert!(asked.try_recv().is_err(), "attempt {attempt} comes only after its pause");
        wait_for_attempts(&house, i64::try_from(attempt).expect("small")).await;
        house.clock.advance_ms(2_000 << (attempt - 1));
        let again = next(&mut asked).await;
        assert_eq!(header(&again, "webhook-id"), header(&first, "webhook-id"));
        assert_eq!(body(&again), body(&first));
        assert_ne!(header(&again, "webhook-signature"), header(&first, "webhook-signature"));
    }
    wait_until_empty(&house).await;
}

async fn wait_for_attempts(house: &House, attempts: i64) {
    let seen = async {
        loop {
            let waiting = house.store.waiting_deliveries().await.expect("the store answers");
            if waiting.iter().any(|row| row.attempts == attempts) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("the attempt is noted");
}

async fn wait_until_empty(house: &House) {
    let empty = async {
        while !house.store.waiting_deliveries().await.expect("the store answers").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, empty).await.expect("nothing waits");
}

#[tokio::test]
async fn what_was_never_taken_is_given_up_after_its_time() {
    let (outbound, mut asked) = receiver(&[Ok(500), Ok(500), Ok(500)]);
    let webhooks = vec![webhook(&[catalogue::USER_CREATED], 60_000)];
    let house = House::with(Around { outbound, webhooks, ..Around::default() }).await;
    house.engine.start();
    house.sign_up("ann").await.expect("made");
    next(&mut asked).await;
    wait_for_attempts(&house, 1).await;
    house.clock.advance_ms(60_000);
    next(&mut asked).await;
    wait_until_empty(&house).await;
    assert!(asked.try_recv().is_err());
}

#[tokio::test]
async fn what_a_process_leaves_behind_another_delivers() {
    // The first process queues and never delivers: it was not started.
    let (outbound, _asked) = receiver(&[]);
    let around =
        || Around { webhooks: vec![webhook(&[catalogue::USER_CREATED], LONG_MS)], ..Around::default() };
    let house = House::with(Around { outbound, ..around() }).await;
    house.sign_up("ann").await.expect("made");
    assert_eq!(house.store.waiting_deliveries().await.expect("the store answers")[0].waiting, 1);
    let (outbound, mut asked) = receiver(&[]);
    let other = house.neighbour_with(Around { outbound, ..around() }).await;
    other.engine.start();
    assert_eq!(body(&next(&mut asked).await)["type"], "user.created");
    wait_until_empty(&house).await;
}

#[tokio::test]
async fn two_processes_send_each_event_once() {
    let around = |outbound| Around {
        outbound,
        webhooks: vec![webhook(&[catalogue::USER_CREATED], LONG_MS)],
        ..Around::default()
    };
    let (first_way, mut first) = receiver(&[]);
    let (second_way, mut second) = receiver(&[]);
    let house = House::with(around(first_way)).await;
    let other = house.neighbour_with(around(second_way)).await;
    house.engine.start();
    other.engine.start();
    for n in 0..40 {
        house.sign_up(&format!("p{n}")).await.expect("made");
    }
    wait_until_empty(&house).await;
    let mut ids = Vec::new();
    while let Ok(ask) = first.try_recv() {
        ids.push(header(&ask, "webhook-id").to_owned());
    }
    while let Ok(ask) = second.try_recv() {
        ids.push(header(&ask, "webhook-id").to_owned());
    }
    let sent = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((sent, ids.len()), (40, 40));
}

#[tokio::test]
async fn a_refusal_whose_writing_was_done_without_an_answer_keeps_its_id() {
    let (outbound, mut asked) = receiver(&[]);
    let around = Around {
        outbound,
        webhooks: vec![webhook(&[catalogue::TOKEN_INVALID], LONG_MS)],
        ..Around::default()
    };
    let house = House::with(around).await;
    let refuse = async || {
        let origin = doorward_core::operation::Origin { request: "req_1".into(), ..house.origin() };
        let offered = Some(doorward_core::authn::Offered { place: Place::Bearer, text: "nonsense" });
        let presented =
            doorward_core::authn::Presented { offered, ..doorward_core::authn::Presented::nothing() };
        house.engine.authenticate(&house.mount, origin, &presented).await.map(|_| ()).expect_err("no token");
        house.engine.flush(true).await.expect("written");
    };
    refuse().await;
    refuse().await;
    house.engine.start();
    next(&mut asked).await;
    wait_until_empty(&house).await;
    assert!(asked.try_recv().is_err(), "the same line twice is one event");
}

#[tokio::test]
async fn a_flood_of_refusals_is_told_as_the_audit_log_has_it() {
    let (outbound, mut asked) = receiver(&[]);
    let webhooks = vec![webhook(&[catalogue::TOKEN_INVALID], LONG_MS)];
    let house = House::with(Around { outbound, webhooks, ..Around::default() }).await;
    house.engine.start();
    for _ in 0..50 {
        let _ = house.present_at("192.0.2.77", Place::Bearer, "nonsense").await.map(|_| ());
    }
    let mut total = 0;
    while total < 50 {
        house.engine.flush(true).await.expect("written");
        let told = body(&next(&mut asked).await);
        assert_eq!(
            (&told["type"], &told["data"]["address"]),
            (&"token.invalid".into(), &"192.0.2.77".into())
        );
        total += told["data"]["count"].as_i64().expect("a count");
    }
    assert_eq!(total, 50);
}
