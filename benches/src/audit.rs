//! What the audit log and metrics cost, of a request that reads.

use std::time::Duration;

use doorward_core::authz::catalogue::{Action as _, user};
use doorward_core::authz::{Target, decide};
use doorward_core::id::RequestId;
use doorward_core::operation::Origin;
use doorward_protocols::jose::Algorithm;

use crate::caller::{Caller, PASSWORD};
use crate::house::{House, bearer, directory, runtime};
use crate::measure::{Report, Wanted, compare, wall};
use crate::process::{binary, start_with};

const NAME: &str = "audit and metrics of a read: share of the request's CPU";
const ROUND: Duration = Duration::from_secs(4);

/// Nanoseconds for a decision, and for the same with its audit line.
fn decision() -> [f64; 2] {
    let directory = directory();
    let runtime = runtime();
    let house = runtime.block_on(House::open(&directory.path().join("doorward.db"), Algorithm::ES256));
    let ann = runtime.block_on(house.user("ann"));
    let token = house.token(&ann);
    let origin = Origin {
        request: RequestId::new(house.engine.clock(), house.engine.random()),
        address: Some([127, 0, 0, 1].into()),
        user_agent: None,
    };
    let call = runtime
        .block_on(house.engine.authenticate(&house.mount, origin, &bearer(&token)))
        .unwrap_or_else(|error| unreachable!("the token is good: {error}"));
    let owner = call.auth.principal.owner_key();
    let target = || Target::owned(ann.id.as_str(), &owner);
    let mut decided = || {
        std::hint::black_box(decide(house.engine.roles(), &call.auth, user::Read::DEF, target()).is_ok());
    };
    let mut audited = || {
        let permit =
            call.permit::<user::Read>(target()).unwrap_or_else(|error| unreachable!("she may: {error}"));
        std::hint::black_box(permit.close(Ok(())).is_ok());
    };
    compare([&mut decided, &mut audited])
}

/// Nanoseconds for counting an answer.
fn counted() -> f64 {
    let directory = directory();
    let house = runtime().block_on(House::open(&directory.path().join("doorward.db"), Algorithm::ES256));
    let mount = doorward_server::Metrics::new(&house.engine, None, None).mount("native");
    let mut one = || mount.answered(http::StatusCode::OK, Duration::from_micros(80), None);
    let mut none = || {
        std::hint::black_box(Duration::from_micros(80));
    };
    let [counted, _] = compare([&mut one, &mut none]);
    counted
}

/// Nanoseconds of the server's CPU for a request that reads.
fn request(binary: &std::path::Path) -> Result<f64, String> {
    let directory = directory();
    let (running, address, _) = start_with(binary, directory.path(), &[])?;
    let mut ann = Caller::new(&address)?;
    let body = serde_json::json!({"username": "ann", "password": PASSWORD}).to_string();
    let (status, answer) = ann.ask("POST", "/v1/users", "", &body)?;
    if status != 201 {
        return Err(format!("signing up was answered {status}: {answer}"));
    }
    let token = ann.log_in()?;
    let before = running.cpu_s().ok_or("the system does not tell")?;
    let (begun, mut done) = (wall(), 0_u32);
    while wall() - begun < ROUND {
        if ann.ask("GET", "/v1/me", &token, "")?.0 != 200 {
            return Err("a read was refused".into());
        }
        done += 1;
    }
    let spent = running.cpu_s().ok_or("the system does not tell")? - before;
    Ok(spent * 1e9 / f64::from(done))
}

pub(crate) fn run(report: &mut Report) {
    let [decided, audited] = decision();
    report.figure("a decision", decided, "ns", Wanted::Shown);
    report.figure("a decision with its audit line", audited, "ns", Wanted::Shown);
    let counted = counted();
    report.figure("counting an answer", counted, "ns", Wanted::Shown);
    match binary().ok_or_else(|| "build it: cargo build --release".to_owned()).and_then(|path| request(&path))
    {
        Ok(ns) => report.figure(NAME, (audited - decided + counted) / ns, "", Wanted::AtMost(0.05)),
        Err(why) => report.absent(NAME, &why),
    }
}
