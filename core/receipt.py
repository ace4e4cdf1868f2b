"""What a segment delivered to the client, and what is billed for it: signed, and chained.

A JSON object with snake_case names, read by anyone; fields are only ever added. The client's
bucket and the vendor's hold the same bytes: each side can hold the bill against the objects.
"""

from __future__ import annotations

import datetime as dt
from hashlib import sha256
from typing import Final, Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from core.manifest import Counts, DeliveredObject, Window

RECEIPT_FORMAT: Final = "sluice-receipt/1"


class BilledDay(Struct, frozen=True):
    """Events of one site that were received on one day (UTC) and delivered."""

    site_id: str
    day: dt.date
    events: int


class Receipt(Struct, frozen=True, kw_only=True):
    """One for each segment, the empty ones too."""

    format: Literal["sluice-receipt/1"] = RECEIPT_FORMAT
    stack_id: UUID
    client_id: str
    segment_id: int
    window: Window
    counts: Counts
    billed: int
    """Events delivered, each once: what is exported, and no refusal or duplicate."""
    billed_by_day: list[BilledDay]
    manifest: str
    """Key of the segment's manifest in the client's bucket."""
    manifest_sha256: str
    objects: list[DeliveredObject]
    """In the client's bucket."""
    previous: str | None
    """SHA-256 of the receipt before it, as it stands in the bucket; None for a stack's first."""
    key_id: str
    written_by: str
    """Component and version."""
    partitioned_by: Literal["received_at", "occurred_at"] = "received_at"
    """Which time the days in the objects' keys are of; what is billed goes by `received_at`."""
    signature: str = ""


def decode_receipt(body: bytes) -> Receipt:
    """Raises msgspec.MsgspecError when the body is no receipt that this version reads."""
    return msgspec.json.decode(body, type=Receipt)


def digest_receipt(body: bytes) -> str:
    """What the next receipt calls it by."""
    return sha256(body).hexdigest()
