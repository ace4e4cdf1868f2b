"""The route of recordings in OpenAPI's words, from the envelope's own struct."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from api.collector.recording import Envelope
from api.collector.recording_endpoint import PATH

Node = dict[str, Any]


def _envelope() -> Node:
    schema = msgspec.json.schema(Envelope)
    body: Node = schema["$defs"]["Envelope"]
    body["properties"]["events"]["items"] = {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {"type": {"type": "integer"}, "timestamp": {"type": "number"}, "data": {}},
    }
    return body


_STORED: Final[Node] = {
    "type": "object",
    "required": ["accepted", "rejected"],
    "properties": {
        "accepted": {"enum": [0, 1]},
        "rejected": {"enum": [0, 1]},
        "repeated": {"type": "boolean", "description": "It was stored before, and counts once."},
        "recordingId": {"type": "string"},
        "sequence": {"type": "integer"},
        "stored": {
            "type": "array",
            "description": "Which of its chunks are stored: the first and last of each run.",
            "items": {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "integer"}},
        },
        "next": {"type": "integer", "description": "The first sequence number not stored yet."},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/AnswerError"}},
    },
}
_ANSWER: Final[Node] = {"$ref": "#/components/schemas/Answer"}


def _json(schema: Node) -> Node:
    return {"application/json": {"schema": schema}}


RECORDING_PATHS: Final[dict[str, Node]] = {
    PATH: {
        "post": {
            "tags": ["recordings"],
            "summary": "Take in a chunk of a recording",
            "description": "Answers when the chunk is durable. See docs/replay.md.",
            "requestBody": {
                "required": True,
                "content": _json(_envelope()) | {"text/plain": {"schema": _envelope()}},
            },
            "responses": {
                "200": {
                    "description": "The chunk is stored, or was before; or none is wanted, and "
                    "`accepted` is 0.",
                    "content": _json(_STORED),
                },
                "4XX": {"description": "It will be refused again.", "content": _json(_ANSWER)},
                "503": {
                    "description": "Nothing was stored: send it again after `Retry-After`.",
                    "content": _json(_ANSWER),
                },
            },
        },
        "options": {
            "tags": ["recordings"],
            "summary": "CORS preflight",
            "responses": {"204": {"description": "May be cached for a day."}},
        },
    }
}
