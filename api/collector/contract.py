"""The dialects' routes in OpenAPI's words, from the event contract and the answer's own structs.

A dialect may describe itself: an attribute `openapi` beside its `routes`, path items by path. One
that does not is described by its routes alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from api.collector.answer import Answer
from core.event import Event

if TYPE_CHECKING:
    from api.collector.dialects.dialect import Dialect

Node = dict[str, Any]


def _components() -> dict[str, Node]:
    (_, _), definitions = msgspec.json.schema_components(
        [Event, Answer], ref_template="#/components/schemas/{name}"
    )
    return definitions


_BATCH: Final[Node] = {
    "type": "object",
    "required": ["events"],
    "properties": {
        "eventType": {"const": "batch"},
        "events": {
            "type": "array",
            "minItems": 1,
            "items": {"$ref": "#/components/schemas/Event"},
        },
    },
    "description": "What stands beside `events` holds for each event that does not say otherwise.",
}

INTAKE_SCHEMAS: Final[dict[str, Node]] = _components() | {"Batch": _BATCH}
"""What the descriptions refer to, for the document's `components.schemas`."""

_ANSWER: Final[Node] = {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}
_JSON_ANSWERS: Final[dict[str, Node]] = {
    code: {"description": meaning, "content": _ANSWER}
    for code, meaning in {
        "200": "At least one event is durable, or none is wanted (no consent, do not track); "
        "`errors` names each that was not accepted.",
        "400": "No event in the body could be accepted.",
        "401": "The write key is missing or not one of ours.",
        "403": "The site is refused, or new and in quarantine.",
        "413": "The body, the batch or its only event is too large.",
        "415": "A content type or encoding that is not read.",
        "4XX": "The request is not one that this stack accepts; `errors` says why.",
        "503": "Nothing was stored: send the same body again after `Retry-After`.",
    }.items()
}
_PREFLIGHT: Final[Node] = {
    "summary": "CORS preflight",
    "responses": {"204": {"description": "May be cached for a day."}},
}


def describe_json_post(summary: str, tag: str, *bodies: Node) -> Node:
    """The path item of a route that takes one event, an array, or `{"events": […]}`, as JSON.

    `bodies` are the schemas of one event; an array and a wrapper are added.
    """
    one: Node = {"anyOf": list(bodies)} if len(bodies) > 1 else bodies[0]
    many: Node = {"type": "array", "minItems": 1, "items": one}
    wrapped: Node = {"type": "object", "required": ["events"], "properties": {"events": many}}
    return _json_post(summary, tag, {"anyOf": [wrapped, many, one]})


def _json_post(summary: str, tag: str, body: Node) -> Node:
    return {
        "post": {
            "tags": [tag],
            "summary": summary,
            "description": "Answers when every accepted event is durable.",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": body}, "text/plain": {"schema": body}},
            },
            "responses": _JSON_ANSWERS,
        }
    }


NATIVE_OPENAPI: Final[Mapping[str, Node]] = {
    "/collect": _json_post(
        "Take in one event or a batch",
        "collect",
        {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("Event", "Batch")]},
    )
}


def describe_dialects(dialects: Iterable[Dialect]) -> dict[str, Node]:
    """The path items of every dialect's routes, each as its dialect describes it."""
    paths: dict[str, Node] = {}
    for dialect in dialects:
        described: Mapping[str, Node] = getattr(dialect, "openapi", {})
        for path, methods in dialect.routes.items():
            item = described.get(path) or _describe_by_routes(dialect.name, methods)
            tags = next(iter(item.values()))["tags"]
            paths[path] = item | {"options": _PREFLIGHT | {"tags": tags}}
    return paths


def _describe_by_routes(name: str, methods: frozenset[str]) -> Node:
    """What can be said of any route: bodies and answers are its protocol's own."""
    item: Node = {}
    for method in sorted(methods):
        operation: Node = {
            "tags": [name],
            "summary": f"Take in events of the {name} dialect",
            "description": f"See docs/dialects/{name}.md.",
            "responses": {"default": {"description": "In the protocol's own form."}},
        }
        if method == "POST":
            operation["requestBody"] = {"content": {"application/json": {"schema": {}}}}
        item[method.lower()] = operation
    return item
