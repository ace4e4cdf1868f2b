"""The Snowplow tracker protocol: what Snowplow's trackers send, with nothing changed but the host.

https://docs.snowplow.io/docs/events/http-requests/ describes the requests; the paths, the headers
and what a tracker does with each status are read from the trackers' and the collector's sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from api.collector.answer import encode_answer, encode_failure
from api.collector.decode import json_type
from api.collector.dialects.dialect import DecodedBody, IntakeRequest, Reply, status_of
from api.collector.dialects.json_items import check_items, load_with_items
from api.collector.dialects.pixel import PIXEL
from api.collector.dialects.snowplow_columns import EVENT_TYPES
from api.collector.dialects.snowplow_event import read_event
from api.collector.dialects.tracker_openapi import SNOWPLOW_OPENAPI
from api.collector.write_keys import find_write_key
from core.event import Event
from core.refusal import RefusalReason, Refused

if TYPE_CHECKING:
    from api.collector.acceptance import Acceptance, Limits

POST_PATH: Final = "/com.snowplowanalytics.snowplow/tp2"
PAYLOAD_DATA: Final = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"
_PAYLOAD_DATA_OF_ANY_VERSION: Final = PAYLOAD_DATA.rpartition("/")[0] + "/"

_MAX_PARAMETERS: Final = 200
# The same body comes to the same again, and yet a tracker would send it again, for ever.
_REPEATED_IN_VAIN: Final = frozenset({413, 415})

_encode: Final = msgspec.json.Encoder().encode


class SnowplowDialect:
    """`/com.snowplowanalytics.snowplow/tp2`, `/i`, `/ice.png`."""

    name = "snowplow"
    routes: Mapping[str, frozenset[str]] = {
        POST_PATH: frozenset({"GET", "POST"}),
        "/i": frozenset({"GET"}),
        "/ice.png": frozenset({"GET"}),
    }
    cookieless = False
    openapi: Mapping[str, Any] = SNOWPLOW_OPENAPI

    def decode(self, request: IntakeRequest, *, limits: Limits) -> DecodedBody | Refused:
        """The events of a `payload_data` body, or the one of a query string."""
        if request.method == "GET":
            params = _parse_query(request.query)
            return params if isinstance(params, Refused) else _read([params], request)
        items = _open_body(request.body, limits)
        return items if isinstance(items, Refused) else _read(items, request)

    def reply(self, request: IntakeRequest, acceptance: Acceptance) -> Reply:
        """`ok`, or the picture; what was refused is named beside it, and not to be sent again."""
        status = _status(acceptance)
        # With any other status no picture: an old tracker takes one for success, whatever it says.
        if request.method == "GET" and status == 200:
            return Reply(200, PIXEL, b"image/gif")
        if not acceptance.refused:
            return Reply(200, b"ok", b"text/plain; charset=utf-8")
        return Reply(status, encode_answer(acceptance))

    def fail(self, request: IntakeRequest, status: int, reason: str, message: str) -> Reply:  # noqa: ARG002
        """As `/collect` says it; a tracker sends the same events again."""
        return Reply(status, encode_failure(reason, message))


def _status(acceptance: Acceptance) -> int:
    """200 for what was read, as Snowplow's collector answers, whatever became of its events.

    Trackers of version 2 send again whatever gets another status, before anything else: one event
    that is always refused would stop them for good. Later ones give up at 400, 401, 403, 410 and
    422 alone. So only what may be taken in later gets a status that asks for it.
    """
    if acceptance.accepted:
        return 200
    statuses = {status_of(refused.reason) for refused in acceptance.refused}
    if acceptance.whole_request_refused:
        (status,) = statuses
        return 400 if status in _REPEATED_IN_VAIN else status
    return 429 if 429 in statuses else 200


def _open_body(body: bytes, limits: Limits) -> list[Any] | Refused:
    """What stands in `data`; a Refused in the list stands for what cannot be read of it."""
    envelope = load_with_items(body, "data", enclose=_enclose)
    if isinstance(envelope, Refused):
        return envelope
    if not isinstance(envelope, dict):
        return _invalid(None, f"expected {{schema, data}}, got {json_type(envelope)}")
    schema = envelope.get("schema")
    if not isinstance(schema, str) or not schema.startswith(_PAYLOAD_DATA_OF_ANY_VERSION):
        return _invalid("schema", f"expected {PAYLOAD_DATA}")
    return check_items(envelope.get("data"), "data", max_events=limits.max_batch_events)


def _parse_query(query: bytes) -> dict[str, str] | Refused:
    try:
        text = query.decode(errors="replace")
        return dict(parse_qsl(text, errors="replace", max_num_fields=_MAX_PARAMETERS))
    except ValueError:
        return Refused(RefusalReason.TOO_LARGE, f"more than {_MAX_PARAMETERS} parameters")


def _read(items: list[Any], request: IntakeRequest) -> DecodedBody:
    decoded = DecodedBody([], write_key=find_write_key(request.headers))
    ips: dict[int, str] = {}
    # With this header the tracker asks that the server know nothing of where it is either.
    is_anonymous = b"sp-anonymous" in request.headers
    for place, params in enumerate(items):
        if isinstance(params, Refused):
            decoded.events.append(params)
            continue
        decoded.events.append(_read_one(params, request.method))
        if is_anonymous:
            ips[place] = ""
        elif isinstance(params, dict) and (ip := params.get("ip")) and isinstance(ip, str):
            ips[place] = ip
    if ips:
        decoded.ips = ips
    return decoded


def _read_one(params: Any, method: str) -> Event | Refused:
    event = read_event(params)
    if not isinstance(event, Refused):
        return event
    kind = ""
    if isinstance(params, dict):
        params = {name: value for name, value in params.items() if name != "ip"}
        kind = params.get("e", "")
    return replace(
        event,
        event_type=EVENT_TYPES.get(kind, "") if isinstance(kind, str) else "",
        payload=urlencode(params).encode() if method == "GET" else _enclose(_encode(params)),
    )


def _enclose(raw: bytes) -> bytes:
    """A body of its own for one event."""
    return b'{"schema":"%s","data":[%s]}' % (PAYLOAD_DATA.encode(), raw)


def _invalid(field: str | None, message: str) -> Refused:
    return Refused(RefusalReason.INVALID_EVENT, message, field=field)
