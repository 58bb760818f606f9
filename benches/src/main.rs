//! The figures of `docs/evidence.md`, each beside its peer in one run.
//!
//! ```text
//! a bench ─► Figure { name, value, wanted } ─► printed as it comes ─► exit code 1 if one was missed
//! ```
//! CPU time is compared, not wall time, wherever one thread does the work: the machines are shared. A pair is measured
//! in alternating rounds and the best round of each counts, because noise only ever adds.

#![allow(clippy::print_stdout, reason = "the terminal is what a bench speaks to")]

mod api_keys;
mod audit;
mod caller;
mod forward_auth;
mod gateway;
mod handlers;
mod house;
mod hypha;
mod keys;
mod langgraph;
mod library;
mod login;
mod measure;
mod postgres;
mod process;
mod processes;
mod python;
mod scale;
mod seen;
mod sign;
mod store;
mod threads;
mod verify;

use std::process::ExitCode;

use measure::Report;

/// The allocator of the binary, for us and for every peer in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A group of figures.
struct Bench {
    name: &'static str,
    about: &'static str,
    run: fn(&mut Report),
}

static BENCHES: &[Bench] = &[
    Bench {
        name: "verify",
        about: "tokens at first sight, against bare crypto and other libraries",
        run: verify::run,
    },
    Bench { name: "seen", about: "tokens seen before, and the moment they are revoked", run: seen::run },
    Bench { name: "sign", about: "signing with kept keys, against bare crypto", run: sign::run },
    Bench { name: "api_keys", about: "API keys, against a bare HMAC and look-up", run: api_keys::run },
    Bench { name: "store", about: "SQLite: point reads, and grouped commits", run: store::run },
    Bench {
        name: "postgres",
        about: "PostgreSQL: refreshes, against pgbench (needs Debian's postgresql)",
        run: postgres::run,
    },
    Bench {
        name: "scale",
        about: "verification and start with 10^5 users and 10^6 revocations",
        run: scale::run,
    },
    Bench {
        name: "threads",
        about: "finding one's own threads among 10^3 and among 10^6 (needs Debian's postgresql; some minutes to fill them)",
        run: threads::run,
    },
    Bench {
        name: "processes",
        about: "several processes on one store: from revocation to refusal (needs Debian's postgresql)",
        run: processes::run,
    },
    Bench {
        name: "login",
        about: "log-ins against bare argon2id, and other requests meanwhile (needs target/release/doorward)",
        run: login::run,
    },
    Bench {
        name: "gateway",
        about: "the gateway against nginx with auth_request (needs target/release/doorward and Debian's nginx-light)",
        run: gateway::run,
    },
    Bench {
        name: "forward_auth",
        about: "forward-auth against an empty axum route (needs target/release/doorward)",
        run: forward_auth::run,
    },
    Bench {
        name: "library",
        about: "an axum route under the library's layer, against the same one bare",
        run: library::run,
    },
    Bench {
        name: "handlers",
        about: "user code out of process, when it does nothing (needs python3)",
        run: handlers::run,
    },
    Bench {
        name: "langgraph",
        about: "LangGraph's handlers and agent server, against the real ones (needs target/release/doorward and cargo xtask setup)",
        run: langgraph::run,
    },
    Bench {
        name: "hypha",
        about: "Hypha's hub against the real server (needs target/release/doorward)",
        run: hypha::run,
    },
    Bench {
        name: "audit",
        about: "what the audit log costs a request that reads (needs target/release/doorward)",
        run: audit::run,
    },
    Bench {
        name: "process",
        about: "the binary: memory and start (needs target/release/doorward)",
        run: process::run,
    },
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let peer = match wanted.as_slice() {
        [name] if name == forward_auth::PEER => Some(forward_auth::empty_route()),
        [name] if name == library::PEER => Some(library::served()),
        _ => None,
    };
    if let Some(ended) = peer {
        return match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("{why}");
                ExitCode::FAILURE
            }
        };
    }
    if wanted.iter().any(|word| word == "--help" || word == "-h") {
        println!("Usage: cargo xtask bench [-- NAME...]\n\nWithout names, all of them:");
        for bench in BENCHES {
            println!("  {:<12} {}", bench.name, bench.about);
        }
        println!("\nExamples:\n  cargo xtask bench\n  cargo xtask bench -- verify sign");
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = wanted.iter().find(|name| BENCHES.iter().all(|bench| bench.name != **name)) {
        eprintln!("no bench {unknown:?}; see --help");
        return ExitCode::from(2);
    }
    let mut report = Report::default();
    for bench in
        BENCHES.iter().filter(|bench| wanted.is_empty() || wanted.iter().any(|name| name == bench.name))
    {
        println!("── {}", bench.about);
        (bench.run)(&mut report);
    }
    report.end()
}
