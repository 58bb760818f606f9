//! Pure codecs of hostile bytes: everything here turns what a stranger sent into typed values, or says no.
//!
//! Nothing in this crate does I/O, reads a clock or keeps global state: time is an argument, keys are
//! arguments, and every function can be driven by a fuzzer. One crypto provider (aws-lc-rs) does all the
//! mathematics; this crate does the parsing, the refusing and the order of checks.
//!
//! ```text
//!  Authorization bytes ─ http_auth ─► scheme + credential
//!  credential ─ jose::verify ───────► algorithm → signature → exp → nbf → iat → iss → aud ─► Claims
//!  body ─ json ─────────────────────► bounded, duplicate-free value
//!  bytes of a stream ─ event_stream ► server-sent events of bounded length
//!  Hypha frame ─ hypha::Head ───────► where to, and the rest as it came
//!  request path ─ path ─────────────► one canonical spelling, or a refusal
//! ```
mod ascii;
pub mod encoding;
pub mod event_stream;
pub mod html;
pub mod http_auth;
pub mod hypha;
pub mod hypha_scope;
pub mod jose;
pub mod json;
pub mod path;
