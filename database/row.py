"""One row of the buffer in COPY's binary format, all but its head (`segment_id`, `received_at`).

https://www.postgresql.org/docs/18/sql-copy.html#SQL-COPY-FILE-FORMATS-BINARY
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER: Final = b"\xff\xff"

_EPOCH_2000: Final = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_2000_US: Final = 946_684_800_000_000
_MICROSECOND: Final = timedelta(microseconds=1)
# Field count, then segment_id and received_at with their lengths.
_ROW_HEAD: Final = struct.Struct("!hiqiq")
_ROW_FIELDS: Final = 10

_NULL: Final = b"\xff\xff\xff\xff"
_ID_LENGTH: Final = struct.pack("!i", 16)
_LENGTH: Final = struct.Struct("!i")
_TIME_AND_PAYLOAD_LENGTH: Final = struct.Struct("!iqiB")


@dataclass(frozen=True, slots=True)
class RowFacts:
    """What a row says of itself."""

    event_type: str
    site_id: str
    visitor_id: str | None
    user_id: str | None
    occurred_at: datetime
    payload: bytes


def encode_row(
    *,
    event_id: bytes,
    event_type: str,
    site_id: str,
    visitor_id: str | None,
    session_id: str | None,
    user_id: str | None,
    occurred_at_us: int,
    payload: bytes,
) -> bytes:
    """One row in COPY's binary format, all but its head (`segment_id`, `received_at`).

    `event_id` is the UUID's 16 bytes; `occurred_at_us` counts microseconds since 1970.
    """
    return b"".join(
        (
            _ID_LENGTH,
            event_id,
            _texts(event_type, site_id),
            _texts(visitor_id, session_id, user_id),
            # 1 is the version byte of jsonb's binary form.
            _TIME_AND_PAYLOAD_LENGTH.pack(8, occurred_at_us - _EPOCH_2000_US, len(payload) + 1, 1),
            payload,
        )
    )


@lru_cache(maxsize=4_096)
def _texts(*values: str | None) -> bytes:
    """Text fields one after another; the events of a batch mostly share them."""
    return b"".join([_NULL if value is None else _text(value) for value in values])


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _LENGTH.pack(len(encoded)) + encoded


def event_id_of(row: bytes) -> bytes:
    """The first field of an encoded row: the UUID's 16 bytes."""
    return row[4:20]


def encode_row_head(segment_id: int, received_us: int) -> bytes:
    """What stands before each row: the part that is known only under the fence."""
    return _ROW_HEAD.pack(_ROW_FIELDS, 8, segment_id, 8, received_us - _EPOCH_2000_US)


def read_row(row: bytes) -> RowFacts:
    """The inverse of `encode_row`, as far as anybody asks."""
    fields: list[bytes | None] = []
    at = 0
    while at < len(row):
        (length,) = _LENGTH.unpack_from(row, at)
        at += 4
        fields.append(None if length == -1 else row[at : at + length])
        at += max(0, length)
    _, event_type, site_id, visitor_id, _, user_id, occurred_at, payload = fields
    assert event_type is not None and site_id is not None
    assert occurred_at is not None and payload is not None
    microseconds = int.from_bytes(occurred_at, "big", signed=True)
    return RowFacts(
        event_type.decode(),
        site_id.decode(),
        visitor_id.decode() if visitor_id is not None else None,
        user_id.decode() if user_id is not None else None,
        _EPOCH_2000 + microseconds * _MICROSECOND,
        payload[1:],
    )
