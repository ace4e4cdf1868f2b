"""Hold a bucket against its signed receipts: with read access only, by either side.

The client's bucket has the objects that the receipts name; the vendor's has a copy of the receipts
and, with a backup, objects of its own, which its own manifests name. Those manifests are not
signed: of the backup what is checked is that it is whole, and counts what the receipts count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Final

import msgspec

from core.keys import (
    EVENT_DATASETS,
    DayKey,
    IdentitiesKey,
    ObjectKey,
    key_statements_prefix,
    manifest_key,
    manifests_prefix,
    number_of_statement,
    owner_key,
    parse_day_key,
    parse_identities_key,
    parse_object_key,
    parse_usage_key,
    receipts_prefix,
    segment_of,
    watermark_key,
)
from core.manifest import (
    DeliveredObject,
    Manifest,
    Owner,
    Watermark,
    decode_manifest,
    decode_owner,
)
from core.receipt import Receipt, decode_receipt, digest_receipt
from core.signing import KeyStatement, has_valid_signature, public_key_of
from exporter.receipts import BILLED_SINK
from exporter.sinks.sink import Bucket

_RECEIPT_DELAY: Final = timedelta(hours=1)
"""After a delivery, in which its receipt may still be to come."""
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    holds: bool
    what: str
    is_segment: bool = False
    """Whether it stands for a segment as a whole, for a progress bar to count."""


@dataclass(slots=True)
class _Keys:
    """The public keys of a bucket, and from which one on they are to be believed."""

    by_id: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    first_trusted: int = 1


@dataclass(slots=True)
class _Chain:
    """What has been seen of it so far."""

    owner: Owner | None = None
    previous: str | None = None
    last: Receipt | None = None
    key_number: int = 0
    receipted: set[int] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    """Keys of all objects that a receipt or its manifest names."""


def verify_bucket(
    bucket: Bucket, prefix: str, *, now: datetime, trusted_key: str | None = None
) -> Iterator[Finding]:
    """Walk the keys, the chain of receipts, the manifests and every object.

    `trusted_key` is the id of a key that is known from elsewhere: then the newest receipt has to
    be signed by it, or by one that follows from it, and vouches for those before it. Without one,
    the first key in the bucket is believed. Raises SinkError when the bucket cannot be read.
    """
    keys, chain = _Keys(), _Chain()
    yield from _check_keys(bucket, prefix, trusted_key, keys)
    yield from _check_owner(bucket, prefix, chain)
    yield from _check_chain(bucket, prefix, keys, chain)
    yield from _check_end(bucket, prefix, keys, chain, now)
    yield from _check_others(bucket, prefix, chain)


def _check_keys(
    bucket: Bucket, prefix: str, trusted_key: str | None, keys: _Keys
) -> Iterator[Finding]:
    signer: tuple[str, bytes] | None = None
    number = 0
    for key in bucket.list_keys(key_statements_prefix(prefix)):
        if number_of_statement(key) is None:
            yield Finding(True, f"{key}: none of ours, and left alone")
            continue
        number += 1
        body = bucket.get(key) or b""
        try:
            statement = msgspec.json.decode(body, type=KeyStatement)
            public = public_key_of(statement)
        except _UNREADABLE as exc:
            yield Finding(False, f"{key}: no key can be read there: {exc}")
            return
        if not statement.number == number == number_of_statement(key):
            yield Finding(False, f"{key}: key {number} is missing")
            return
        signed_by, signing = signer or (statement.key_id, public)
        if statement.signed_by != signed_by or not has_valid_signature(body, signing):
            yield Finding(False, f"{key}: not signed by the key before it")
            return
        signer = (statement.key_id, public)
        keys.by_id[statement.key_id] = (number, public)
        yield Finding(True, f"key {number}, {statement.key_id}")
    if not keys.by_id:
        yield Finding(False, f"{key_statements_prefix(prefix)}: no key stands there")
    elif trusted_key is not None:
        if trusted_key in keys.by_id:
            keys.first_trusted = keys.by_id[trusted_key][0]
        else:
            yield Finding(False, f"the trusted key {trusted_key} is none of those in the bucket")


def _check_owner(bucket: Bucket, prefix: str, chain: _Chain) -> Iterator[Finding]:
    body = bucket.get(owner_key(prefix))
    try:
        chain.owner = decode_owner(body or b"")
    except _UNREADABLE as exc:
        yield Finding(False, f"{owner_key(prefix)}: whose bucket it is cannot be read: {exc}")
    else:
        yield Finding(True, f"stack {chain.owner.stack_id} of {chain.owner.client_id}")


def _check_chain(bucket: Bucket, prefix: str, keys: _Keys, chain: _Chain) -> Iterator[Finding]:
    for key in bucket.list_keys(receipts_prefix(prefix)):
        segment_id = segment_of(key)
        if segment_id is None:
            yield Finding(True, f"{key}: none of ours, and left alone")
            continue
        body = bucket.get(key) or b""
        digest = digest_receipt(body)
        try:
            receipt = decode_receipt(body)
        except _UNREADABLE as exc:
            yield Finding(False, f"{key}: no receipt can be read there: {exc}")
            chain.previous, chain.last = digest, None
            continue
        wrong = [
            *_problems_of_signature(receipt, body, segment_id, keys, chain),
            *_problems_in_chain(receipt, chain),
            *_problems_of_counts(receipt),
            *_problems_of_days(receipt),
            *_problems_in_bucket(bucket, prefix, receipt, chain),
        ]
        for problem in wrong:
            yield Finding(False, f"segment {segment_id}: {problem}")
        if not wrong:
            billed = f"segment {segment_id}: {receipt.billed:,} events billed"
            yield Finding(True, f"{billed}, {len(receipt.objects)} objects", is_segment=True)
        chain.previous, chain.last = digest, receipt
        chain.receipted.add(segment_id)


def _problems_of_signature(
    receipt: Receipt, body: bytes, segment_id: int, keys: _Keys, chain: _Chain
) -> Iterator[str]:
    number, public = keys.by_id.get(receipt.key_id, (0, b""))
    if not number:
        yield f"it is signed with a key that is not in the bucket, {receipt.key_id}"
    elif not has_valid_signature(body, public):
        yield "its signature is not valid: it was changed, or somebody else wrote it"
    elif number < chain.key_number:
        yield f"it is signed with key {number}, after key {chain.key_number} took its place"
    chain.key_number = max(chain.key_number, number)
    if receipt.segment_id != segment_id:
        yield f"it stands in the place of segment {segment_id}"


def _problems_in_chain(receipt: Receipt, chain: _Chain) -> Iterator[str]:
    if receipt.previous != chain.previous:
        yield "it does not follow the receipt before it: one is missing, or was put there"
    if receipt.window.opened_at > receipt.window.sealed_at:
        yield "its window ends before it begins"
    if chain.last is not None and receipt.window.opened_at != chain.last.window.sealed_at:
        yield "its window does not begin where the one before it ends"
    owner = chain.owner
    if owner is not None and (receipt.stack_id, receipt.client_id) != (
        owner.stack_id,
        owner.client_id,
    ):
        yield f"it is of stack {receipt.stack_id} of {receipt.client_id}"


def _problems_of_counts(receipt: Receipt) -> Iterator[str]:
    counts = receipt.counts
    numbers = [
        counts.received, counts.accepted, counts.rejected, counts.duplicates, counts.exported,
        *counts.rejected_by_reason.values(), *(day.events for day in receipt.billed_by_day),
        *(delivered.rows for delivered in receipt.objects),
    ]  # fmt: skip
    if min(numbers) < 0:
        yield "it counts less than nothing"
    if counts.received != counts.accepted + counts.rejected:
        yield "received is not accepted + rejected"
    if counts.rejected != sum(counts.rejected_by_reason.values()):
        yield "its refusals do not add up by reason"
    if counts.accepted != counts.exported + counts.duplicates:
        yield "accepted is not exported + duplicates"
    if not receipt.billed == counts.exported == sum(d.events for d in receipt.billed_by_day):
        yield "what is billed is not what was exported"


def _problems_of_days(receipt: Receipt) -> Iterator[str]:
    """Hold what is billed, by site and day, against the objects' rows, by their keys."""
    billed = Counter[tuple[str, date]]()
    for day in receipt.billed_by_day:
        billed[day.site_id, day.day] += day.events
    by_dataset: dict[str, Counter[tuple[str, date]]] = {}
    for delivered in receipt.objects:
        key = parse_object_key(delivered.key)
        if (
            delivered.dataset in EVENT_DATASETS
            and key is not None
            and key.segment_id == receipt.segment_id
        ):
            rows = by_dataset.setdefault(delivered.dataset, Counter())
            rows[key.partition.site_id, key.partition.hour.date()] += delivered.rows
    if receipt.billed and not by_dataset:
        yield "it bills events, and names no object that holds them"
    for dataset, rows in by_dataset.items():
        if +rows != +billed:
            yield f"what is billed by site and day is not what its {dataset} objects hold"


def _problems_in_bucket(
    bucket: Bucket, prefix: str, receipt: Receipt, chain: _Chain
) -> Iterator[str]:
    """What is wrong with what a receipt speaks of."""
    key = manifest_key(prefix, receipt.segment_id)
    body = bucket.get(key)
    if body is None:
        yield f"its manifest {key} is not there"
        return
    try:
        manifest = decode_manifest(body)
    except _UNREADABLE as exc:
        yield f"its manifest {key} cannot be read: {exc}"
        return
    if manifest.sink == BILLED_SINK:
        if receipt.manifest != key:
            yield f"it speaks of another manifest, {receipt.manifest}"
        if sha256(body).hexdigest() != receipt.manifest_sha256:
            yield f"its manifest {key} was changed"
        if manifest.objects != receipt.objects:
            yield f"the manifest {key} lists other objects"
    if manifest.counts != receipt.counts:
        yield f"the manifest {key} counts otherwise"
    yield from _problems_of_objects(bucket, prefix, manifest, chain)


def _problems_of_objects(
    bucket: Bucket, prefix: str, manifest: Manifest, chain: _Chain
) -> Iterator[str]:
    rows = Counter[str]()
    for expected in manifest.objects:
        if _segment_of_object(expected, prefix) != manifest.segment_id:
            yield f"{expected.key} is no key of an object of this segment"
            continue
        if expected.key in chain.named:
            yield f"{expected.key} is named twice"
        chain.named.add(expected.key)
        if expected.dataset in EVENT_DATASETS:
            rows[expected.dataset] += expected.rows
        found = bucket.read_back(expected.key)
        if found is None:
            yield f"{expected.key} is not there"
        elif (found.bytes, found.sha256) != (expected.bytes, expected.sha256):
            yield f"{expected.key} was changed: {found.bytes} bytes, {found.sha256[:12]}…"
    for dataset, number in rows.items():
        if number != manifest.counts.exported:
            exported = manifest.counts.exported
            yield f"its {dataset} objects hold {number} rows, {exported} were exported"


def _segment_of_object(delivered: DeliveredObject, prefix: str) -> int | None:
    """The segment that a key names, if it is one that we build below this prefix."""
    key = delivered.key
    parsers = (parse_object_key, parse_identities_key, parse_day_key, parse_usage_key)
    for parsed in (parse(key) for parse in parsers):
        if parsed is not None and parsed.dataset == delivered.dataset:
            return parsed.segment_id if parsed.under(prefix) == key else None
    return None


def _check_end(
    bucket: Bucket, prefix: str, keys: _Keys, chain: _Chain, now: datetime
) -> Iterator[Finding]:
    """The newest receipt, and segments that were delivered and have none."""
    last = chain.last
    number = keys.by_id.get(last.key_id, (0, b""))[0] if last else 0
    if last is not None and number < keys.first_trusted:
        yield Finding(
            False, "the newest receipt is signed with a key that the trusted one replaced"
        )
    newest = max(chain.receipted, default=0)
    seen = newest
    for key in bucket.list_keys(manifests_prefix(prefix)):
        segment_id = segment_of(key)
        if segment_id is None or segment_id in chain.receipted:
            continue
        seen = max(seen, segment_id)
        if chain.receipted and segment_id < min(chain.receipted):
            continue  # from before there were receipts: the first one would not follow otherwise
        if segment_id > newest and _is_young(bucket.get(key), now):
            yield Finding(True, f"segment {segment_id}: delivered, its receipt is still to come")
        else:
            yield Finding(False, f"segment {segment_id}: delivered, and its receipt is gone")
    body = bucket.get(watermark_key(prefix))
    try:
        if body is not None and msgspec.json.decode(body, type=Watermark).segment_id > seen:
            yield Finding(False, "the watermark is ahead of every manifest: the newest are gone")
    except _UNREADABLE as exc:
        yield Finding(False, f"{watermark_key(prefix)} cannot be read: {exc}")
    if last is not None:
        yield Finding(
            True, f"the newest receipt is of segment {last.segment_id}, SHA-256 {chain.previous}"
        )


def _is_young(body: bytes | None, now: datetime) -> bool:
    try:
        return decode_manifest(body or b"").window.sealed_at > now - _RECEIPT_DELAY
    except _UNREADABLE:
        return False


def _check_others(bucket: Bucket, prefix: str, chain: _Chain) -> Iterator[Finding]:
    """Objects that nobody vouches for, among those that readers of a folder take for ours."""
    for dataset in EVENT_DATASETS:
        yield from _check_folder(bucket, f"{prefix}/{dataset}/", parse_object_key, chain)
    yield from _check_folder(bucket, f"{prefix}/identities/", parse_identities_key, chain)
    for dataset in ("failed", "sites"):
        yield from _check_folder(bucket, f"{prefix}/{dataset}/", parse_day_key, chain)


def _check_folder(
    bucket: Bucket,
    folder: str,
    parse: Callable[[str], ObjectKey | IdentitiesKey | DayKey | None],
    chain: _Chain,
) -> Iterator[Finding]:
    for key in bucket.list_keys(folder):
        parsed = parse(key)
        if key not in chain.named and (parsed is None or parsed.segment_id in chain.receipted):
            yield Finding(False, f"{key} is named by no manifest")
