"""Hold a bucket against its signed receipts: with read access only, by either side.

The client's bucket has the objects that the receipts name; the vendor's has a copy of the receipts,
usage records and, with a backup, objects of its own, which its own manifests name. Those manifests
are not signed: of the vendor's bucket what is checked is that it is whole, and that usage records
and backup count what the receipts count. Which bucket it is the caller says: whoever changed the
bucket could change every sign of it there.

A bucket in use grows while it is walked. So the watermark is read first, and what has no receipt
or no manifest is looked for once more at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import msgspec

from core.keys import (
    manifest_key,
    manifests_prefix,
    owner_key,
    receipt_key,
    receipts_prefix,
    segment_of,
    watermark_key,
)
from core.manifest import Watermark, decode_manifest, decode_owner
from core.receipt import Receipt, decode_receipt, digest_receipt
from core.signing import has_valid_signature
from exporter.finding import UNREADABLE, Chain, Finding, read_document
from exporter.receipt_problems import (
    problems_of_counts,
    problems_of_days,
    problems_of_text,
    problems_of_window,
)
from exporter.receipts import BILLED_SINK
from exporter.sinks.sink import Bucket
from exporter.verify_keys import Keys, check_keys
from exporter.verify_objects import check_others, problems_in_bucket

_RECEIPT_DELAY: Final = timedelta(hours=1)
"""After a delivery, in which its receipt may still be to come."""


def verify_bucket(
    bucket: Bucket,
    prefix: str,
    *,
    now: datetime,
    sink: str = BILLED_SINK,
    trusted_key: str | None = None,
    known_receipt: str | None = None,
) -> Iterator[Finding]:
    """Walk the keys, the chain of receipts, the manifests and every object.

    `sink` says which bucket it is, the client's or the vendor's (`metering`). `trusted_key` is the
    id of a key that is known from elsewhere: then the newest receipt has to be signed by it, or by
    one that follows from it, and vouches for those before it. Without one, the first key in the
    bucket is believed. `known_receipt` is the SHA-256 of one that has to be in the chain, or
    before it. Raises SinkError when the bucket cannot be read.
    """
    keys, chain = Keys(), Chain(sink, known_receipt)
    yield from _read_watermark(bucket, prefix, chain)
    yield from check_keys(bucket, prefix, trusted_key, keys)
    yield from _check_owner(bucket, prefix, chain)
    yield from _check_chain(bucket, prefix, keys, chain)
    yield from _check_end(bucket, prefix, keys, chain, now)
    yield from check_others(bucket, prefix, chain)
    yield from _sum_up(chain)


def _read_watermark(bucket: Bucket, prefix: str, chain: Chain) -> Iterator[Finding]:
    try:
        body = read_document(bucket, watermark_key(prefix))
        if body is not None:
            chain.watermark = msgspec.json.decode(body, type=Watermark).segment_id
    except UNREADABLE as exc:
        yield Finding(False, f"{watermark_key(prefix)} cannot be read: {exc}")


def _check_owner(bucket: Bucket, prefix: str, chain: Chain) -> Iterator[Finding]:
    try:
        chain.owner = decode_owner(read_document(bucket, owner_key(prefix)) or b"")
    except UNREADABLE as exc:
        yield Finding(False, f"{owner_key(prefix)}: whose bucket it is cannot be read: {exc}")
    else:
        yield Finding(True, f"stack {chain.owner.stack_id} of {chain.owner.client_id}")


def _check_chain(bucket: Bucket, prefix: str, keys: Keys, chain: Chain) -> Iterator[Finding]:
    for key in bucket.list_keys(receipts_prefix(prefix)):
        segment_id = segment_of(key)
        if segment_id is None or key != receipt_key(prefix, segment_id):
            yield Finding(True, f"{key}: none of ours, and left alone")
            continue
        body = b""
        try:
            body = read_document(bucket, key) or b""
            receipt = decode_receipt(body)
            wrong = list(problems_of_text(body))
        except UNREADABLE as exc:
            yield Finding(False, f"{key}: no receipt can be read there: {exc}")
            chain.previous, chain.last = digest_receipt(body), None
            continue
        wrong += [
            *problems_of_signature(receipt, body, segment_id, keys, chain),
            *problems_in_chain(receipt, chain),
            *problems_of_counts(receipt),
            *problems_of_days(receipt),
            *problems_of_window(receipt),
            *problems_in_bucket(bucket, prefix, receipt, chain),
        ]
        for problem in wrong:
            yield Finding(False, f"segment {segment_id}: {problem}")
        if not wrong:
            billed = f"segment {segment_id}: {receipt.billed:,} events billed"
            yield Finding(True, f"{billed}, {len(receipt.objects)} objects", is_segment=True)
        if receipt.window.opened_at > receipt.window.sealed_at:
            what = f"segment {segment_id}: the clock was set back while it was open"
            yield Finding(True, what)
        _remember(receipt, digest_receipt(body), segment_id, chain)


def _remember(receipt: Receipt, digest: str, segment_id: int, chain: Chain) -> None:
    if chain.known_receipt in (digest, receipt.previous):
        chain.is_known_found = True
    chain.previous, chain.last = digest, receipt
    chain.receipted.add(segment_id)
    for day in receipt.billed_by_day:
        chain.billed[f"{day.day:%Y-%m}"] += day.events


def problems_of_signature(
    receipt: Receipt, body: bytes, segment_id: int, keys: Keys, chain: Chain
) -> Iterator[str]:
    """Who signed it, and whether they were to."""
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


def problems_in_chain(receipt: Receipt, chain: Chain) -> Iterator[str]:
    """Whether it follows the one before it, by digest, time and stack."""
    is_first = chain.previous is None
    if receipt.previous != chain.previous and not is_first:
        yield "it does not follow the receipt before it: one is missing, or was put there"
    elif is_first and receipt.previous not in (None, chain.known_receipt):
        yield (
            f"it is the first here, and follows one with the SHA-256 {receipt.previous}: one is"
            " missing, or the chain began under another prefix or in another bucket. Who has"
            " verified that one names it with --receipt"
        )
    if chain.last is not None and receipt.window.opened_at != chain.last.window.sealed_at:
        yield "its window does not begin where the one before it ends"
    owner = chain.owner
    if owner is not None and (receipt.stack_id, receipt.client_id) != (
        owner.stack_id,
        owner.client_id,
    ):
        yield f"it is of stack {receipt.stack_id} of {receipt.client_id}"


def problems_of_newest(keys: Keys, chain: Chain) -> Iterator[str]:
    """Whether the trusted key, or one that follows from it, vouches for the chain as it ends."""
    last = chain.last
    if last is not None and keys.by_id.get(last.key_id, (0, b""))[0] < keys.first_trusted:
        yield "the newest receipt is signed with a key that the trusted one replaced"


def _check_end(
    bucket: Bucket, prefix: str, keys: Keys, chain: Chain, now: datetime
) -> Iterator[Finding]:
    """The newest receipt, and segments that were delivered and have none."""
    for problem in problems_of_newest(keys, chain):
        yield Finding(False, problem)
    newest = max(chain.receipted, default=0)
    seen = newest
    for key in bucket.list_keys(manifests_prefix(prefix)):
        segment_id = segment_of(key)
        if segment_id is None or segment_id in chain.receipted:
            continue
        if key != manifest_key(prefix, segment_id):
            continue
        seen = max(seen, segment_id)
        if chain.receipted and segment_id < min(chain.receipted):
            continue  # from before there were receipts: the first one would not follow otherwise
        if segment_id > newest and chain.sink != BILLED_SINK:
            yield Finding(True, f"segment {segment_id}: here before the client has it; not billed")
        elif segment_id > newest and _may_be_on_its_way(bucket, prefix, segment_id, now):
            yield Finding(True, f"segment {segment_id}: delivered, its receipt is still to come")
        else:
            yield Finding(False, f"segment {segment_id}: delivered, and its receipt is gone")
    if chain.watermark > seen:
        yield Finding(False, "the watermark is ahead of every manifest: the newest are gone")


def _may_be_on_its_way(bucket: Bucket, prefix: str, segment_id: int, now: datetime) -> bool:
    try:
        if read_document(bucket, receipt_key(prefix, segment_id)) is not None:
            return True  # it came while we were reading the others
        body = read_document(bucket, manifest_key(prefix, segment_id))
        return decode_manifest(body or b"").window.sealed_at > now - _RECEIPT_DELAY
    except UNREADABLE:
        return False


def _sum_up(chain: Chain) -> Iterator[Finding]:
    for month, events in sorted(chain.billed.items()):
        yield Finding(True, f"billed for {month}: {events:,} events")
    if chain.sink != BILLED_SINK and chain.with_events:
        of = f"{chain.backed_up:,} of {chain.with_events:,} segments with events"
        yield Finding(True, f"a backup is here of {of}")
    if chain.known_receipt is not None:
        what = f"the receipt with the SHA-256 {chain.known_receipt}"
        if chain.is_known_found:
            yield Finding(True, f"{what} is in the chain")
        else:
            yield Finding(False, f"{what} is not in the chain: it was cut, or is another one")
    if chain.last is not None:
        newest = f"the newest receipt is of segment {chain.last.segment_id}"
        yield Finding(True, f"{newest}, SHA-256 {chain.previous}")
