"""Event ids: UUIDv7 made here, and one 128-bit identity for every form a client may send."""

from __future__ import annotations

import os
import re
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Final

_ULID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII | re.IGNORECASE)
_CROCKFORD: Final = {c: i for i, c in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
_PLACEHOLDERS: Final = frozenset(
    {"undefined", "null", "none", "nan", "0", "[object object]", "true", "false"}
)
"""What bugs put in an id's place, in small letters."""
_LONGEST_PLACEHOLDER: Final = max(map(len, _PLACEHOLDERS))
_NIL: Final = str(uuid.UUID(int=0))
_NIL_BYTES: Final = bytes(16)
_UUID_LENGTHS: Final = frozenset({32, 36})
_NAMESPACE: Final = uuid.UUID("8c5e3bfa-64c9-5f0e-9a53-4d1f3f1e7c61")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def make_event_id() -> uuid.UUID:
    """A UUIDv7 (RFC 9562): milliseconds since 1970, then 74 random bits."""
    return _uuid7(time.time_ns() // 1_000_000, os.urandom(10))


def make_id_at(moment: datetime) -> uuid.UUID:
    """A UUIDv7 as if it had been made at another moment."""
    return _uuid7((moment - _EPOCH) // _MILLISECOND, os.urandom(10))


def first_id_at(moment: datetime) -> uuid.UUID:
    """The UUIDv7 that no other of its millisecond, or later, comes before."""
    return _uuid7(max(0, (moment - _EPOCH) // _MILLISECOND), bytes(10))


def _uuid7(milliseconds: int, random: bytes) -> uuid.UUID:
    value = milliseconds << 80 | int.from_bytes(random, "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


def is_placeholder(value: str) -> bool:
    """Whether a bug stands in an id's place: "undefined", "null", the nil UUID, and the like."""
    if len(value) > _LONGEST_PLACEHOLDER:  # as nearly every id is
        return value == _NIL
    return value.lower() in _PLACEHOLDERS


def identity(event_id: str, *, site_id: str) -> bytes | None:
    """The 16 bytes that a repeat of this event shares with it; None for a placeholder.

    A UUID stands for itself, in any of its spellings, and so does a ULID; any other string is
    hashed (UUIDv5) together with its site, since such ids are seldom unique beyond one.
    """
    if len(event_id) in _UUID_LENGTHS:
        try:
            # A third of the time that uuid.UUID takes, on the hot path.
            found = bytes.fromhex(event_id.replace("-", ""))
        except ValueError:
            pass
        else:
            if len(found) == 16:
                return None if found == _NIL_BYTES else found
    if is_placeholder(event_id):
        return None
    if _ULID.fullmatch(event_id):
        number = 0
        for character in event_id.upper():
            number = number << 5 | _CROCKFORD[character]
        return number.to_bytes(16, "big") if number else None
    return uuid.uuid5(_NAMESPACE, f"{site_id}\n{event_id}").bytes
