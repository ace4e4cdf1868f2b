"""The EcomDash SDK: `POST /api/v1/track/…`, each route with a type of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from api.collector.answer import encode_answer, encode_failure
from api.collector.contract import describe_json_post
from api.collector.dialects.dialect import DecodedBody, Headers, IntakeRequest, Reply
from api.collector.dialects.json_body import decode_json, has_type

if TYPE_CHECKING:
    from api.collector.acceptance import Acceptance, Limits
    from core.refusal import Refused

_TYPE_BY_PATH: Final[Mapping[str, str | None]] = {
    "/api/v1/track/event": None,
    "/api/v1/track/pageview": "page_view",
    "/api/v1/track/session": "session",
    "/api/v1/track/performance": "performance",
}
# A page view is called the same whoever sends it.
_OUR_WORD: Final = {"pageview": "page_view"}
_SIDES: Final = ("width", "height")
_BARE_HOST: Final = re.compile(r"[\w-]+(?:\.[\w-]+)+(?::\d{1,5})?")

_EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "minLength": 1, "examples": ["pageview", "add_to_cart"]},
        "url": {"type": "string", "examples": ["/products/shoe-7"]},
        "referrer": {"type": "string", "examples": ["www.google.com"]},
        "timestamp": {"type": "integer", "description": "Unix milliseconds."},
        "session_id": {"type": "string"},
        "visitor_id": {"type": "string"},
        "viewport": {
            "type": "object",
            "properties": {
                "width": {"type": "integer", "minimum": 0},
                "height": {"type": "integer", "minimum": 0},
            },
        },
        "performance": {"type": "object", "examples": [{"lcp": 1.2, "cls": 0.01}]},
    },
}


class EcomDashDialect:
    """`/api/v1/track/{event,pageview,session,performance}`."""

    name = "ecomdash"
    routes: Mapping[str, frozenset[str]] = dict.fromkeys(_TYPE_BY_PATH, frozenset({"POST"}))
    cookieless = False
    openapi: Mapping[str, Any] = {
        path: describe_json_post(f"Take in {kind or 'events of any type'}", "ecomdash", _EVENT)
        for path, kind in _TYPE_BY_PATH.items()
    }

    def decode(self, request: IntakeRequest, *, limits: Limits) -> DecodedBody | Refused:
        """The events of a JSON body, in the contract's words."""
        rename = partial(
            _rename, route_type=_TYPE_BY_PATH[request.path], origin=_origin(request.headers)
        )
        return decode_json(request, limits=limits, rename=rename)

    def reply(self, request: IntakeRequest, acceptance: Acceptance) -> Reply:  # noqa: ARG002
        """A status in one word beside the counts; `ok` when anything is durable."""
        status = b"ok" if acceptance.accepted else b"error"
        return Reply(acceptance.status, _with_status(status, encode_answer(acceptance)))

    def fail(self, request: IntakeRequest, status: int, reason: str, message: str) -> Reply:  # noqa: ARG002
        """The same form, without counts."""
        return Reply(status, _with_status(b"error", encode_failure(reason, message)))


def _with_status(status: bytes, answer: bytes) -> bytes:
    return b'{"status":"%s",%s' % (status, answer[1:])


def _origin(headers: Headers) -> str:
    """Of the page that sends, to complete a bare path by; empty when nobody says."""
    value = headers.get(b"origin") or headers.get(b"referer") or b""
    try:
        parts = urlsplit(value.decode("ascii"))
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https"):
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _rename(fields: dict[str, Any], *, route_type: str | None, origin: str) -> dict[str, Any]:
    renamed = dict(fields)
    if not has_type(fields):
        kind = renamed.pop("type", None)
        kind = route_type if kind is None else kind
        if kind is not None:
            renamed["eventType"] = _OUR_WORD.get(kind, kind) if isinstance(kind, str) else kind
    url = fields.get("url")
    if isinstance(url, str) and url.startswith("/") and not url.startswith("//"):
        renamed["url"] = origin + url
    referrer = fields.get("referrer")
    if isinstance(referrer, str) and _BARE_HOST.fullmatch(referrer):
        renamed["referrer_domain"] = renamed.pop("referrer")
    viewport = fields.get("viewport")
    if isinstance(viewport, dict) and all(_is_length(viewport.get(side)) for side in _SIDES):
        renamed["viewport_width"] = round(viewport["width"])
        renamed["viewport_height"] = round(viewport["height"])
        renamed["viewport"] = {k: v for k, v in viewport.items() if k not in _SIDES}
        if not renamed["viewport"]:
            del renamed["viewport"]
    return renamed


def _is_length(value: object) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, float) and math.isfinite(value)
    )
