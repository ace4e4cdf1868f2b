"""The routes of other people's trackers in OpenAPI's words: bodies and answers of their own."""

from __future__ import annotations

from typing import Any, Final

from api.collector.dialects.snowplow_columns import COLUMNS, EVENT_TYPES, FIELDS, SIZE_FIELDS

Node = dict[str, Any]

_AGAIN: Final = "Nothing was stored: send the same body again."
_REFUSED: Final = "Nothing was stored, and the same body will be refused again."


def _json(schema: Node) -> Node:
    return {"application/json": {"schema": schema}}


def _post(tag: str, summary: str, body: Node, done: Node, refused: Node) -> Node:
    content = {"schema": body}
    return {
        "post": {
            "tags": [tag],
            "summary": summary,
            "requestBody": {
                "required": True,
                "content": {"application/json": content, "text/plain": content},
            },
            "responses": done
            | {
                "4XX": {"description": _REFUSED, "content": _json(refused)},
                "503": {"description": _AGAIN, "content": _json(refused)},
            },
        }
    }


# --- Snowplow -----------------------------------------------------------------------------------

_ANSWER: Final[Node] = {"$ref": "#/components/schemas/Answer"}
_E: Final[Node] = {"enum": [*EVENT_TYPES, "ue"]}
_TEXTS: Final = (
    *FIELDS, *SIZE_FIELDS, *COLUMNS, "duid", "vid", "dtm", "stm", "ttm", "ue_px", "ue_pr", "cx",
    "co", "ds", "ip",
)  # fmt: skip
_PAYLOAD_DATA: Final[Node] = {
    "type": "object",
    "required": ["schema", "data"],
    "properties": {
        "schema": {"const": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"},
        "data": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["e"],
                "properties": {"e": _E} | {name: {"type": "string"} for name in _TEXTS},
            },
        },
    },
}
_BY_QUERY: Final[Node] = {
    "get": {
        "tags": ["snowplow"],
        "summary": "Take in one event from a query string",
        "parameters": [
            {"name": "e", "in": "query", "required": True, "schema": _E},
            *({"name": name, "in": "query", "schema": {"type": "string"}} for name in _TEXTS),
        ],
        "responses": {
            "200": {"description": "A picture, 1×1.", "content": {"image/gif": {}}},
            "4XX": {"description": _REFUSED, "content": _json(_ANSWER)},
            "503": {"description": _AGAIN, "content": _json(_ANSWER)},
        },
    }
}
_DONE: Final[Node] = {
    "200": {
        "description": "`ok`; or counts, and `errors` with each event that was refused for good.",
        "content": {"text/plain": {"schema": {"const": "ok"}}} | _json(_ANSWER),
    }
}
SNOWPLOW_OPENAPI: Final[Node] = {
    "/com.snowplowanalytics.snowplow/tp2": _BY_QUERY
    | _post("snowplow", "Take in a batch of events", _PAYLOAD_DATA, _DONE, _ANSWER),
    "/i": _BY_QUERY,
    "/ice.png": _BY_QUERY,
}

# --- Plausible ----------------------------------------------------------------------------------

_PLAUSIBLE_EVENT: Final[Node] = {
    "type": "object",
    "anyOf": [{"required": ["n"]}, {"required": ["name"]}],
    "properties": {name: {"type": "string"} for name in ("n", "name", "u", "url", "d", "domain")}
    | {"p": {"type": "object"}, "props": {"type": "object"}},
}
_PLAUSIBLE_ERRORS: Final[Node] = {
    "type": "object",
    "required": ["errors"],
    "properties": {
        "errors": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        }
    },
}
PLAUSIBLE_OPENAPI: Final[Node] = {
    "/api/event": _post(
        "plausible",
        "Take in one event",
        _PLAUSIBLE_EVENT,
        {"202": {"description": "It is durable.", "content": {"text/plain": {}}}},
        _PLAUSIBLE_ERRORS,
    )
}

# --- Umami --------------------------------------------------------------------------------------

_UMAMI_EVENT: Final[Node] = {
    "type": "object",
    "required": ["type", "payload"],
    "properties": {
        "type": {"enum": ["event", "identify", "performance", "engagement", "error"]},
        "payload": {
            "type": "object",
            "properties": {
                name: {"type": "string"} for name in ("website", "hostname", "url", "name", "id")
            }
            | {"data": {"type": "object"}},
        },
    },
}
_UMAMI_ERROR: Final[Node] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "object", "required": ["message", "code", "status"]}},
}
_CACHE: Final[Node] = {"type": "object", "properties": {"cache": {"const": ""}}}
_PROCESSED: Final[Node] = {
    "type": "object",
    "required": ["size", "processed", "errors", "details"],
    "properties": {name: {"type": "integer"} for name in ("size", "processed", "errors")},
}
UMAMI_OPENAPI: Final[Node] = {
    "/api/send": _post(
        "umami",
        "Take in one event",
        _UMAMI_EVENT,
        {"200": {"description": "It is durable.", "content": _json(_CACHE)}},
        _UMAMI_ERROR,
    ),
    "/api/batch": _post(
        "umami",
        "Take in many events",
        {"type": "array", "minItems": 1, "items": _UMAMI_EVENT},
        {"200": {"description": "Those processed are durable.", "content": _json(_PROCESSED)}},
        _UMAMI_ERROR,
    ),
}
