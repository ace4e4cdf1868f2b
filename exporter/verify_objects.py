"""Hold a segment's manifest and objects, read to their ends, against its receipt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from typing import Final

from core.keys import (
    EVENT_DATASETS,
    DayKey,
    IdentitiesKey,
    ObjectKey,
    RecordingKey,
    UsageKey,
    manifest_key,
    parse_day_key,
    parse_identities_key,
    parse_object_key,
    parse_recording_key,
    parse_usage_key,
)
from core.manifest import DeliveredObject, Manifest, decode_manifest
from core.receipt import Receipt
from exporter.count_rows import row_counter
from exporter.finding import UNREADABLE, Chain, Finding, read_document
from exporter.reading.download import patiently
from exporter.receipt_problems import problems_of_usage
from exporter.receipts import BILLED_SINK
from exporter.sinks.sink import Bucket, ObjectDigest
from exporter.usage import read_usage

_MAX_SKIPPED: Final = 100
"""Of segments' numbers: a crash of the database skips some 30."""

AnyKey = ObjectKey | IdentitiesKey | DayKey | UsageKey | RecordingKey
_DATASETS: Final[dict[str, Callable[[str], AnyKey | None]]] = {
    **dict.fromkeys(EVENT_DATASETS, parse_object_key),
    "identities": parse_identities_key,
    "failed": parse_day_key,
    "sites": parse_day_key,
    "replay": parse_recording_key,
    "replay_index": parse_day_key,
    "usage": parse_usage_key,
}
"""The folders that readers take for ours, and what their keys are parsed by."""


def problems_in_bucket(
    bucket: Bucket, prefix: str, receipt: Receipt, chain: Chain
) -> Iterator[str]:
    """What is wrong with what a receipt speaks of."""
    key = manifest_key(prefix, receipt.segment_id)
    try:
        body = read_document(bucket, key)
        if body is None:
            yield f"its manifest {key} is not there"
            return
        manifest = decode_manifest(body)
    except UNREADABLE as exc:
        yield f"its manifest {key} cannot be read: {exc}"
        return
    if manifest.sink != chain.sink:
        yield f"its manifest {key} is of the bucket {manifest.sink!r}, and this is {chain.sink!r}"
    if chain.sink == BILLED_SINK:
        if receipt.manifest != key:
            yield f"it speaks of another manifest, {receipt.manifest}"
        if sha256(body).hexdigest() != receipt.manifest_sha256:
            yield f"its manifest {key} was changed"
        if manifest.objects != receipt.objects:
            yield f"the manifest {key} lists other objects"
    if manifest.counts != receipt.counts:
        yield f"the manifest {key} counts otherwise"
    yield from _problems_of_objects(bucket, prefix, manifest, chain)
    if chain.sink != BILLED_SINK:
        yield from _problems_of_records(bucket, manifest, receipt)


def _problems_of_objects(
    bucket: Bucket, prefix: str, manifest: Manifest, chain: Chain
) -> Iterator[str]:
    rows, chunks = Counter[str](), 0
    for expected in manifest.objects:
        if not _is_object_of(expected, prefix, manifest.segment_id):
            yield f"{expected.key} is no key of an object of this segment"
            continue
        if expected.key in chain.named:
            yield f"{expected.key} is named twice"
        chain.named.add(expected.key)
        if expected.dataset in EVENT_DATASETS:
            rows[expected.dataset] += expected.rows
        if expected.dataset == "replay":
            chunks += expected.rows
        yield from _problems_of_object(bucket, expected, chain)
    for dataset, number in rows.items():
        if number != manifest.counts.exported:
            exported = manifest.counts.exported
            yield f"its {dataset} objects hold {number} rows, {exported} were exported"
    due = manifest.recordings.delivered if manifest.recordings else 0
    if chunks != due and (chunks or chain.sink == BILLED_SINK):
        yield f"its replay objects hold {chunks} chunks, {due} were delivered"
    if manifest.counts.exported:
        chain.with_events += 1
        chain.backed_up += bool(rows)


def _problems_of_object(bucket: Bucket, expected: DeliveredObject, chain: Chain) -> Iterator[str]:
    try:
        found, rows = patiently(lambda: _read_through(bucket, expected))
    except ValueError as exc:
        yield f"{expected.key} holds no rows that can be counted: {exc}"
        return
    if found is None:
        yield f"{expected.key} is not there"
        return
    if (found.bytes, found.sha256) != (expected.bytes, expected.sha256):
        yield f"{expected.key} was changed: {found.bytes} bytes, {found.sha256[:12]}…"
        return
    if rows != expected.rows:
        yield f"{expected.key} holds {rows} rows, not {expected.rows}"
    if expected.dataset in EVENT_DATASETS:
        content = bytes.fromhex(found.sha256)
        if content in chain.contents:
            yield f"{expected.key} holds the very bytes of another object: its events count twice"
        chain.contents.add(content)


def _read_through(
    bucket: Bucket, expected: DeliveredObject
) -> tuple[ObjectDigest | None, int | None]:
    """An object's digest, and its rows where it is the one that is expected."""
    counter = row_counter(expected.format)
    if counter is None:
        raise ValueError(f"this version cannot count the rows of {expected.format}")
    with closing(counter):
        found = bucket.read_back(expected.key, counter.take)
        is_same = found == ObjectDigest(expected.bytes, expected.sha256)
        return found, counter.rows() if is_same else None


def _is_object_of(delivered: DeliveredObject, prefix: str, segment_id: int) -> bool:
    """Whether a key is one that we build below this prefix, for this dataset and segment."""
    parse = _DATASETS.get(delivered.dataset)
    key = parse(delivered.key) if parse else None
    return key is not None and (key.dataset, key.format, key.segment_id, key.under(prefix)) == (
        delivered.dataset,
        delivered.format,
        segment_id,
        delivered.key,
    )


def _problems_of_records(bucket: Bucket, manifest: Manifest, receipt: Receipt) -> Iterator[str]:
    """Hold the vendor's usage records against the receipt."""
    files = [listed.key for listed in manifest.objects if listed.dataset == "usage"]
    if len(files) != bool(receipt.counts.received):
        yield f"it counts {receipt.counts.received} events, and has {len(files)} usage objects"
        return
    for key in files:
        try:
            body = read_document(bucket, key)
            if body is not None:  # or it is told already
                yield from problems_of_usage(receipt, *read_usage(body))
        except UNREADABLE as exc:
            yield f"{key}: {exc}"


def check_others(bucket: Bucket, prefix: str, chain: Chain) -> Iterator[Finding]:
    """Objects that nobody vouches for, among those that readers of a folder take for ours."""
    listed: dict[int, frozenset[str] | None] = {}
    uncommitted = Counter[int]()
    for dataset, parse in _DATASETS.items():
        for key in bucket.list_keys(f"{prefix}/{dataset}/"):
            if key in chain.named:
                continue
            parsed = parse(key)
            if parsed is None or parsed.segment_id in chain.receipted:
                yield Finding(False, f"{key} is named by no manifest")
                continue
            if parsed.segment_id not in listed:
                listed[parsed.segment_id] = _listed_by(bucket, prefix, parsed.segment_id)
            names = listed[parsed.segment_id]
            if names is None:
                uncommitted[parsed.segment_id] += 1
            elif key not in names:
                yield Finding(False, f"{key} is named by no manifest")
    # Segments are delivered in order, so that one at most can be under way.
    waiting = [s for s in sorted(uncommitted) if _listed_by(bucket, prefix, s) is None]
    newest = max(chain.receipted, default=0)
    for place, segment_id in enumerate(waiting):
        objects = f"{uncommitted[segment_id]} objects of segment {segment_id}"
        if place == 0 and newest < segment_id <= newest + _MAX_SKIPPED:
            yield Finding(True, f"{objects} are not committed: it is being delivered")
        else:
            yield Finding(False, f"{objects} are named by no manifest")


def _listed_by(bucket: Bucket, prefix: str, segment_id: int) -> frozenset[str] | None:
    """Keys that a segment's manifest lists; None when there is none."""
    try:
        body = read_document(bucket, manifest_key(prefix, segment_id))
        return None if body is None else frozenset(o.key for o in decode_manifest(body).objects)
    except UNREADABLE:
        return frozenset()
