"""Accept a body as the collector would, at a fixed moment, and read the rows back."""

from __future__ import annotations

import json
import struct
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from api.collector.acceptance import Acceptance, Limits, Policy, RequestFacts
from api.collector.acceptance import accept as accept_decoded
from api.collector.dead_letters import keep_letters
from api.collector.dialects.dialect import Headers, IntakeRequest
from api.collector.dialects.native import NativeDialect

ARRIVED_AT = datetime(2026, 11, 21, 10, 15, 31, 204_000, tzinfo=UTC)
LIMITS = Limits(
    max_batch_events=2_000, max_event_bytes=32_768, max_depth=40, max_stored_bytes=8_000_000
)
FACTS = RequestFacts(arrived_at=ARRIVED_AT, fallback_site_id="fallback.example", ip="203.0.113.0")


@dataclass(frozen=True)
class Row:
    """A row as PostgreSQL would read it from COPY's binary format."""

    event_id: uuid.UUID
    event_type: str
    site_id: str
    visitor_id: str | None
    session_id: str | None
    user_id: str | None
    occurred_at: datetime
    payload: dict[str, Any]


def accept(
    body: Any,
    *,
    facts: RequestFacts = FACTS,
    limits: Limits = LIMITS,
    headers: Headers | None = None,
    policy: Policy | None = None,
    **different: Any,
) -> Acceptance:
    """Accept bytes as they are, anything else as JSON; with letters of what is refused.

    Further arguments are the policy's.
    """
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    policy = policy or Policy(limits=limits, **different)
    request = IntakeRequest("POST", "/collect", b"", headers or {}, raw)
    decoded = NativeDialect().decode(request, limits=policy.limits)
    acceptance = accept_decoded(decoded, facts=facts, policy=policy)
    acceptance.letters = keep_letters(
        acceptance.refused, decoded, request=request, facts=facts, policy=policy
    )
    return acceptance


def accepted_rows(body: Any, *, facts: RequestFacts = FACTS) -> list[Row]:
    """The rows of a body of which nothing may be refused."""
    acceptance = accept(body, facts=facts)
    assert acceptance.refused == []
    return [read_row(event.row) for event in acceptance.accepted]


def accepted_row(body: Any, *, facts: RequestFacts = FACTS) -> Row:
    """The only row of a body."""
    (row,) = accepted_rows(body, facts=facts)
    return row


def read_row(row: bytes) -> Row:
    """Take a row apart, as https://www.postgresql.org/docs/18/sql-copy.html describes it."""
    fields: list[bytes | None] = []
    at = 0
    while at < len(row):
        (length,) = struct.unpack_from("!i", row, at)
        at += 4
        fields.append(None if length == -1 else row[at : at + length])
        at += max(0, length)
    assert at == len(row)
    event_id, event_type, site_id, visitor, session, user, occurred_at, payload = fields
    assert event_id is not None and event_type is not None and site_id is not None
    assert occurred_at is not None and payload is not None
    assert payload[0] == 1, "the version of jsonb's binary form"
    (microseconds,) = struct.unpack("!q", occurred_at)
    return Row(
        uuid.UUID(bytes=event_id),
        event_type.decode(),
        site_id.decode(),
        *(None if value is None else value.decode() for value in (visitor, session, user)),
        datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds),
        json.loads(payload[1:]),
    )
