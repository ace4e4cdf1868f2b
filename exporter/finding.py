"""What verifying a bucket finds, and what it has to remember on its way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import msgspec

from core.manifest import Owner
from core.receipt import Receipt
from exporter.reading.download import patiently
from exporter.sinks.sink import Bucket

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding an object that somebody else may have written raises."""
_MAX_DOCUMENT_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    holds: bool
    what: str
    is_segment: bool = False
    """Whether it stands for a segment as a whole, for a progress bar to count."""


@dataclass(slots=True)
class Chain:
    """What has been seen of it so far."""

    sink: str
    known_receipt: str | None
    is_known_found: bool = False
    owner: Owner | None = None
    watermark: int = 0
    previous: str | None = None
    last: Receipt | None = None
    key_number: int = 0
    receipted: set[int] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    """Keys of all objects that a receipt or its manifest names."""
    contents: set[bytes] = field(default_factory=set)
    """Digests of all objects that hold events."""
    billed: Counter[str] = field(default_factory=Counter)
    """By month."""
    with_events: int = 0
    backed_up: int = 0


def read_document(bucket: Bucket, key: str) -> bytes | None:
    """An object that is read as a whole; raises ValueError for one that is none of ours."""

    def read() -> bytes | None:
        body = bytearray()

        def take(chunk: bytes) -> None:
            if len(body) + len(chunk) > _MAX_DOCUMENT_BYTES:
                raise ValueError(f"it is larger than {_MAX_DOCUMENT_BYTES >> 20} MiB")
            body.extend(chunk)

        return None if bucket.read_back(key, take) is None else bytes(body)

    return patiently(read)
