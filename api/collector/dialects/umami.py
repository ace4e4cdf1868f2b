"""Umami's tracker script and its server clients: `/api/send`, and `/api/batch` for many at once.

https://umami.is/docs/api/sending-stats describes the request; what the script reads of an answer,
and what of a request Umami's own server understands, is read from their sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from api.collector.answer import MAX_ERRORS_SHOWN
from api.collector.decode import load_value
from api.collector.dialects.dialect import DecodedBody, IntakeRequest, Reply, status_of
from api.collector.dialects.json_items import check_items, load_with_items
from api.collector.dialects.tracker_openapi import UMAMI_OPENAPI
from api.collector.dialects.umami_event import read_event
from api.collector.write_keys import find_write_key
from core.refusal import Refused

if TYPE_CHECKING:
    from api.collector.acceptance import Acceptance, Limits

_BATCH_PATH: Final = "/api/batch"
# The script keeps `cache` and sends it back; Umami's holds the session, this one nothing.
_DONE: Final = Reply(200, b'{"cache":""}')

_encode: Final = msgspec.json.Encoder().encode


class UmamiDialect:
    """`/api/send`, `/api/batch`."""

    name = "umami"
    routes: Mapping[str, frozenset[str]] = {
        "/api/send": frozenset({"POST"}),
        _BATCH_PATH: frozenset({"POST"}),
    }
    cookieless = True
    openapi: Mapping[str, Any] = UMAMI_OPENAPI

    def decode(self, request: IntakeRequest, *, limits: Limits) -> DecodedBody | Refused:
        """One `{type, payload}`, or an array of them; JSON, whatever the body is called."""
        if request.path != _BATCH_PATH:
            body = load_value(request.body)
            return body if isinstance(body, Refused) else _read([body], request)
        body = load_with_items(request.body, "events", enclose=_enclose)
        if not isinstance(body, Refused):
            body = check_items(body, None, max_events=limits.max_batch_events)
        return body if isinstance(body, Refused) else _read(body, request)

    def reply(self, request: IntakeRequest, acceptance: Acceptance) -> Reply:
        """What the script needs; for a batch how many were processed, and which were not."""
        if request.path == _BATCH_PATH and not acceptance.whole_request_refused:
            return Reply(200, _encode_batch_answer(acceptance))
        if not acceptance.refused or acceptance.status == 200:
            return _DONE
        refused = acceptance.refused[0]
        return _error(acceptance.status, refused.reason, refused.message, refused.field)

    def fail(self, request: IntakeRequest, status: int, reason: str, message: str) -> Reply:  # noqa: ARG002
        """The same form."""
        return _error(status, reason, message)


def _error_of(status: int, code: str, message: str, field: str | None) -> dict[str, Any]:
    error: dict[str, Any] = {"message": message, "code": code, "status": status}
    return {"error": error | ({"field": field} if field else {})}


def _error(status: int, code: str, message: str, field: str | None = None) -> Reply:
    return Reply(status, _encode(_error_of(status, code, message, field)))


def _encode_batch_answer(acceptance: Acceptance) -> bytes:
    refused = sorted(acceptance.refused, key=lambda r: r.index or 0)
    details = [
        {"index": r.index, "response": _error_of(status_of(r.reason), r.reason, r.message, r.field)}
        for r in refused[:MAX_ERRORS_SHOWN]
    ]
    accepted = len(acceptance.accepted)
    return _encode(
        {
            "size": accepted + len(refused),
            "processed": accepted,
            "errors": len(refused),
            "details": details,
        }
    )


def _read(items: list[Any], request: IntakeRequest) -> DecodedBody:
    decoded = DecodedBody([], write_key=find_write_key(request.headers))
    ips: dict[int, str] = {}
    for place, item in enumerate(items):
        if isinstance(item, Refused):
            decoded.events.append(item)
            continue
        event, ip = read_event(item, request.headers)
        if isinstance(event, Refused) and event.payload and request.path == _BATCH_PATH:
            event = replace(event, payload=_enclose(event.payload))
        decoded.events.append(event)
        if ip is not None:
            ips[place] = ip
    if ips:
        decoded.ips = ips
    return decoded


def _enclose(raw: bytes) -> bytes:
    """A batch of its own for one event."""
    return b"[%s]" % raw
