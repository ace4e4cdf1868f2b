"""Accept or refuse each event of a body: a pure function, no clock, no I/O.

The steps, in order: decode, identify, place, time, stamp, encode, check.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from api.collector.decode import decode_body
from core.event import StoredEvent
from core.event_id import identity, make_event_id
from core.keys import HIVE_NULL, MAX_SITE_ID_BYTES, encode_site_id
from core.refusal import RefusalReason, Refused
from database.intake import LedgerCount, LedgerKey, encode_row


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large a request, and an event in it, may be."""

    max_batch_events: int
    max_event_bytes: int
    max_depth: int
    max_stored_bytes: int
    """Of all events of a request: what they share is stored with each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """What the request says beside its body."""

    arrived_at: datetime
    fallback_site_id: str
    user_agent: str | None = None
    ip: str | None = None
    """Already truncated: the whole address goes no further than the connection."""


class AcceptedEvent(NamedTuple):
    """One row for the buffer, its place in the request, and what the ledger counts it under."""

    place: int
    row: bytes
    site_id: str
    event_type: str
    payload_bytes: int


@dataclass(slots=True)
class Acceptance:
    """What became of a request's events."""

    accepted: list[AcceptedEvent] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    refused_site_id: str = ""
    whole_request_refused: bool = False

    @property
    def row_bytes(self) -> int:
        """How much the rows weigh while they wait."""
        return sum(len(event.row) for event in self.accepted)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# Numbers below this are seconds (until the year 5138), above it milliseconds (since 1973).
_FIRST_MILLISECONDS: Final = 100_000_000_000
_PLACEHOLDER_IDS: Final = frozenset(
    {"undefined", "null", "none", "nan", "0", "[object object]", "true", "false"}
)
_NUL_IN_JSON: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

_TOO_MUCH_TOGETHER: Final = Refused(
    RefusalReason.TOO_LARGE, "the events of this request are too large together: split the batch"
)

_encode: Final = msgspec.json.Encoder().encode


def accept_body(body: bytes, *, facts: RequestFacts, limits: Limits) -> Acceptance:
    """Accept or refuse each event of a request body; never raises for what a client sent."""
    acceptance = Acceptance(refused_site_id=facts.fallback_site_id)
    decoded = decode_body(
        body, max_events=limits.max_batch_events, max_shared_bytes=limits.max_event_bytes
    )
    if isinstance(decoded, Refused):
        acceptance.refused.append(decoded)
        acceptance.whole_request_refused = True
        return acceptance
    stored_bytes = 0
    for index, event in enumerate(decoded):
        outcome = (
            event
            if isinstance(event, Refused)
            else _accept_event(event, index=index, facts=facts, limits=limits)
        )
        if isinstance(outcome, Refused):
            acceptance.refused.append(replace(outcome, index=index))
        elif stored_bytes + outcome.payload_bytes > limits.max_stored_bytes:
            acceptance.refused.append(replace(_TOO_MUCH_TOGETHER, index=index))
        else:
            stored_bytes += outcome.payload_bytes
            acceptance.accepted.append(outcome)
    return acceptance


def refuse_request(refused: Refused, *, site_id: str) -> Acceptance:
    """An acceptance of nothing: the request failed before its body could be read."""
    return Acceptance(refused=[refused], refused_site_id=site_id, whole_request_refused=True)


def count_outcomes(acceptance: Acceptance) -> dict[LedgerKey, LedgerCount]:
    """What the ledger counts for this request."""
    totals: dict[tuple[str, str], tuple[int, int]] = {}
    for event in acceptance.accepted:
        name = (event.site_id, event.event_type)
        number, size = totals.get(name, (0, 0))
        totals[name] = (number + 1, size + event.payload_bytes)
    counts = {LedgerKey(*name, "accepted"): LedgerCount(*total) for name, total in totals.items()}
    for refused in acceptance.refused:
        # The site of a refused event cannot be believed; the request's own can.
        key = LedgerKey(acceptance.refused_site_id, "", str(refused.reason))
        counts[key] = LedgerCount(counts.get(key, (0, 0))[0] + 1, 0)
    return counts


def _accept_event(
    event: StoredEvent, *, index: int, facts: RequestFacts, limits: Limits
) -> AcceptedEvent | Refused:
    site_id = event.site_id = event.site_id or facts.fallback_site_id
    if len(encode_site_id(site_id)) > MAX_SITE_ID_BYTES:
        return Refused(
            RefusalReason.TOO_LONG,
            f"longer than {MAX_SITE_ID_BYTES} bytes as it stands in an object's key",
            field="siteId",
        )
    if site_id == HIVE_NULL:
        return Refused(RefusalReason.INVALID_EVENT, "reserved for no value", field="siteId")
    event_id = _identify(event, site_id)
    occurred_at = _place_in_time(event, facts.arrived_at)
    if isinstance(occurred_at, Refused):
        return occurred_at
    if event.user_agent is None:
        event.user_agent = facts.user_agent
    event.ip = facts.ip
    payload = _encode(event)
    if refused := _check_payload(payload, event, limits):
        return refused
    row = encode_row(
        event_id=event_id,
        event_type=event.event_type,
        site_id=site_id,
        visitor_id=event.visitor_id,
        session_id=event.session_id,
        user_id=event.user_id,
        occurred_at_us=(occurred_at - _EPOCH) // _MICROSECOND,
        payload=payload,
    )
    return AcceptedEvent(index, row, site_id, event.event_type, len(payload))


def _identify(event: StoredEvent, site_id: str) -> bytes:
    """Keep the client's id; make one where there is none, or where a bug stands in its place."""
    given = event.event_id
    if given is not None and given.lower() not in _PLACEHOLDER_IDS:
        found = identity(given, site_id=site_id)
        if any(found):  # the nil UUID is a placeholder too
            return found
    made = make_event_id()
    event.event_id = str(made)
    return made.bytes


def _place_in_time(event: StoredEvent, arrived_at: datetime) -> datetime | Refused:
    """When the event happened by the server's clock; leaves both client times normalised.

    The client's clock may be wrong by years, but it is wrong by the same amount in `occurredAt`
    and `sentAt`: their difference is the event's age. Nothing happens after it has arrived.
    """
    try:
        occurred_at = event.occurred_at = _instant(event.occurred_at)
        sent_at = event.sent_at = _instant(event.sent_at)
        if occurred_at is None:
            return arrived_at
        if sent_at is None:
            return min(occurred_at, arrived_at)
        return min(arrived_at - (sent_at - occurred_at), arrived_at)
    except (ValueError, OverflowError, OSError):
        return Refused(
            RefusalReason.INVALID_TIME,
            "expected an ISO 8601 time, or Unix milliseconds, between the years 1 and 9999",
            field="occurredAt",
        )


def _instant(value: datetime | float | None) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        if value.tzinfo is UTC:  # as nearly every tracker sends it
            return value
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    seconds = value if abs(value) < _FIRST_MILLISECONDS else value / 1000
    return _EPOCH + timedelta(seconds=seconds)


def _check_payload(payload: bytes, event: StoredEvent, limits: Limits) -> Refused | None:
    if len(payload) > limits.max_event_bytes:
        return Refused(
            RefusalReason.TOO_LARGE,
            f"{len(payload):,} bytes; the limit for one event is {limits.max_event_bytes:,}",
        )
    # Counting brackets is cheap, and seldom more than the limit.
    if payload.count(b"{") + payload.count(b"[") > limits.max_depth and (
        _depth(event.properties) >= limits.max_depth
    ):
        return Refused(
            RefusalReason.TOO_DEEP,
            f"nested deeper than {limits.max_depth} levels",
            field="properties",
        )
    if b"\\u0000" in payload and _NUL_IN_JSON.search(payload):
        return Refused(
            RefusalReason.NUL_CHARACTER,
            "text holds U+0000, which cannot be stored: strip it before sending",
        )
    return None


def _depth(value: Any) -> int:
    """Levels of nesting, the value's own included; breadth first, so that no stack overflows."""
    depth = 0
    level = [value]
    while level:
        depth += 1
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
    return depth
