"""`/collect` in OpenAPI's words, from the event contract and the answer's own structs."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from api.collector.answer import Answer
from core.event import Event


def _inline_schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    (schema,), definitions = msgspec.json.schema_components(
        [struct], ref_template="#/paths/~1collect/x-schemas/{name}"
    )
    name = schema["$ref"].rpartition("/")[2]
    resolved: dict[str, Any] = _resolve(definitions[name], definitions)
    return resolved


def _resolve(node: Any, definitions: dict[str, Any]) -> Any:
    match node:
        case {"$ref": str(ref)}:
            return _resolve(definitions[ref.rpartition("/")[2]], definitions)
        case dict():
            return {k: _resolve(v, definitions) for k, v in node.items()}
        case list():
            return [_resolve(v, definitions) for v in node]
        case _:
            return node


EVENT_SCHEMA: Final = _inline_schema(Event)

_BATCH_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["events"],
    "properties": {
        "eventType": {"const": "batch"},
        "events": {"type": "array", "minItems": 1, "items": EVENT_SCHEMA},
    },
    "description": "What stands beside `events` holds for each event that does not say otherwise.",
}


def _answers(*statuses: tuple[int, str]) -> dict[str, Any]:
    content = {"application/json": {"schema": _inline_schema(Answer)}}
    return {str(code): {"description": meaning, "content": content} for code, meaning in statuses}


_BODY: Final = {"schema": {"anyOf": [EVENT_SCHEMA, _BATCH_SCHEMA]}}

COLLECT_OPENAPI: Final[dict[str, Any]] = {
    "post": {
        "tags": ["collect"],
        "summary": "Take in one event or a batch",
        "description": "Answers when every accepted event is durable.",
        "requestBody": {
            "required": True,
            "content": {"application/json": _BODY, "text/plain": _BODY},
        },
        "responses": _answers(
            (200, "At least one event is durable; `errors` names each that was not accepted."),
            (400, "No event in the body could be accepted."),
            (413, "The body, the batch or its only event is too large."),
            (415, "A content type or encoding that is not read."),
            (503, "Nothing was stored: send the same body again after `Retry-After`."),
        ),
    },
    "options": {
        "tags": ["collect"],
        "summary": "CORS preflight",
        "responses": {"204": {"description": "May be cached for a day."}},
    },
}
