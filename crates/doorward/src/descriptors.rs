//! Room for connections: each takes a file descriptor, and most systems give a process 1,024 unless it asks.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What everything but clients needs: the store, its log, upstreams, the standard three.
const BESIDE: u64 = 512;

/// Asks the system for as many descriptors as `max_connections` may need; what is missing if it gives fewer.
pub(crate) fn make_room(max_connections: usize) -> Option<String> {
    // An upstream's connection may stand behind each of the clients'.
    let wanted = (max_connections as u64).saturating_mul(2).saturating_add(BESIDE);
    let limit = getrlimit(Resource::Nofile);
    let given = given(wanted, &limit);
    if setrlimit(Resource::Nofile, Rlimit { current: Some(given), maximum: limit.maximum }).is_err() {
        let current = limit.current.unwrap_or(u64::MAX);
        return (current < wanted).then(|| short(current, max_connections));
    }
    too_few(given, max_connections)
}

/// What would be missing, without asking for anything.
pub(crate) fn lacking(max_connections: usize) -> Option<String> {
    too_few(given(u64::MAX, &getrlimit(Resource::Nofile)), max_connections)
}

fn given(wanted: u64, limit: &Rlimit) -> u64 {
    wanted.min(limit.maximum.unwrap_or(u64::MAX)).max(limit.current.unwrap_or(u64::MAX))
}

fn too_few(given: u64, max_connections: usize) -> Option<String> {
    (given < (max_connections as u64).saturating_add(BESIDE)).then(|| short(given, max_connections))
}

fn short(given: u64, max_connections: usize) -> String {
    format!(
        "the system allows {given} open files, too few for server.max_connections = {max_connections}; \
         raise the limit (ulimit -Hn, LimitNOFILE= of systemd) or lower the setting"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_does_not_give_is_said_with_the_way_to_mend_it() {
        assert_eq!(make_room(16), None, "it has that already");
        let most = getrlimit(Resource::Nofile).maximum;
        if most.is_some_and(|most| most < 1 << 40) {
            let said = make_room(1 << 40).expect("nobody has that many");
            assert!(said.contains("LimitNOFILE"), "{said}");
        }
    }
}
