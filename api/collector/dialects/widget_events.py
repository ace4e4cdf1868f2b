"""Widget analytics scripts: `POST /v1/events` with a batch of snake_case events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from api.collector.answer import encode_answer, encode_failure
from api.collector.contract import describe_json_post
from api.collector.dialects.dialect import DecodedBody, IntakeRequest, Reply
from api.collector.dialects.json_body import decode_json

if TYPE_CHECKING:
    from api.collector.acceptance import Acceptance, Limits
    from core.refusal import Refused

_EVENT: dict[str, Any] = {
    "type": "object",
    "required": ["event_type"],
    "properties": {
        "event_type": {"type": "string", "minLength": 1, "examples": ["widget_impression"]},
        "event_id": {"type": "string", "description": "Makes a retry idempotent."},
        "occurred_at": {"type": "string", "format": "date-time"},
        "site_id": {"type": "string"},
        "session_id": {"type": "string"},
        "visitor_id": {"type": "string"},
        "page_url": {"type": "string"},
        "page_path": {"type": "string"},
        "referrer_domain": {"type": "string"},
        "properties": {"type": "object"},
    },
}


class WidgetEventsDialect:
    """`/v1/events`: the contract under its columns' names, which need no translation."""

    name = "widget_events"
    routes: Mapping[str, frozenset[str]] = {"/v1/events": frozenset({"POST"})}
    cookieless = False
    openapi: Mapping[str, Any] = {
        "/v1/events": describe_json_post("Take in a widget script's batch", name, _EVENT)
    }

    def decode(self, request: IntakeRequest, *, limits: Limits) -> DecodedBody | Refused:
        """The events of a JSON body."""
        return decode_json(request, limits=limits)

    def reply(self, request: IntakeRequest, acceptance: Acceptance) -> Reply:  # noqa: ARG002
        """Counts, and each event that was not accepted."""
        return Reply(acceptance.status, encode_answer(acceptance))

    def fail(self, request: IntakeRequest, status: int, reason: str, message: str) -> Reply:  # noqa: ARG002
        """The same form, without counts."""
        return Reply(status, encode_failure(reason, message))
