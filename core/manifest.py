"""What a segment delivered into one sink: the manifest, and the watermark that points at it.

Both are JSON objects with snake_case names, read by anyone; fields are only ever added.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from core.keys import EVENT_DATASETS

MANIFEST_FORMAT: Final = "sluice-manifest/1"

Aware = Annotated[datetime, Meta(tz=True)]
"""A time that says of which zone it is: two can be compared."""


class Window(Struct, frozen=True):
    """When the segment took in events: `opened_at` ≤ received_at < `sealed_at`."""

    opened_at: Aware
    sealed_at: Aware


class Counts(Struct, frozen=True):
    """The segment's part of the conservation law.

    received = accepted + rejected; accepted = exported + duplicates.
    """

    received: int
    accepted: int
    rejected: int
    duplicates: int
    exported: int
    rejected_by_reason: dict[str, int]


class RecordingCounts(Struct, frozen=True):
    """The segment's chunks of recordings, apart from its events.

    received = stored + repeated + rejected; stored = delivered + erased, and `delivered` are the
    rows of `replay` in a bucket that has that dataset.
    """

    received: int
    stored: int
    repeated: int
    rejected: int
    erased: int
    delivered: int
    bytes: int
    """Of the chunks stored, gzipped."""


class DeliveredObject(Struct, frozen=True):
    """One file, as it was read back from the bucket."""

    dataset: str
    key: str
    format: str
    rows: int
    bytes: int
    sha256: str
    """Of the object's bytes, in hexadecimal."""


class Manifest(Struct, frozen=True, kw_only=True):
    """The commit point of a segment's delivery into one sink."""

    format: Literal["sluice-manifest/1"] = MANIFEST_FORMAT
    client_id: str
    sink: str
    segment_id: int
    window: Window
    counts: Counts
    objects: list[DeliveredObject]
    schema_version: int
    previous: str | None
    """Key of the manifest before it; None for the first."""
    written_by: str
    """Component and version."""
    partitioned_by: Literal["received_at", "occurred_at"] = "received_at"
    """Which time the folders of the events are of."""
    recordings: RecordingCounts | None = None
    """None where no chunk came."""

    def rows_by_dataset(self) -> dict[str, int]:
        """The events of each dataset that has any: all of them have the same."""
        rows: Counter[str] = Counter()
        for delivered in self.objects:
            if delivered.dataset in EVENT_DATASETS:
                rows[delivered.dataset] += delivered.rows
        return dict(rows)


class Owner(Struct, frozen=True):
    """The one stack that writes below a prefix: two would overwrite each other's objects."""

    stack_id: UUID
    client_id: str


class Watermark(Struct, frozen=True):
    """Every event received before `watermark` is delivered, and listed in a manifest."""

    watermark: Aware
    segment_id: int
    manifest: str
    """Key of the newest manifest; follow `previous` from there."""


def encode_json(document: Struct) -> bytes:
    """Readable, with a stable order of fields: the same document gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def decode_manifest(body: bytes) -> Manifest:
    """Raises msgspec.MsgspecError when the body is no manifest that this version reads."""
    return msgspec.json.decode(body, type=Manifest)


def decode_owner(body: bytes) -> Owner:
    """Raises msgspec.MsgspecError when the body names no owner."""
    return msgspec.json.decode(body, type=Owner)
