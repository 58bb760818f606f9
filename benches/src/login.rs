//! Log-ins keep the hashing pool busy and nothing else: against bare argon2id, with other requests meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use doorward_core::identity::password::{Hashing, HashingSettings};
use doorward_core::random::SeededRandom;

use crate::caller::{Caller, PASSWORD};
use crate::house::directory;
use crate::measure::{Report, Wanted, wall};
use crate::process::{Running, binary, start_with};

/// Clients that log in as fast as they are let.
const CLIENTS: usize = 8;
/// Rounds of ours and of bare hashing in turn: a shared machine is not as fast now as in ten seconds.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const NAMES: [&str; 3] =
    ["log-ins: × bare argon2id", "p99 of other requests meanwhile", "memory after log-ins"];

/// Hashes a second of so many workers, with nothing beside them.
fn bare(workers: usize) -> f64 {
    let settings = HashingSettings { workers, ..HashingSettings::default() };
    let hashing = Hashing::new(settings).expect("the defaults");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (begun, mut done) = (wall(), 0_u32);
    runtime.block_on(async {
        while wall() - begun < ROUND {
            let random = SeededRandom::new(1);
            let password = PASSWORD.into();
            let one = || hashing.hash(&random, &password, None);
            let hashes = futures_util::future::join_all((0..workers).map(|_| one())).await;
            done += u32::try_from(hashes.iter().filter(|hash| hash.is_ok()).count()).unwrap_or(0);
        }
    });
    f64::from(done) / (wall() - begun).as_secs_f64()
}

struct Measured {
    logins_per_s: f64,
    /// Against bare hashing in the round beside it.
    ratio: f64,
    p99_ms: f64,
    more_mb: f64,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn measure(running: &Running, address: &str, workers: usize) -> Result<Measured, String> {
    let mut ann = Caller::new(address)?;
    let body = serde_json::json!({"username": "ann", "password": PASSWORD}).to_string();
    let (status, answer) = ann.ask("POST", "/v1/users", "", &body)?;
    if status != 201 {
        return Err(format!("signing up was answered {status}: {answer}"));
    }
    let token = ann.log_in()?;
    let before_mb = running.resident_mb().ok_or("the system does not tell")?;
    let (mut rates, mut ratios, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let alone = bare(workers);
        let rate = round(&mut ann, address, &token, &mut others)?;
        rates.push(rate);
        ratios.push(rate / alone);
    }
    others.sort_by(f64::total_cmp);
    let p99_ms = others[others.len() * 99 / 100];
    // What was borrowed for hashing goes back to the system shortly after.
    std::thread::sleep(Duration::from_secs(2));
    ann.ask("GET", "/v1/me", &token, "")?;
    let after_mb = running.resident_mb().ok_or("the system does not tell")?;
    Ok(Measured { logins_per_s: median(rates), ratio: median(ratios), p99_ms, more_mb: after_mb - before_mb })
}

/// Log-ins a second while another asks for other things; how long those took is added to `others`.
fn round(ann: &mut Caller, address: &str, token: &str, others: &mut Vec<f64>) -> Result<f64, String> {
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let begun = wall();
    let (counted, failures) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut caller = Caller::new(address)?;
                    while !stop.load(Ordering::Relaxed) {
                        caller.log_in()?;
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok::<(), String>(())
                })
            })
            .collect();
        while wall() - begun < ROUND {
            let asked = wall();
            match ann.ask("GET", "/v1/me", token, "") {
                Ok((200, _)) => others.push((wall() - asked).as_secs_f64() * 1000.0),
                other => {
                    stop.store(true, Ordering::Relaxed);
                    return (Err(format!("another request failed: {other:?}")), Vec::new());
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let counted = (done.load(Ordering::Relaxed), wall() - begun);
        stop.store(true, Ordering::Relaxed);
        let failures: Vec<_> = clients.into_iter().filter_map(|client| client.join().ok()?.err()).collect();
        (Ok(counted), failures)
    });
    if let Some(why) = failures.into_iter().next() {
        return Err(why);
    }
    let (logins, took) = counted?;
    Ok(logins as f64 / took.as_secs_f64())
}

pub(crate) fn run(report: &mut Report) {
    let Some(binary) = binary() else {
        NAMES.iter().for_each(|name| report.absent(name, "build it: cargo build --release"));
        return;
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = (cores - 1).max(1);
    let directory = directory();
    let text = workers.to_string();
    let started = start_with(&binary, directory.path(), &[("DOORWARD__PASSWORDS__WORKERS", &text)]);
    match started.and_then(|(running, address, _)| measure(&running, &address, workers)) {
        Ok(found) => {
            report.figure("log-ins a second", found.logins_per_s, "/s", Wanted::Shown);
            report.figure(NAMES[0], found.ratio, "×", Wanted::AtLeast(0.95));
            report.figure(NAMES[1], found.p99_ms, "ms", Wanted::AtMost(20.0));
            // One log-in went before, so that what stays is not what the first one needs.
            report.figure(NAMES[2], found.more_mb, "MB more", Wanted::AtMost(16.0));
        }
        Err(why) => NAMES.iter().for_each(|name| report.absent(name, &why)),
    }
}
