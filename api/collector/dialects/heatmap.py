"""Heatmap SDKs: `POST /v1/events/{collect,click,scroll,mouse}`, and a health route."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from api.collector.answer import encode_answer, encode_failure
from api.collector.contract import describe_json_post
from api.collector.dialects.dialect import DecodedBody, IntakeRequest, Reply
from api.collector.dialects.json_body import decode_json, has_type
from core.event import Event
from core.refusal import Refused

if TYPE_CHECKING:
    from api.collector.acceptance import Acceptance, Limits

_HEALTH: Final = "/v1/events/health"
_TYPE_BY_PATH: Final[Mapping[str, str | None]] = {
    "/v1/events/collect": None,
    "/v1/events/click": "click",
    "/v1/events/scroll": "scroll",
    "/v1/events/mouse": "mouse_move",
}
# Clicks carry the names that our own tracker gives them (tracking/src/clicks.ts), so that one
# query draws a heatmap of both.
_OUR_WORD: Final = {
    "website_id": "site_id",
    "element_selector": "selector",
    "x_coordinate": "x",
    "y_coordinate": "y",
}
_EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "timestamp": {"type": "string", "format": "date-time"},
        "website_id": {"type": "string"},
        "session_id": {"type": "string"},
        "visitor_id": {"type": "string"},
        "event_type": {"type": "string", "minLength": 1, "examples": ["click"]},
        "page_url": {"type": "string"},
        "element_selector": {"type": "string"},
        "x_coordinate": {"type": "integer"},
        "y_coordinate": {"type": "integer"},
        "viewport_width": {"type": "integer", "minimum": 0},
        "viewport_height": {"type": "integer", "minimum": 0},
        "device_type": {"type": "string"},
        "user_agent": {"type": "string"},
    },
}
_OPENAPI: Final[Mapping[str, Any]] = {
    path: describe_json_post(f"Take in {kind or 'events of any type'}", "heatmap", _EVENT)
    for path, kind in _TYPE_BY_PATH.items()
} | {
    _HEALTH: {
        method: {
            "tags": ["heatmap"],
            "summary": "Whether events are taken in",
            "responses": {
                "200": {"description": "They are."},
                "503": {"description": "They are not: PostgreSQL is away."},
            },
        }
        for method in ("get", "head")
    }
}


class HeatmapDialect:
    """`/v1/events/…`."""

    name = "heatmap"
    routes: Mapping[str, frozenset[str]] = {
        **dict.fromkeys(_TYPE_BY_PATH, frozenset({"POST"})),
        _HEALTH: frozenset({"GET", "HEAD"}),
    }
    cookieless = False
    openapi: Mapping[str, Any] = _OPENAPI

    def decode(self, request: IntakeRequest, *, limits: Limits) -> DecodedBody | Refused:
        """The events of a JSON body, in the contract's words; a question after health has none."""
        if request.path == _HEALTH:
            return DecodedBody([])
        rename = partial(_rename, route_type=_TYPE_BY_PATH[request.path])
        decoded = decode_json(request, limits=limits, rename=rename)
        if isinstance(decoded, DecodedBody):
            decoded.ips = _take_addresses(decoded.events)
        return decoded

    def reply(self, request: IntakeRequest, acceptance: Acceptance) -> Reply:
        """Counts, and each event that was not accepted."""
        if request.path == _HEALTH:
            return Reply(200, b'{"status":"ok"}')
        return Reply(acceptance.status, encode_answer(acceptance))

    def fail(self, request: IntakeRequest, status: int, reason: str, message: str) -> Reply:
        """The same form, without counts."""
        if request.path == _HEALTH and status == 503:
            return Reply(503, b'{"status":"unavailable"}')
        return Reply(status, encode_failure(reason, message))


def _rename(fields: dict[str, Any], *, route_type: str | None) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for name, value in fields.items():
        renamed.setdefault(_OUR_WORD.get(name, name), value)
    if route_type is not None and not has_type(fields):
        renamed["eventType"] = route_type
    return renamed


def _take_addresses(events: list[Event | Refused]) -> dict[int, str]:
    """Take each visitor's address out of where it would be stored whole."""
    addresses: dict[int, str] = {}
    for place, event in enumerate(events):
        if isinstance(event, Event) and event.properties and "ip_address" in event.properties:
            address = event.properties.pop("ip_address")
            if isinstance(address, str):
                addresses[place] = address
    return addresses
