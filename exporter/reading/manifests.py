"""Read a bucket's manifests in their order, and see that none is missing.

The numbers of segments rise, and may leave some out (a seal that was given up has used its
number). What shows a gap is that each manifest names the one before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from core.keys import (
    manifest_key,
    manifests_prefix,
    owner_key,
    segment_of,
    watermark_key,
)
from core.manifest import DeliveredObject, Manifest, Owner, Watermark, decode_manifest, decode_owner
from exporter.reading.problems import BucketDamaged, PullError
from exporter.sinks.sink import Bucket

_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
_PATH: Final = re.compile(r"(?:[^/\\\x00-\x1f]+/)+[^/\\\x00-\x1f]+")


def read_owner(bucket: Bucket, prefix: str) -> Owner:
    """Whose bucket it is. Raises PullError where nothing was ever delivered."""
    body = bucket.get(owner_key(prefix))
    if body is None:
        raise PullError(
            f"{owner_key(prefix)} is not there: no stack delivers below this prefix, or it has not"
            " begun to. The prefix is the stack's CLIENT_PREFIX (`analytics` unless it was"
            " set); in the vendor's bucket it is clients/CLIENT_ID."
        )
    try:
        return decode_owner(body)
    except _UNREADABLE as exc:
        raise BucketDamaged(f"{owner_key(prefix)} cannot be read: {exc}") from exc


def read_watermark(bucket: Bucket, prefix: str) -> Watermark | None:
    """How far delivery has come; None before the first segment. Raises BucketDamaged."""
    body = bucket.get(watermark_key(prefix))
    if body is None:
        return None
    try:
        return msgspec.json.decode(body, type=Watermark)
    except _UNREADABLE as exc:
        raise BucketDamaged(f"{watermark_key(prefix)} cannot be read: {exc}") from exc


def read_manifest(bucket: Bucket, prefix: str, segment_id: int) -> Manifest:
    """One manifest, if it is sound in itself. Raises BucketDamaged."""
    key = manifest_key(prefix, segment_id)
    body = bucket.get(key)
    if body is None:
        raise BucketDamaged(f"The manifest {key} is not there any more.")
    try:
        manifest = decode_manifest(body)
    except _UNREADABLE as exc:
        raise BucketDamaged(f"The manifest {key} cannot be read: {exc}") from exc
    if manifest.segment_id != segment_id:
        raise BucketDamaged(f"The manifest {key} speaks of segment {manifest.segment_id}.")
    _check_rows(manifest, key)
    return manifest


def previous_segment(manifest: Manifest) -> int | None:
    """The segment before it; None for the first below a prefix."""
    return None if manifest.previous is None else segment_of(manifest.previous)


def check_link(manifest: Manifest, before: int | None) -> None:
    """Raise BucketDamaged unless `before` is the segment that the manifest names."""
    named = previous_segment(manifest)
    if named != before:
        raise BucketDamaged(
            f"A manifest is missing: that of segment {manifest.segment_id} follows"
            f" {_name(named)}, and {_name(before)} stands before it in the bucket."
        )


def local_path(delivered: DeliveredObject, prefix: str) -> str:
    """Where an object stands below a folder. Raises BucketDamaged for a key that leads out."""
    path = delivered.key.removeprefix(f"{prefix}/")
    names = path.split("/")
    if (
        path == delivered.key
        or not _PATH.fullmatch(path)
        or not {".", ".."}.isdisjoint(names)
        or names[0].startswith(("_", "."))
        or ":" in names[0]
    ):
        raise BucketDamaged(f"A manifest names {delivered.key!r}: no key of a dataset.")
    return path


def list_segments(bucket: Bucket, prefix: str, *, after: int | None) -> Iterator[int]:
    """Segments that have a manifest, in order; only those after one, without listing the rest."""
    begin = manifest_key(prefix, after) if after is not None else ""
    for key in bucket.list_keys(manifests_prefix(prefix), after=begin):
        if (segment_id := segment_of(key)) is not None:
            yield segment_id


def find_segment(bucket: Bucket, prefix: str, *, moment: datetime, newest: int) -> int | None:
    """The first segment that may hold what was received at `moment` or later.

    By halves: a listing and a manifest for each. None when all were sealed before.
    """
    first = next(list_segments(bucket, prefix, after=None), None)
    if first is None:
        return None
    low, high, found = first, newest, None
    while low <= high:
        middle = (low + high) // 2
        probe = next(list_segments(bucket, prefix, after=middle - 1), None)
        if probe is None or probe > high:
            high = middle - 1
        elif read_manifest(bucket, prefix, probe).window.sealed_at > moment:
            found, high = probe, middle - 1
        else:
            low = probe + 1
    return found


def _check_rows(manifest: Manifest, key: str) -> None:
    for dataset, rows in manifest.rows_by_dataset().items():
        if rows != manifest.counts.exported:
            raise BucketDamaged(
                f"The manifest {key} counts {manifest.counts.exported} events, and its objects in"
                f" {dataset} {rows}."
            )


def _name(segment_id: int | None) -> str:
    return "none" if segment_id is None else f"segment {segment_id}"
