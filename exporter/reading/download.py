"""Bring one object into a folder: under its name it stands whole and verified, or not at all.

Order of effects, and what a crash after each leaves behind:

1. write beside the datasets, digesting (left: a partial file, removed by the next pull)
2. compare with the manifest, flush, rename (left: the file, which the next pull finds to be right)
3. flush the folder
"""

from __future__ import annotations

import hashlib
import os
import random
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from core.manifest import DeliveredObject
from exporter.reading.problems import BucketDamaged
from exporter.sinks.sink import Bucket, SinkUnavailable

_ATTEMPTS: Final = 5
_FIRST_WAIT_SECONDS: Final = 0.5

Answer = TypeVar("Answer")


def fetch(bucket: Bucket, expected: DeliveredObject, target: Path, *, partial_folder: Path) -> bool:
    """Have the object at `target`; returns whether it had to be downloaded.

    Raises BucketDamaged when it is missing or another, SinkError, or OSError of the folder.
    """
    if _is_here(expected, target):
        return False
    partial = partial_folder / f"{uuid.uuid4().hex}.partial"
    try:
        patiently(lambda: _download(bucket, expected, partial))
        make_folder(target.parent)
        partial.replace(target)
        flush(target.parent)
    finally:
        partial.unlink(missing_ok=True)
    return True


def patiently(ask: Callable[[], Answer], *, pause: Callable[[float], None] = time.sleep) -> Answer:
    """Ask a bucket again when it is unavailable for a moment; the last answer is raised."""
    for attempt in range(_ATTEMPTS - 1):
        try:
            return ask()
        except SinkUnavailable:
            pause(_FIRST_WAIT_SECONDS * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311
    return ask()


def _download(bucket: Bucket, expected: DeliveredObject, partial: Path) -> None:
    chunks = bucket.read_chunks(expected.key)
    if chunks is None:
        raise BucketDamaged(f"{expected.key} is not there, and its manifest lists it.")
    digest, size = hashlib.sha256(), 0
    with partial.open("wb") as stream:
        for chunk in chunks:
            stream.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        stream.flush()
        os.fsync(stream.fileno())
    if (size, digest.hexdigest()) != (expected.bytes, expected.sha256):
        found = f"{size:,} bytes, SHA-256 {digest.hexdigest()[:12]}…"
        raise BucketDamaged(
            f"{expected.key} was changed: it has {found};"
            f" its manifest says {expected.bytes:,} bytes, {expected.sha256[:12]}…."
        )


def _is_here(expected: DeliveredObject, target: Path) -> bool:
    try:
        if target.stat().st_size != expected.bytes:
            return False
        with target.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == expected.sha256
    except (FileNotFoundError, NotADirectoryError):
        return False


def make_folder(folder: Path) -> None:
    """Create a folder and those above it, each entry flushed to the disk."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    flush(folder.parent)


def flush(folder: Path) -> None:
    """Have a folder's entries reach the disk."""
    if os.name == "nt":
        return  # folders cannot be opened there
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
