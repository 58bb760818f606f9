//! Frames of Hypha: what is sent on is a frame that says of its sender what the server says, and values come back as they went.

#![no_main]

use doorward_protocols::hypha::{Address, Head, Stamp, value};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let stamp = Stamp { from: "ws-a/x", to: "ws-b/y", workspace: "ws-a", user: &[0x80] };
    if let Ok(head) = Head::read(bytes) {
        let _ = Address::read(head.to, "ws-a").map(|to| to.to_string());
        let stamped = head.stamped(&stamp);
        let again = Head::read(&stamped).expect("what is sent on is a frame");
        assert_eq!((again.to, again.from), (stamp.to, Some(stamp.from)));
        assert_eq!((again.kind, again.method, again.session), (head.kind, head.method, head.session));
        assert_eq!(again.tail(), head.tail());
        // Whoever reads the whole of it finds each of the server's words once.
        if let Ok((map, tail)) = value::read_first(&stamped) {
            let said = |name: &str| map.as_map().map(|map| map.iter().filter(|(key, _)| key.as_str() == Some(name)).count());
            assert!(["from", "to", "ws", "user"].iter().all(|name| said(name) == Some(1)));
            assert!(["ctx", "context"].iter().all(|name| said(name) == Some(0)));
            assert_eq!(tail, head.tail());
        }
    }
    if let Ok(read) = value::read(bytes) {
        let written = value::write(&read);
        assert_eq!(value::write(&value::read(&written).expect("what was written is a value")), written);
        if let Ok(json) = value::to_json(&read) {
            assert!(value::to_json(&value::from_json(&json)).is_ok());
        }
    }
});
