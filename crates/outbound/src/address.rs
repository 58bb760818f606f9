//! Which addresses are out in the world.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is a public unicast one (IANA special-purpose registries, RFC 6890 and its updates). Anything else
/// is this machine, its network, its cloud's metadata, or nobody.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        // This network, private (RFC 1918), shared (RFC 6598), loopback.
        (0 | 10 | 127, _, _) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _)
        // Link-local, and with it the metadata services of clouds (RFC 3927).
        | (169, 254, _)
        // Protocol assignments, documentation, 6to4 relays, AS112, benchmarking.
        | (192, 0, 0 | 2) | (198, 51, 100) | (203, 0, 113) | (192, 88, 99) | (192, 31, 196) | (192, 52, 193)
        | (192, 175, 48) | (198, 18 | 19, _)
        // Multicast, reserved, broadcast.
        | (224..=255, _, _)
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let tail = || {
        let [a, b] = [segments[6], segments[7]].map(u16::to_be_bytes);
        Ipv4Addr::new(a[0], a[1], b[0], b[1])
    };
    match segments {
        // Mapped and NAT64 addresses are the IPv4 address they hold (RFC 4291 §2.5.5.2, RFC 6052).
        [0, 0, 0, 0, 0, 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => is_public_v4(tail()),
        // 6to4 holds the address of its relay (RFC 3056).
        [0x2002, high, low, ..] => {
            let [a, b] = [high, low].map(u16::to_be_bytes);
            is_public_v4(Ipv4Addr::new(a[0], a[1], b[0], b[1]))
        }
        // Protocol assignments with Teredo and ORCHID, documentation (RFC 3849, RFC 9637), segment routing.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] | [0x5f00, ..] => false,
        // Global unicast is 2000::/3; loopback, local, link-local, site-local and multicast are not in it.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_unicast_addresses_are_out_in_the_world() {
        let public =
            ["1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "169.253.1.1"];
        let public_v6 =
            ["2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"];
        for text in public.iter().chain(&public_v6) {
            assert!(is_public(text.parse().expect("an address")), "{text}");
        }
        let inside = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.169.254",
            "192.0.0.170",
            "192.0.2.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "192.88.99.1",
        ];
        let inside_v6 = [
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "5f00::1",
            "4000::1",
        ];
        for text in inside.iter().chain(&inside_v6) {
            assert!(!is_public(text.parse().expect("an address")), "{text}");
        }
    }
}
