"""What a delivery needs of a bucket, and how a bucket fails."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


class SinkError(Exception):
    """A bucket did not do what it was asked; `key` is the object it failed at."""

    def __init__(self, message: str, *, key: str = "") -> None:
        super().__init__(f"{message} (key {key})" if key else message)
        self.key = key


class SinkUnavailable(SinkError):
    """Transient: the same request may succeed later."""


class SinkRefused(SinkError):
    """Permanent until somebody changes something: no such bucket, access denied."""


@dataclass(frozen=True, slots=True)
class ObjectDigest:
    """An object as it was read back, from its first byte to its last."""

    bytes: int
    sha256: str


def digest_chunks(
    chunks: Generator[bytes], hand_to: Callable[[bytes], object] | None
) -> ObjectDigest:
    """Read an object to its end; what `hand_to` raises is no failure of the bucket."""
    digest, size = hashlib.sha256(), 0
    with closing(chunks):
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            if hand_to is not None:
                hand_to(chunk)
    return ObjectDigest(size, digest.hexdigest())


class Bucket(Protocol):
    """A flat store of objects. Every method raises SinkUnavailable or SinkRefused."""

    def put_file(self, key: str, path: Path, *, sha256: str) -> None:
        """Store a file, replacing what was there; readers see all of it or nothing."""

    def put(self, key: str, body: bytes) -> None:
        """Store a small object, replacing what was there."""

    def put_if_absent(self, key: str, body: bytes) -> bool:
        """Store a small object unless there is one; returns whether it was stored."""

    def get(self, key: str) -> bytes | None:
        """A small object's bytes; None when there is none."""

    def read_back(
        self, key: str, hand_to: Callable[[bytes], object] | None = None
    ) -> ObjectDigest | None:
        """Read an object through and digest it; None when there is none.

        Each piece is handed on, in order, to whoever looks into it; what that raises is raised as
        it is.
        """

    def read_chunks(self, key: str) -> Generator[bytes] | None:
        """An object's bytes, a piece at a time; None when there is none."""

    def list_keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Keys that begin with the prefix, in order; only those behind `after`."""

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders right below `prefix`, in order; what is in them is not listed."""

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none."""

    def abort_uploads(self, prefix: str, *, before: datetime) -> int:
        """Give up uploads below a prefix that were begun before then; returns how many."""
