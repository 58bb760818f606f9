"""Bodies, routes and answers of the AgentFlow wire format, as observed with release 0.6.1."""

import json
from dataclasses import dataclass

# Sent with every request body; the package refuses plain strings as content.
JSON = {"Content-Type": "application/json"}

# (method, path, body) of today's package, `{id}` a thread and `{message}` a message of it.
THREAD_ROUTES = [
    ("GET", "/v1/threads/{id}", None),
    ("GET", "/v1/threads/{id}/state", None),
    ("PUT", "/v1/threads/{id}/state", {"config": {}, "state": {"context_summary": "short"}}),
    ("GET", "/v1/threads/{id}/messages", None),
    ("GET", "/v1/threads/{id}/messages/{message}", None),
    ("POST", "/v1/graph/stop", {"thread_id": "{id}"}),
    ("POST", "/v1/graph/fix", {"thread_id": "{id}"}),
    ("DELETE", "/v1/threads/{id}/messages/{message}", {"config": {}}),
    ("DELETE", "/v1/threads/{id}/state", None),
    ("DELETE", "/v1/threads/{id}", {"config": {}}),
]

# Routes that name no thread and need a principal.
PLAIN_ROUTES = [
    ("GET", "/threads", None),
    ("GET", "/v1/threads", None),
    ("GET", "/v1/graph", None),
    ("GET", "/v1/graph/tools", None),
    ("GET", "/v1/graph:StateSchema", None),
    ("GET", "/v1/config/multimodal", None),
]

# The document's own routes.
DOCUMENT_ROUTES = [
    ("GET", "/threads/{id}", None),
    ("GET", "/threads/{id}/messages", None),
    ("POST", "/threads/{id}/messages", {"content": "Hello"}),
]


def text_message(text: str, **fields) -> dict:
    return {"role": "user", "content": [{"type": "text", "text": text}], **fields}


def run_body(text: str, thread_id=None, **fields) -> dict:
    """Body of invoke and stream; without `thread_id` the server chooses one."""
    body = {"messages": [text_message(text)], **fields}
    return body if thread_id is None else {**body, "config": {"thread_id": thread_id}}


def filled(template, **values):
    """A path or body with its `{id}` and `{message}` filled in."""
    if isinstance(template, dict):
        return {key: filled(part, **values) for key, part in template.items()}
    if not isinstance(template, str):
        return template
    for name, value in values.items():
        template = template.replace("{" + name + "}", value)
    return template


def send(client, route: tuple, **values):
    """Calls one row of the route tables."""
    method, path, body = route
    options = {} if body is None else {"json": filled(body, **values)}
    return client.request(method, filled(path, **values), **options)


def texts(messages: list[dict]) -> list[str]:
    """The text of each message, blocks joined."""
    return ["".join(block.get("text", "") for block in message["content"]) for message in messages]


@dataclass(frozen=True)
class Comparable:
    """An answer without what differs between any two requests, for "equal to unknown" tests."""

    status: int
    body: str
    headers: tuple

    @staticmethod
    def of(answer, *own_values: str) -> "Comparable":
        content = answer.json()
        if isinstance(content.get("metadata"), dict):
            content["metadata"] = {
                key: value
                for key, value in content["metadata"].items()
                if key not in ("request_id", "timestamp")
            }
        body = json.dumps(content, sort_keys=True)
        for value in own_values:
            body = body.replace(value, "VALUE")
        # Whether a connection stays open hangs on how much of a body had come, not on what was asked.
        names = sorted({name.lower() for name in answer.headers} - {"connection", "keep-alive"})
        return Comparable(answer.status_code, body, tuple(names))
