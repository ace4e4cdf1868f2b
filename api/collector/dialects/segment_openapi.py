"""The Segment dialect's routes in OpenAPI's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from api.collector.answer import AnswerError
from core.event import MAX_NAME_CHARS

Node = dict[str, Any]


class SegmentAnswer(Struct, omit_defaults=True):
    """The body of every answer but a plain success; at most 100 errors are listed.

    `code` and `message` are there for the Python SDKs: RudderStack's takes a refusal without
    them for a broken connection, and sends the same body again ten times.
    """

    success: bool
    code: str | None = None
    message: str | None = None
    rejected: int = 0
    errors: list[AnswerError] = []


def _answer_schema() -> Node:
    (_,), definitions = msgspec.json.schema_components(
        [SegmentAnswer], ref_template="#/components/schemas/{name}"
    )
    found: Node = definitions["SegmentAnswer"]
    return found


_ID: Final[Node] = {"anyOf": [{"type": "string", "maxLength": MAX_NAME_CHARS}, {"type": "integer"}]}
_TIME: Final[Node] = {"type": "string", "format": "date-time"}
_OBJECT: Final[Node] = {"type": "object"}
_CALL: Final[Node] = {
    "messageId": _ID,
    "anonymousId": _ID,
    "userId": _ID,
    "timestamp": _TIME,
    "sentAt": _TIME,
    "context": _OBJECT,
    "integrations": _OBJECT,
}
_OWN: Final[Mapping[str, Node]] = {
    "track": {
        "event": {"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARS},
        "properties": _OBJECT,
    },
    "page": {"name": {"type": "string"}, "category": {"type": "string"}, "properties": _OBJECT},
    "screen": {"name": {"type": "string"}, "properties": _OBJECT},
    "identify": {"traits": _OBJECT},
    "group": {"groupId": _ID, "traits": _OBJECT},
    "alias": {"previousId": _ID},
}
_REQUIRED: Final = {"track": ["event"]}

_JSON: Final = "application/json"
_ANSWERS: Final[Node] = {
    code: {"description": meaning, "content": {_JSON: {"schema": _answer_schema()}}}
    for code, meaning in {
        "200": "Everything, or all but what `errors` names, is durable.",
        "4XX": "Nothing was stored; but for 429, the same body will be refused again.",
        "503": "Nothing was stored: send the same body again after `Retry-After`.",
    }.items()
}


def describe_call(kind: str) -> Node:
    """The path item of a route that takes one call of this kind."""
    return _post(f"Take in a {kind} call", _call_schema(kind))


def describe_batch() -> Node:
    """The path item of a route that takes many calls."""
    calls: list[Node] = []
    for kind in _OWN:
        call = _call_schema(kind)
        call["properties"] = {"type": {"const": kind}} | call["properties"]
        call["required"] = ["type", *call.get("required", [])]
        calls.append(call)
    batch: Node = {"type": "array", "minItems": 1, "items": {"anyOf": calls}}
    shared = {"context": _OBJECT, "integrations": _OBJECT, "sentAt": _TIME}
    body = {"type": "object", "required": ["batch"], "properties": {"batch": batch, **shared}}
    return _post("Take in a batch of calls", body)


def describe_metrics() -> Node:
    """The path item of the route whose bodies are dropped."""
    return _post("Thank analytics.js for its counts", {"type": "object"})


def describe_config() -> Node:
    """The path item of what RudderStack's browser SDK asks first."""
    config = {"description": "A source that is on.", "content": {_JSON: {"schema": _OBJECT}}}
    operation: Node = {
        "tags": ["segment"],
        "summary": "Tell RudderStack's SDK of its source",
        "responses": _ANSWERS | {"200": config},
    }
    return {"get": operation}


def _call_schema(kind: str) -> Node:
    schema: Node = {"type": "object", "properties": _CALL | _OWN[kind]}
    if required := _REQUIRED.get(kind):
        schema["required"] = required
    return schema


def _post(summary: str, body: Node) -> Node:
    content = {name: {"schema": body} for name in (_JSON, "text/plain")}
    operation: Node = {
        "tags": ["segment"],
        "summary": summary,
        "description": "See docs/dialects/segment.md. Answers when what is accepted is durable.",
        "requestBody": {"required": True, "content": content},
        "responses": _ANSWERS,
    }
    return {"post": operation}
