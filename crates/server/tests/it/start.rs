//! What may stand beside what, and how a server stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use doorward_core::mount::Mount;
use doorward_server::{At, BindError, ClientScripts, Graphs, Listening, MountAt, ServerSettings, bind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::{House, agentflow_mount, engine, native_mount};
use crate::wire::{parse, raw, request};

fn at(mount: &Arc<Mount>, at: At) -> MountAt {
    MountAt {
        mount: Arc::clone(mount),
        at,
        upstream: None,
        assertions: None,
        rate_limit: None,
        cors_origins: Vec::new(),
        token_sources: Vec::new(),
        message_rate: doorward_server::MessageRate::default(),
        waiting_bytes: 64 << 20,
        docs: false,
        graphs: Graphs::default(),
        hooks: None,
        oauth_callback: None,
        client_scripts: ClientScripts::default(),
    }
}

fn any_port(mounts: Vec<MountAt>) -> Vec<Listening> {
    vec![Listening { address: SocketAddr::from(([127, 0, 0, 1], 0)), mounts }]
}

#[tokio::test]
async fn mounts_that_answer_the_same_requests_are_refused_by_name() {
    let engine = engine().await;
    let (native, agentflow) = (native_mount(&engine).await, agentflow_mount(&engine, false).await);
    let both = any_port(vec![at(&native, At::Root), at(&agentflow, At::Root)]);
    let error = bind(&engine, both, &ServerSettings::default()).await.err().expect("a clash").to_string();
    assert!(
        error.contains("native: GET /v1/threads") && error.contains("agentflow: GET /v1/threads"),
        "{error}"
    );
    let apart = any_port(vec![at(&native, At::Root), at(&agentflow, At::Prefix("/agentflow".into()))]);
    assert!(bind(&engine, apart, &ServerSettings::default()).await.is_ok());
}

#[tokio::test]
async fn impossible_mounts_are_refused() {
    let engine = engine().await;
    let native = native_mount(&engine).await;
    for prefix in ["", "/", "agentflow", "/a/", "/a//b", "/..", "/%61", "/a b", "/{id}"] {
        let mounts = any_port(vec![at(&native, At::Prefix(prefix.into()))]);
        let refused = bind(&engine, mounts, &ServerSettings::default()).await.err();
        assert!(matches!(refused, Some(BindError::BadPrefix { .. })), "{prefix:?}");
    }
    let upstream = Some("http://127.0.0.1:1".parse().expect("an address"));
    let mounts = any_port(vec![MountAt { upstream, ..at(&native, At::Root) }]);
    let refused = bind(&engine, mounts, &ServerSettings::default()).await.err();
    assert!(matches!(refused, Some(BindError::NoUpstream { .. })));
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let house = House::new().await;
    let engine = engine().await;
    let native = native_mount(&engine).await;
    let taken = vec![Listening { address: house.address, mounts: vec![at(&native, At::Root)] }];
    let error = bind(&engine, taken, &ServerSettings::default()).await.err().expect("taken").to_string();
    assert!(error.contains(&house.address.to_string()), "{error}");
}

#[tokio::test]
async fn stopping_answers_what_was_taken() {
    let mut house = House::new().await;
    let address = house.address;
    // The body is still missing when the server is told to stop: the request is taken, and may finish.
    let body = br#"{"username":"late","password":"correct horse battery"}"#;
    let whole = request("POST", "/v1/users", &[("Content-Type", "application/json")], body);
    let (first, rest) = whole.split_at(whole.len() - 10);
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(first).await.expect("sends");
    // An answer on another connection shows that the first one was seen before it.
    assert_eq!(raw(address, &request("GET", "/.well-known/jwks.json", &[], b"")).await.status, 200);
    house.tell_to_stop();
    let closed = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), closed).await.expect("nobody else is taken");
    stream.write_all(rest).await.expect("sends");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.expect("answers");
    assert_eq!(parse(&all).status, 201, "{}", String::from_utf8_lossy(&all));
    house.stop().await;
}
