//! Whether the servers behind mounts answer, and whether others reach them past us.

use super::{Check, Examined, Finding};
use crate::doctor::reach::{connects, host_and_port};

pub(super) static CHECK: Check =
    Check { name: "upstreams", needs_store: false, run: |examined| Box::pin(run(examined)) };

/// Where Linux lists sockets that listen.
const SOCKETS: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

async fn run(examined: &Examined) -> Vec<Finding> {
    let mut found = Vec::new();
    for mount in &examined.setup.config.mounts {
        let Some(url) = &mount.upstream else { continue };
        let Some((host, port)) = host_and_port(url) else { continue };
        if let Err(why) = connects(&host, port).await {
            let what = format!("the upstream of {} at {host}:{port} takes no connection: {why}", mount.name);
            found.push(CHECK.problem(what, "start it, or correct its address"));
            continue;
        }
        found.push(seen_from_elsewhere(&mount.name, &host, port));
    }
    found
}

fn seen_from_elsewhere(mount: &str, host: &str, port: u16) -> Finding {
    let here = matches!(host, "localhost" | "[::1]") || host.starts_with("127.");
    if !here {
        return CHECK.ok(format!(
            "the upstream of {mount} answers at {host}:{port}; only this server should be able to reach it"
        ));
    }
    let listings = SOCKETS.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    match listings
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .any(|line| is_open(&line, port))
    {
        true => CHECK.warning(
            format!("the upstream of {mount} listens on every address of this machine at port {port}"),
            "let it listen on 127.0.0.1: who reaches that port is asked by nobody who they are",
        ),
        false => CHECK.ok(format!("the upstream of {mount} answers at {host}:{port}, on this machine alone")),
    }
}

/// Whether a line of the listing is a socket that listens on this port of every address: its local address is all zeros, its state
/// 0A.
fn is_open(line: &str, port: u16) -> bool {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, state) = (words.next(), words.nth(1));
    let Some((address, at)) = local.and_then(|local| local.split_once(':')) else { return false };
    state == Some("0A") && u16::from_str_radix(at, 16) == Ok(port) && address.bytes().all(|b| b == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_on_every_address_is_told_from_one_on_this_machine() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue";
        let every = "   0: 00000000:1F40 00000000:0000 0A 00000000:00000000 00:00000000";
        let here = "   1: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000";
        let talking = "   2: 00000000:1F40 0200007F:1F41 01 00000000:00000000 00:00000000";
        let every_6 =
            "   3: 00000000000000000000000000000000:1F40 00000000000000000000000000000000:0000 0A 0";
        for (line, port, expected) in [
            (head, 8000, false),
            (every, 8000, true),
            (every, 8001, false),
            (here, 8000, false),
            (talking, 8000, false),
            (every_6, 8000, true),
        ] {
            assert_eq!(is_open(line, port), expected, "{line}");
        }
    }
}
