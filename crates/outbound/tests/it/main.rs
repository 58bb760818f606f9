//! The policy and the client against servers that misbehave.

mod targets;

use doorward_core::ports::{Ask, Outbound, OutboundError};
use doorward_outbound::{Client, ModelServer, ModelUrl, Settings};

use targets::{Target, authority, hanging, plain, recording, tls};

fn client(allow: &[&Target]) -> Client {
    let allow = allow.iter().map(|target| target.origin.clone()).collect();
    Client::new(&Settings { allow, ca_file: None }).expect("a client")
}

async fn get(client: &Client, url: &str) -> Result<u16, OutboundError> {
    client.send(Ask::get(url)).await.map(|reply| reply.status)
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_refused_and_never_connected_to() {
    let (target, connections) = recording().await;
    let port = target.port;
    let url = format!("https://localhost:{port}/");
    {
        let refused = get(&client(&[]), &url).await.expect_err(&url);
        assert!(
            matches!(&refused, OutboundError::Refused(why) if why.contains("outbound.allow")),
            "{url}: {refused}"
        );
    }
    assert_eq!(connections.count(), 0, "nothing was sent to it");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (inside, connections) = recording().await;
    let redirecting =
        plain(format!("HTTP/1.1 302 Found\r\nlocation: {}/\r\ncontent-length: 0\r\n\r\n", inside.origin))
            .await;
    assert_eq!(get(&client(&[&redirecting, &inside]), &redirecting.url("/hook")).await, Ok(302));
    assert_eq!(connections.count(), 0);
}

#[tokio::test]
async fn a_target_that_hangs_is_let_go_after_five_seconds() {
    let before_head = hanging("").await;
    let within_body = hanging("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await;
    let client = client(&[&before_head, &within_body]);
    let (first, second) = (before_head.url("/"), within_body.url("/"));
    let (first, second) = tokio::join!(get(&client, &first), get(&client, &second));
    assert_eq!((first, second), (Err(OutboundError::TimedOut), Err(OutboundError::TimedOut)));
}

#[tokio::test]
async fn answers_that_are_too_large_compressed_or_no_http_are_unusable() {
    let large =
        plain(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", 2 << 20, "x".repeat(2 << 20))).await;
    let endless = plain(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(2 << 20))).await;
    let bomb =
        plain("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x1f".to_owned())
            .await;
    let noise = plain("SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned()).await;
    let heads = plain(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(64 << 10))).await;
    for (name, target) in
        [("large", large), ("endless", endless), ("bomb", bomb), ("noise", noise), ("heads", heads)]
    {
        let refused = get(&client(&[&target]), &target.url("/")).await;
        assert!(matches!(refused, Err(OutboundError::Unusable(_))), "{name}: {refused:?}");
    }
}

#[tokio::test]
async fn what_is_sent_is_what_was_asked_for() {
    let (target, connections) = recording().await;
    let client = client(&[&target]);
    let mut ask = Ask::post_json(target.url("/hook?x=1"), b"{}".to_vec());
    ask.headers.push(("webhook-id", "msg_1".to_owned()));
    let reply = client.send(ask).await.expect("an answer");
    assert!(reply.is_success());
    let head = connections.last().to_ascii_lowercase();
    assert!(head.starts_with("post /hook?x=1 http/1.1\r\n"), "{head}");
    for line in ["content-type: application/json", "content-length: 2", "webhook-id: msg_1"] {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert!(!head.contains("accept-encoding"), "{head}");
    let folded = Ask { headers: vec![("webhook-id", "a\r\nx: y".to_owned())], ..Ask::get(target.url("/")) };
    assert!(matches!(client.send(folded).await, Err(OutboundError::Refused(_))));
}

#[tokio::test]
async fn tls_believes_the_systems_authorities_and_the_operators_file_and_no_others() {
    let (authority, certificate) = authority();
    let target = tls(certificate, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let refused = get(&client(&[&target]), &target.url("/")).await;
    assert!(
        matches!(&refused, Err(OutboundError::Unreachable(why)) if why.contains("certificate")),
        "{refused:?}"
    );
    let ca_file = std::env::temp_dir().join(format!("doorward-ca-{}.pem", std::process::id()));
    std::fs::write(&ca_file, authority).expect("a file");
    let settings = Settings { allow: vec![target.origin.clone()], ca_file: Some(ca_file.clone()) };
    let believing = Client::new(&settings).expect("a client");
    assert_eq!(get(&believing, &target.url("/")).await, Ok(200));
    let elsewhere = Settings { allow: vec![target.origin.replace("localhost", "127.0.0.1")], ..settings };
    let by_address = Client::new(&elsewhere).expect("a client");
    let refused = get(&by_address, &target.url("/").replace("localhost", "127.0.0.1")).await;
    assert!(refused.is_err(), "the certificate is for another name: {refused:?}");
    std::fs::remove_file(ca_file).expect("it was there");
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let target = Target::nobody().await;
    assert!(matches!(get(&client(&[&target]), &target.url("/")).await, Err(OutboundError::Unreachable(_))));
}

#[tokio::test]
async fn a_model_server_is_believed_by_its_certificate_and_nowhere_else() {
    let (authority, certificate) = authority();
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nContent-Length: 3\r\n\r\nabc";
    let target = tls(certificate, head).await;
    let url = ModelUrl::parse(&target.url("/v1"), false).expect("an address");
    let stranger = ModelServer::new(url.clone(), None, None).expect("a client");
    let refused = stranger.ask(b"{}".to_vec()).await.map(|answer| answer.status);
    assert!(
        matches!(&refused, Err(OutboundError::Unreachable(why)) if why.contains("certificate")),
        "{refused:?}"
    );
    let ca_file = std::env::temp_dir().join(format!("doorward-model-ca-{}.pem", std::process::id()));
    std::fs::write(&ca_file, authority).expect("a file");
    let believing = ModelServer::new(url, None, Some(ca_file.clone())).expect("a client");
    let mut answer = believing.ask(b"{}".to_vec()).await.expect("an answer");
    assert_eq!((answer.status, answer.media_type.as_str()), (200, "text/event-stream"));
    assert_eq!(answer.next().await.expect("whole").as_deref(), Some(&b"abc"[..]));
    assert_eq!(answer.next().await.expect("whole"), None);
    std::fs::remove_file(ca_file).expect("it was there");
}
