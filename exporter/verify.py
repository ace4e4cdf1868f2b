"""Hold a bucket against its signed receipts: with read access only, by either side.

The client's bucket has the objects that the receipts name; the vendor's has a copy of the receipts
and, with a backup, objects of its own, which its own manifests name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from core.keys import (
    key_statements_prefix,
    manifest_key,
    manifests_prefix,
    receipts_prefix,
    segment_of,
)
from core.manifest import DeliveredObject, decode_manifest
from core.receipt import Receipt, decode_receipt, digest_receipt
from core.signing import KeyStatement, has_valid_signature, public_key_of
from exporter.sinks.sink import Bucket


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    holds: bool
    what: str
    is_segment: bool = False
    """Whether it stands for a segment as a whole, for a progress bar to count."""


def verify_bucket(
    bucket: Bucket, prefix: str, *, trusted_key: str | None = None
) -> Iterator[Finding]:
    """Walk the keys, the chain of receipts, the manifests and every object.

    `trusted_key` is the id of a key that is known from elsewhere; without one, the first key in
    the bucket is believed. Raises SinkError when the bucket cannot be read.
    """
    keys: dict[str, bytes] = {}
    yield from _check_keys(bucket, prefix, trusted_key, keys)
    yield from _check_chain(bucket, prefix, keys)


def _check_keys(
    bucket: Bucket, prefix: str, trusted_key: str | None, keys: dict[str, bytes]
) -> Iterator[Finding]:
    signer: bytes | None = None
    for number, key in enumerate(bucket.list_keys(key_statements_prefix(prefix)), start=1):
        body = bucket.get(key) or b""
        try:
            statement = msgspec.json.decode(body, type=KeyStatement)
            public = public_key_of(statement)
        except (msgspec.MsgspecError, ValueError) as exc:
            yield Finding(False, f"{key}: no key can be read there: {exc}")
            return
        if statement.number != number:
            yield Finding(False, f"{key}: key {number} is missing")
            return
        if not has_valid_signature(body, public if signer is None else signer):
            yield Finding(False, f"{key}: not signed by the key before it")
            return
        signer, keys[statement.key_id] = public, public
        yield Finding(True, f"key {number}, {statement.key_id}")
    if not keys:
        yield Finding(False, f"{key_statements_prefix(prefix)}: no key stands there")
    elif trusted_key is not None and trusted_key not in keys:
        yield Finding(False, f"the trusted key {trusted_key} is none of those in the bucket")


def _check_chain(bucket: Bucket, prefix: str, keys: dict[str, bytes]) -> Iterator[Finding]:
    previous: str | None = None
    last = 0
    receipted = set[int]()
    for key in bucket.list_keys(receipts_prefix(prefix)):
        segment_id = segment_of(key)
        body = bucket.get(key) or b""
        try:
            receipt = decode_receipt(body)
        except msgspec.MsgspecError as exc:
            yield Finding(False, f"{key}: no receipt can be read there: {exc}")
            previous = digest_receipt(body)
            continue
        wrong = [
            *_problems_of(receipt, body, segment_id, keys),
            *(["it does not follow the receipt before it: one is missing, or was put there"]
              if receipt.previous != previous else []),
            *_problems_in_bucket(bucket, prefix, receipt),
        ]  # fmt: skip
        for problem in wrong:
            yield Finding(False, f"segment {receipt.segment_id}: {problem}")
        if not wrong:
            yield Finding(
                True,
                f"segment {receipt.segment_id}: {receipt.billed:,} events billed,"
                f" {len(receipt.objects)} objects",
                is_segment=True,
            )
        previous, last = digest_receipt(body), receipt.segment_id
        receipted.add(receipt.segment_id)
    yield from _check_manifests(bucket, prefix, receipted, last)


def _problems_of(
    receipt: Receipt, body: bytes, segment_id: int | None, keys: dict[str, bytes]
) -> Iterator[str]:
    """What is wrong with a receipt by itself."""
    key = keys.get(receipt.key_id)
    if key is None:
        yield f"it is signed with a key that is not in the bucket, {receipt.key_id}"
    elif not has_valid_signature(body, key):
        yield "its signature is not valid: it was changed, or somebody else wrote it"
    if receipt.segment_id != segment_id:
        yield f"it stands in the place of segment {segment_id}"
    counts = receipt.counts
    if counts.received != counts.accepted + counts.rejected:
        yield "received is not accepted + rejected"
    if counts.rejected != sum(counts.rejected_by_reason.values()):
        yield "its refusals do not add up by reason"
    if counts.accepted != counts.exported + counts.duplicates:
        yield "accepted is not exported + duplicates"
    if not receipt.billed == counts.exported == sum(d.events for d in receipt.billed_by_day):
        yield "what is billed is not what was exported"
    rows = Counter[str]()
    for delivered in receipt.objects:
        rows[f"{delivered.dataset} {delivered.format}"] += delivered.rows
    for form, number in rows.items():
        if form.startswith("events ") and number != counts.exported:
            yield f"its {form} objects hold {number} rows, {counts.exported} were exported"


def _problems_in_bucket(bucket: Bucket, prefix: str, receipt: Receipt) -> Iterator[str]:
    """What is wrong with what a receipt speaks of."""
    key = manifest_key(prefix, receipt.segment_id)
    body = bucket.get(key)
    is_clients = receipt.manifest == key
    if body is None:
        # The vendor's bucket may be behind, or hold no manifest of its own yet.
        if is_clients:
            yield f"its manifest {key} is not there"
        return
    try:
        manifest = decode_manifest(body)
    except msgspec.MsgspecError as exc:
        yield f"its manifest {key} cannot be read: {exc}"
        return
    if is_clients and sha256(body).hexdigest() != receipt.manifest_sha256:
        yield f"its manifest {key} was changed"
    if manifest.counts != receipt.counts:
        yield f"the manifest {key} counts otherwise"
    yield from _problems_of_objects(bucket, receipt.objects if is_clients else manifest.objects)


def _problems_of_objects(bucket: Bucket, objects: list[DeliveredObject]) -> Iterator[str]:
    for expected in objects:
        found = bucket.read_back(expected.key)
        if found is None:
            yield f"{expected.key} is not there"
        elif (found.bytes, found.sha256) != (expected.bytes, expected.sha256):
            yield f"{expected.key} was changed: {found.bytes} bytes, {found.sha256[:12]}…"


def _check_manifests(
    bucket: Bucket, prefix: str, receipted: set[int], last: int
) -> Iterator[Finding]:
    """Segments that were delivered and have no receipt: the newest ones may still get it."""
    for key in bucket.list_keys(manifests_prefix(prefix)):
        segment_id = segment_of(key)
        if segment_id is None or segment_id in receipted:
            continue
        if segment_id > last:
            yield Finding(True, f"segment {segment_id}: delivered, its receipt is still to come")
        elif receipted and segment_id > min(receipted):
            yield Finding(False, f"segment {segment_id}: delivered, and its receipt is gone")
