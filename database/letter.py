"""A dead letter as it is stored: bounded, and of text that PostgreSQL can hold."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from core.event import ServerFacts
from core.event_id import make_id_at
from database.row import read_row

MAX_LETTER_BYTES: Final = 8_192
"""Of a payload, in UTF-8; what is longer is cut."""
MAX_LETTERS: Final = 100
"""That one request may leave behind."""

_ESCAPED_NUL: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_SERVER_NAMES: Final = frozenset(f.encode_name for f in msgspec.structs.fields(ServerFacts))


class DeadLetter(NamedTuple):
    """A refused event, or a refused request, kept with its reason."""

    dead_letter_id: UUID
    """A UUIDv7 of the moment of arrival: letters are in the order in which they came."""
    arrived_at: datetime
    site_id: str
    reason: str
    field: str | None
    message: str
    event_type: str
    """As far as it could be read."""
    dialect: str
    request: str
    """`POST /path`, by which the payload is to be read as its body, or `GET /path`, as its query.

    "" for an event in Sluice's own words."""
    payload: str
    """Redacted like everything else, cut where it is too long."""
    payload_bytes: int
    """Of the payload as it was sent."""
    is_cut: bool
    """Whether a part of the payload is missing: then nothing can be taken in from it again."""
    user_agent: str | None = None
    ip: str | None = None
    """Truncated, as it would stand on the row."""


def storable(text: str) -> str:
    """Text without what no PostgreSQL text can hold: U+0000, and halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def fit_payload(text: str) -> tuple[str, bool]:
    """A payload fit to be stored, and whether its end is missing.

    U+0000 goes in its JSON spelling too: nobody meant it, and without it the event can be taken in.
    """
    encoded = _ESCAPED_NUL.sub(r"\1", storable(text)).encode()
    if len(encoded) <= MAX_LETTER_BYTES:
        return encoded.decode(), False
    return encoded[:MAX_LETTER_BYTES].decode("utf-8", "ignore"), True


def letter_of_row(row: bytes, *, reason: str, message: str) -> DeadLetter:
    """A row that PostgreSQL refuses, as the event that it was made from; redacted it is already.

    It is dated by the row, which is corrected for the clock's skew: what the skew was is not to
    be found out a second time.
    """
    facts = read_row(row)
    event, server = _event_and_server_facts(facts.payload)
    if event is None:
        payload = facts.payload.decode("utf-8", "replace")
    else:
        event["occurredAt"] = facts.occurred_at
        event.pop("sentAt", None)
        payload = msgspec.json.encode(event).decode()
    text, is_cut = fit_payload(payload)
    now = datetime.now(UTC)
    return DeadLetter(
        dead_letter_id=make_id_at(now),
        arrived_at=now,
        site_id=storable(facts.site_id),
        reason=reason,
        field=None,
        message=storable(message),
        event_type=storable(facts.event_type),
        dialect=server.get("dialect", ""),
        request="",
        payload=text,
        payload_bytes=len(facts.payload),
        is_cut=is_cut,
        ip=server.get("ip"),
    )


def _event_and_server_facts(payload: bytes) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    try:
        stored = msgspec.json.decode(payload, type=dict[str, Any])
    except msgspec.DecodeError:
        return None, {}
    server = {name: stored.pop(name) for name in _SERVER_NAMES & stored.keys()}
    return stored, server
