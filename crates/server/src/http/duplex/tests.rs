use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

const MOST: usize = 1 << 20;

fn pair(buffer: usize) -> (DuplexStream, Duplex, BodyRoom) {
    let (client, server) = duplex(buffer);
    let room = BodyRoom::new();
    (client, Duplex::new(Box::new(server), BytesMut::new(), room.clone(), MOST), room)
}

/// A client's frame, with a mask of zeroes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut head = BytesMut::new();
    write_head(&mut head, Opcode::Binary, payload.len());
    head[0] = first;
    head[1] |= 0x80;
    [&head[..], &[0; 4], payload].concat()
}

async fn said(server: &mut Duplex) -> Result<(Message, Option<Room>), Ended> {
    poll_fn(|cx| server.poll_message(cx)).await
}

/// The next message that is one.
async fn next(server: &mut Duplex) -> Result<(Message, Option<Room>), Ended> {
    loop {
        match said(server).await? {
            (Message::Ping(_) | Message::Pong | Message::Part, _) => {}
            whole => return Ok(whole),
        }
    }
}

#[tokio::test]
async fn what_is_no_message_is_told_of_one_by_one_and_bounded_before_the_first() {
    let (mut client, mut server, _) = pair(MOST);
    let large = vec![1; 2 << 10];
    let all = [
        frame(0x8a, b""),
        frame(0x89, b"there?"),
        frame(0x02, b""),
        frame(0x00, b"a"),
        frame(0x00, &large),
        frame(0x80, b"b"),
    ];
    client.write_all(&all.concat()).await.expect("sent");
    let mut told = Vec::new();
    for _ in 0..5 {
        told.push(said(&mut server).await.expect("read").0);
    }
    let whole = [b"a", &large[..], b"b"].concat();
    let expected = [
        Message::Pong,
        Message::Ping("there?".into()),
        Message::Part,
        Message::Part,
        Message::Binary(whole.into()),
    ];
    assert_eq!(told, expected);
    let (mut client, mut server, _) = pair(MOST);
    client.write_all(&frame(0x8a, b"").repeat(MOST_BESIDE)).await.expect("sent");
    client.write_all(&frame(0x81, b"hello")).await.expect("sent");
    assert_eq!(server.message().await, Ok(Message::Text("hello".into())));
    client.write_all(&frame(0x00, b"").repeat(1)).await.expect("sent");
    assert_eq!(server.message().await, Err(Ended::NoFrame), "it goes on with nothing");
    let (mut client, mut server, _) = pair(MOST);
    client.write_all(&frame(0x8a, b"").repeat(MOST_BESIDE + 1)).await.expect("sent");
    assert_eq!(server.message().await, Err(Ended::NoFrame));
}

#[tokio::test]
async fn a_frame_that_is_announced_takes_no_memory_before_it_comes() {
    let (mut client, mut server, _) = pair(MOST);
    let announced = frame(0x82, &vec![0; MOST]);
    client.write_all(&announced[..20]).await.expect("sent");
    assert!(timeout(Duration::from_millis(20), next(&mut server)).await.is_err());
    let held = server.reader.held.capacity();
    assert!(held <= 2 * READ, "{held} bytes for twenty");
    client.write_all(&announced[20..]).await.expect("sent");
    let (message, _) = next(&mut server).await.expect("whole");
    assert!(matches!(message, Message::Binary(bytes) if bytes.len() == MOST));
}

#[tokio::test]
async fn what_is_not_whole_takes_room_until_it_was_sent_on_and_what_is_idle_holds_nothing() {
    let (mut client, mut server, room) = pair(MOST);
    let all = room.left();
    let large = frame(0x82, &vec![7; 10 * PIECE]);
    client.write_all(&large[..5 * PIECE]).await.expect("sent");
    assert!(timeout(Duration::from_millis(20), next(&mut server)).await.is_err(), "it is not whole");
    assert!(room.left() <= all - 4 && server.due().is_some());
    client.write_all(&large[5 * PIECE..]).await.expect("sent");
    let (message, taken) = next(&mut server).await.expect("whole");
    assert!(matches!(message, Message::Binary(bytes) if bytes.len() == 10 * PIECE));
    assert!(room.left() < all, "it takes its room while it is at hand");
    drop(taken);
    assert_eq!(room.left(), all);
    assert!(timeout(Duration::from_millis(20), next(&mut server)).await.is_err());
    assert_eq!((server.reader.held.capacity(), server.due()), (0, None));
}

#[tokio::test]
async fn a_server_that_holds_too_much_takes_no_more_of_a_message() {
    let (mut client, mut server, room) = pair(MOST);
    let others: Vec<_> = std::iter::from_fn(|| room.take().ok()).collect();
    client.write_all(&frame(0x82, &vec![0; 2 * PIECE])[..2 * PIECE]).await.expect("sent");
    assert_eq!(next(&mut server).await.map(|_| ()), Err(Ended::Gone));
    drop(others);
}

#[tokio::test]
async fn a_message_in_parts_gets_no_more_time_by_what_comes_between_them() {
    let (mut client, mut server, _) = pair(MOST);
    let wait = Duration::from_millis(20);
    client.write_all(&frame(0x02, b"begun")).await.expect("sent");
    assert!(timeout(wait, next(&mut server)).await.is_err());
    let due = server.due().expect("it has begun");
    client
        .write_all(&[frame(0x8a, b""), frame(0x89, b"there?"), frame(0x00, b", goes on")].concat())
        .await
        .expect("sent");
    assert!(timeout(wait, next(&mut server)).await.is_err());
    assert_eq!(server.due(), Some(due));
    assert!(server.is_pinged());
    poll_fn(|cx| server.poll_flush(cx)).await.expect("sent");
    let mut pong = [0; 8];
    client.read_exact(&mut pong).await.expect("answered");
    assert_eq!(&pong, b"\x8a\x06there?");
}

#[tokio::test]
async fn small_and_large_are_written_in_their_order_however_little_is_taken() {
    let (mut client, mut server, _) = pair(1000);
    let tail = Bytes::from(vec![9; 100_000]);
    for n in 0..100u8 {
        server.add(Opcode::Binary, &[n]);
    }
    server.add_large(Opcode::Binary, b"head", tail.clone());
    server.add(Opcode::Text, b"end");
    assert_eq!(server.waiting(), 100 * 3 + 10 + 4 + tail.len() + 5);
    let reading = tokio::spawn(async move {
        let mut all = vec![0; 100 * 3 + 10 + 4 + 100_000 + 5];
        client.read_exact(&mut all).await.map(|_| all)
    });
    poll_fn(|cx| server.poll_flush(cx)).await.expect("all is taken");
    let all = reading.await.expect("no panic").expect("all of it");
    assert_eq!(all[..6], [0x82, 1, 0, 0x82, 1, 1]);
    assert_eq!(all[300..314], *b"\x82\x7f\0\0\0\0\0\x01\x86\xa4head");
    assert!(all[314..100_314].iter().all(|byte| *byte == 9));
    assert_eq!(all[100_314..], *b"\x81\x03end");
}

#[tokio::test]
async fn a_close_says_why_within_its_bounds_and_waits_for_agreement() {
    let (mut client, server, _) = pair(MOST);
    let closing = tokio::spawn(server.close(1008, "\u{e9}".repeat(100).leak()));
    let mut close = [0; 126];
    client.read_exact(&mut close).await.expect("told");
    assert_eq!(close[..4], [0x88, 124, 3, 240]);
    client.write_all(&[frame(0x82, b"still talking"), frame(0x88, &[3, 240])].concat()).await.expect("sent");
    closing.await.expect("no panic");
}
