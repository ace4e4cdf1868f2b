"""The steps of acceptance: each looks at one event, and may change, refuse or encode it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid5

import msgspec
from msgspec import Struct

from api.collector.identity import previous_id
from api.collector.rules import SUPPRESSED
from core.event import Event, ServerFacts
from core.event_id import identity, make_event_id
from core.refusal import RefusalReason, Refused

if TYPE_CHECKING:
    from api.collector.acceptance import Policy, RequestFacts

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Numbers below this are seconds (until the year 5138), above it milliseconds (since 1973).
_FIRST_MILLISECONDS: Final = 100_000_000_000
# To look for a byte takes a twentieth of the time that to look for several takes.
_BACKSLASH: Final = ord("\\")
_NUL_IN_JSON: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

_encode: Final = msgspec.json.Encoder().encode


class Draft(Struct, gc=False):
    """An event on its way through the steps, and what they found."""

    event: Event
    index: int
    facts: RequestFacts
    policy: Policy
    visitor_ip: str | None = None
    marks: ServerFacts | None = None
    """What the server knows of this event in particular; of most there is nothing to say."""
    event_id: bytes = b""
    occurred_at_us: int = 0
    payload: bytes = b""
    site_id: str = ""

    __repr__ = object.__repr__  # no address gets into a log by accident

    def mark(self) -> ServerFacts:
        """The event's marks, to be written on; they are stored with it."""
        if self.marks is None:
            self.marks = ServerFacts()
        return self.marks


def refuse_suppressed(draft: Draft) -> Refused | None:
    """Whoever was erased stays erased, under an alias too."""
    event, suppressions = draft.event, draft.policy.rules.suppressions
    previous = previous_id(event.properties)
    if suppressions.covers(visitor_id=event.visitor_id, user_id=event.user_id) or (
        previous is not None and suppressions.covers(visitor_id=previous, user_id=previous)
    ):
        return SUPPRESSED
    return None


def check_site(draft: Draft) -> Refused | None:
    """The event's own site, else the request's."""
    event = draft.event
    site_id = event.site_id
    if site_id is None:
        site_id = event.site_id = draft.facts.fallback_site_id
    draft.site_id = site_id
    sites = draft.policy.rules.sites
    return None if site_id in sites.accepted else sites.judge(site_id).refused


def identify(draft: Draft) -> Refused | None:
    """Keep the client's id; make one where there is none, or where a bug stands in its place."""
    event = draft.event
    given = event.event_id
    if given is not None and (found := identity(given, site_id=draft.site_id)):
        draft.event_id = found
        return None
    letter_id = draft.facts.letter_id
    # Out of a dead letter it is the same event each time, however often that is tried.
    made = make_event_id() if letter_id is None else uuid5(letter_id, str(draft.index))
    event.event_id = str(made)
    draft.event_id = made.bytes
    return None


def place_in_time(draft: Draft) -> Refused | None:
    """When the event happened by the server's clock; leaves both client times normalised.

    The client's clock may be wrong by years, but it is wrong by the same amount in `occurredAt`
    and `sentAt`: their difference is the event's age. Nothing happens after it has arrived.
    """
    event, arrived_at = draft.event, draft.facts.arrived_at
    occurred_at, sent_at = event.occurred_at, event.sent_at
    try:
        # Nearly every tracker sends both in UTC, as they are kept.
        if type(occurred_at) is not datetime or occurred_at.tzinfo is not UTC:
            occurred_at = event.occurred_at = _instant(occurred_at)
        if type(sent_at) is not datetime or sent_at.tzinfo is not UTC:
            sent_at = event.sent_at = _instant(sent_at)
        if occurred_at is None:
            happened_at = arrived_at
        else:
            if sent_at is not None:
                occurred_at = arrived_at - (sent_at - occurred_at)
            happened_at = occurred_at if occurred_at < arrived_at else arrived_at
        since = happened_at - _EPOCH
        draft.occurred_at_us = (
            since.days * 86_400 + since.seconds
        ) * 1_000_000 + since.microseconds
    except (ValueError, OverflowError, OSError):
        return Refused(
            RefusalReason.INVALID_TIME,
            "expected an ISO 8601 time, or Unix milliseconds, between the years 1 and 9999",
            field="occurredAt",
        )
    return None


def _instant(value: datetime | float | None) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    seconds = value if abs(value) < _FIRST_MILLISECONDS else value / 1000
    return _EPOCH + timedelta(seconds=seconds)


def hold_to_plan(draft: Draft) -> Refused | None:
    """What contradicts the tracking plan is marked, or refused where the plan is enforced."""
    plan = draft.policy.plan
    assert plan is not None, "a step of policies with a plan"
    event = draft.event
    violation = plan.check(event.event_type, event.properties)
    if violation is None:
        return None
    if plan.is_enforced:
        return Refused(RefusalReason.PLAN_VIOLATION, violation.message, field=violation.field)
    draft.mark().plan_violation = str(violation)
    return None


def encode_payload(draft: Draft) -> Refused | None:
    """The event as JSON, and what the server knows of it."""
    event, facts = draft.event, draft.facts
    if event.user_agent is None:
        event.user_agent = facts.user_agent
    marks = draft.marks
    if marks is None:
        end = _server_facts(facts.ip, facts.dialect)
    else:
        if draft.visitor_ip is None:
            marks.ip = facts.ip
        marks.dialect = facts.dialect or None
        end = _end_with(marks)
    draft.payload = _encode(event)[:-1] + end
    return None


@lru_cache(maxsize=10_000)
def _server_facts(ip: str | None, dialect: str) -> bytes:
    """The end of the payload of an event without marks."""
    return _end_with(ServerFacts(ip=ip, dialect=dialect or None))


def _end_with(server_facts: ServerFacts) -> bytes:
    """The end of a payload: what the server adds, and the closing brace."""
    added = _encode(server_facts)
    return b"}" if added == b"{}" else b"," + added[1:]


def check_size(size: int, limit: int) -> Refused | None:
    """Of one event, in bytes of JSON: as it came, and as it would be stored."""
    if size <= limit:
        return None
    return Refused(RefusalReason.TOO_LARGE, f"{size:,} bytes; the limit for one event is {limit:,}")


def check_payload(draft: Draft) -> Refused | None:
    """Size, depth and characters, of what would be stored."""
    payload, limits = draft.payload, draft.policy.limits
    size = len(payload)
    if size > limits.max_event_bytes:
        return check_size(size, limits.max_event_bytes)
    properties = draft.event.properties
    if properties:
        for value in properties.values():
            if type(value) in _CONTAINERS:
                if _depth(properties) >= limits.max_depth:
                    return Refused(
                        RefusalReason.TOO_DEEP,
                        f"nested deeper than {limits.max_depth} levels",
                        field="properties",
                    )
                break
        # A text that is too long makes a payload that is longer.
        if size > limits.max_string_chars and (
            field := _find_long_text(properties, limits.max_string_chars)
        ):
            return Refused(
                RefusalReason.STRING_TOO_LONG,
                f"a text of more than {limits.max_string_chars:,} characters",
                field=field,
            )
    if _BACKSLASH in payload and b"\\u0000" in payload and _NUL_IN_JSON.search(payload):
        return Refused(
            RefusalReason.NUL_CHARACTER,
            "text holds U+0000, which cannot be stored: strip it before sending",
        )
    return None


_CONTAINERS: Final = frozenset({dict, list})


def _find_long_text(properties: dict[str, Any], limit: int) -> str | None:
    """Below which property a text is too long, a name or a value; None when none is."""
    for name, value in properties.items():
        waiting = [name, value]
        while waiting:
            match waiting.pop():
                case str() as text if len(text) > limit:
                    return f"properties.{name[:100]}"
                case dict() as inner:
                    waiting += [*inner, *inner.values()]
                case list() as inner:
                    waiting += inner
                case _:
                    pass
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
