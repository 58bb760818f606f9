//! PyJWT on the same token, by its own process's CPU time.

use std::path::Path;
use std::process::Command;

const PROGRAM: &str = r#"
import sys, time, jwt
token, secret = sys.argv[1], bytes.fromhex(sys.argv[2])
options = {"verify_exp": False, "verify_iat": False}
def once():
    jwt.decode(token, secret, algorithms=["HS256"], audience="doorward", issuer="doorward", options=options)
best = None
for _ in range(10):
    start = time.process_time_ns()
    for _ in range(2000):
        once()
    spent = (time.process_time_ns() - start) / 2000
    best = spent if best is None else min(best, spent)
print(best)
"#;

/// Nanoseconds per `jwt.decode`.
pub(crate) fn verify_ns(token: &str, secret: &[u8]) -> Result<f64, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the bench stands in the repository");
    let python = root.join(".venvs/client/bin/python");
    if !python.exists() {
        return Err("PyJWT is not installed; run `cargo xtask setup`".into());
    }
    let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let output = Command::new(python)
        .args(["-c", PROGRAM, token, &secret])
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .map_err(|_| String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("").to_owned())
}
