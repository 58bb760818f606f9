//! The audit log, read.

use doorward_core::audit::{AuditRecord, Outcome};
use doorward_core::authz::Target;
use doorward_core::authz::catalogue::audit;
use doorward_core::error::{Error, Result, codes};
use doorward_core::ports::store::AuditQuery;
use schemars::JsonSchema;
use serde::Serialize;

use super::{listing, tags};
use crate::http::pairs::Pairs;
use crate::http::respond::Answer;
use crate::openapi::{Described, Nothing, Parameter, Values};
use crate::request::Request;

/// How an operation went.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Outcome")]
#[serde(rename_all = "lowercase")]
enum Went {
    /// It is about to be tried.
    Begun,
    /// It was done.
    Done,
    /// It was refused.
    Denied,
    /// It was tried and failed.
    Failed,
    /// It was noticed; the act it is about has a line of its own.
    Noted,
}

/// A line of the audit log.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditLine")]
struct Line {
    /// The node that wrote it.
    node: String,
    /// Its number on that node, from 1, without gaps.
    seq: i64,
    at_ms: i64,
    /// The request it belongs to.
    request: String,
    /// The mount it came through.
    mount: String,
    /// `resource:action`
    action: String,
    /// The resource's id, where there is one.
    resource: Option<String>,
    /// Who acted: authority and subject.
    principal: String,
    /// The authentication method.
    method: String,
    /// The credential's public handle.
    credential: Option<String>,
    outcome: Went,
    /// Why: an error code, or the rule that decided.
    reason: Option<String>,
    /// Network address of the client.
    address: Option<String>,
    /// How many equal events it stands for.
    count: i64,
    /// SHA-256 over the hash before it and this line, in hex.
    hash: String,
}

impl From<AuditRecord> for Line {
    fn from(AuditRecord { node, seq, entry, hash }: AuditRecord) -> Self {
        let outcome = match entry.outcome {
            Outcome::Begun => Went::Begun,
            Outcome::Done => Went::Done,
            Outcome::Denied => Went::Denied,
            Outcome::Failed => Went::Failed,
            Outcome::Noted => Went::Noted,
        };
        Self {
            node,
            seq,
            at_ms: entry.at_ms,
            request: entry.request.to_string(),
            mount: entry.mount,
            action: entry.action,
            resource: entry.resource,
            principal: entry.principal,
            method: entry.method,
            credential: entry.credential,
            outcome,
            reason: entry.reason,
            address: entry.address,
            count: entry.count,
            hash,
        }
    }
}

/// Lines of the audit log, newest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditLines")]
pub(super) struct Lines {
    entries: Vec<Line>,
}

pub(super) static LIST: Described<Nothing, Lines> =
    Described::new("readAuditLog", &tags::AUDIT, "The newest lines of the audit log that match")
        .parameters(&[
            Parameter::query("since_ms", Values::Whole(i64::MIN, i64::MAX), "Lines at or after this moment."),
            Parameter::query(
                "outcome",
                Values::OneOf(&["begun", "done", "denied", "failed", "noted"]),
                "Lines that went so.",
            ),
            Parameter::query("principal", Values::Text, "Lines of this principal."),
            Parameter::query("action", Values::Text, "Lines of this `resource:action`."),
            listing::LIMIT,
        ])
        .answers(200);

fn asked(query: &Pairs) -> Result<AuditQuery> {
    let bad = |what: &str| Error::new(codes::BAD_FIELD).message(format!("`{what}` cannot be understood."));
    let since_ms =
        query.text("since_ms").map(|text| text.parse().map_err(|_| bad("since_ms"))).transpose()?;
    let outcome =
        query.text("outcome").map(|text| Outcome::parse(text).ok_or_else(|| bad("outcome"))).transpose()?;
    Ok(AuditQuery {
        since_ms,
        outcome,
        principal: query.text("principal").map(str::to_owned),
        action: query.text("action").map(str::to_owned),
        limit: listing::page(query)?.limit,
    })
}

/// `GET /v1/audit`: the newest lines that match, newest first.
pub(super) async fn list(request: Request) -> Result<Answer> {
    let permit = request.permit::<audit::Read>(Target::any())?;
    let query = match request.query().and_then(|query| asked(&query)) {
        Ok(query) => query,
        Err(error) => return permit.close(Err(error)),
    };
    let entries = request.engine.audit().list(permit, query).await?;
    Ok(LIST.answer(&Lines { entries: entries.into_iter().map(Line::from).collect() }))
}
