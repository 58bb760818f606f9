//! What the embedded agent server says about itself: one node, no tools, no media.

use doorward_core::authz::Target;
use doorward_core::authz::catalogue::{Action, graph, service};
use doorward_core::error::Result;
use serde_json::{Value, json};

use super::envelope::enveloped;
use crate::http::respond::Answer;
use crate::request::Request;

/// `GET /ping`
pub(super) async fn ping(request: Request) -> Result<Answer> {
    Ok(enveloped(&request, "pong"))
}

fn described<A: Action>(request: &Request, data: Value) -> Result<Answer> {
    let permit = request.permit::<A>(Target::any())?;
    permit.close(Ok(enveloped(request, data)))
}

/// `GET /v1/graph`
pub(super) async fn details(request: Request) -> Result<Answer> {
    let data = json!({
        "info": {
            "node_count": 3,
            "edge_count": 2,
            "is_realtime": false,
            "checkpointer": true,
            "checkpointer_type": "Doorward",
            "publisher": false,
            "store": false,
            "interrupt_before": [],
            "interrupt_after": [],
            "context_type": "NoneType",
            "id_generator": "Doorward",
            "id_type": "string",
            "state_type": "AgentState",
            "state_fields": [],
        },
        "nodes": [
            { "id": "start", "name": "__start__" },
            { "id": "end", "name": "__end__" },
            { "id": "agent", "name": "AGENT" },
        ],
        "edges": [
            { "id": "start-agent", "source": "__start__", "target": "AGENT" },
            { "id": "agent-end", "source": "AGENT", "target": "__end__" },
        ],
    });
    described::<graph::Read>(&request, data)
}

/// `GET /v1/graph/tools`
pub(super) async fn tools(request: Request) -> Result<Answer> {
    described::<graph::Read>(&request, json!({ "node_count": 0, "tool_count": 0, "nodes": [] }))
}

/// `GET /v1/graph:StateSchema`: the state is whatever a client put there.
pub(super) async fn state_schema(request: Request) -> Result<Answer> {
    let schema =
        json!({ "title": "AgentState", "type": "object", "properties": {}, "additionalProperties": true });
    described::<graph::Read>(&request, schema)
}

/// `GET /v1/config/multimodal`
pub(super) async fn multimodal(request: Request) -> Result<Answer> {
    let data = json!({ "media_storage_type": null, "media_max_size_mb": 0.0, "document_handling": "skip" });
    described::<service::Describe>(&request, data)
}
