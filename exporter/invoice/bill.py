"""What a client is billed for: its receipts of a month, each verified before it is counted.

The chain is walked from the first receipt in the bucket to the month's end: by digest, signature,
stack and window, with the functions of `sluice verify`. With a trusted key it is walked to its very
end: that key has to vouch for the newest receipt, and so for those before it. The receipts of the
month are held against the usage records that their manifests list. One problem, and nothing is
billed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from itertools import islice
from typing import Final

from core.keys import manifest_key, owner_key, receipt_key, receipts_prefix, segment_of
from core.manifest import Owner, decode_manifest, decode_owner
from core.receipt import Receipt, decode_receipt, digest_receipt
from exporter.finding import UNREADABLE, Chain, read_document
from exporter.invoice.month import Month
from exporter.receipt_problems import (
    problems_of_counts,
    problems_of_days,
    problems_of_text,
    problems_of_usage,
    problems_of_window,
)
from exporter.sinks.sink import Bucket
from exporter.usage import read_usage
from exporter.verify import problems_in_chain, problems_of_newest, problems_of_signature
from exporter.verify_keys import Keys, check_keys

_THREADS: Final = 8
_AHEAD: Final = 64
_CLOCK_MARGIN: Final = timedelta(days=1)
"""A clock that was set back: what is received in a month may stand behind the month's end."""
_MAX_PROBLEMS: Final = 20


class InvoiceRefused(Exception):
    """The receipts do not hold; each problem in words."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Proof:
    """Which receipts a bill is made from."""

    first_segment: int | None
    """None: there is no receipt of the month."""
    last_segment: int | None
    receipts: int
    """In the month; numbers of segments may leave some out."""
    last_sha256: str | None
    walked_from: int | None
    """The first receipt in the bucket, from which on the chain was verified."""
    keys: tuple[str, ...]


@dataclass(slots=True)
class Bill:
    """A client's month."""

    client_id: str
    stack_id: str
    billed: Counter[tuple[date, str]]
    """By day and site."""
    first_seen: dict[str, datetime]
    """The first hour that is billed of each site which no earlier receipt bills."""
    begun_at: datetime | None
    """When the first receipt's window opened; None for no receipt at all."""
    covered_until: datetime | None
    is_complete: bool
    proof: Proof


@dataclass(slots=True)
class _Walk:
    """What has been seen on the way."""

    problems: list[str] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    """Of the month."""
    first: Receipt | None = None
    covered_until: datetime | None = None
    last_sha256: str | None = None
    known_sites: set[str] = field(default_factory=set)
    """Billed before the month."""


def bill_client(
    bucket: Bucket, prefix: str, month: Month, *, trusted_key: str | None = None
) -> Bill:
    """Verify and add up. Raises InvoiceRefused, or SinkError when the bucket cannot be read."""
    owner = _read_owner(bucket, prefix)
    keys, walk = Keys(), _Walk()
    walk.problems += [f.what for f in check_keys(bucket, prefix, trusted_key, keys) if not f.holds]
    chain = Chain("metering", None, owner=owner)
    _walk_chain(bucket, prefix, month, keys, chain, walk, to_its_end=trusted_key is not None)
    if trusted_key is not None and not walk.problems:
        walk.problems += problems_of_newest(keys, chain)
    first_hours = _check_usage(bucket, prefix, walk)
    if walk.problems:
        raise InvoiceRefused([f"{prefix}: {problem}" for problem in walk.problems])
    billed = Counter[tuple[date, str]]()
    for receipt in walk.receipts:
        for line in receipt.billed_by_day:
            if month.holds(line.day):
                billed[line.day, line.site_id] += line.events
    sites = {site for _, site in billed}
    return Bill(
        client_id=owner.client_id,
        stack_id=str(owner.stack_id),
        billed=billed,
        first_seen={
            site: hour
            for site, hour in sorted(first_hours.items())
            if site in sites - walk.known_sites
        },
        begun_at=walk.first.window.opened_at if walk.first else None,
        covered_until=walk.covered_until,
        is_complete=walk.covered_until is not None and walk.covered_until >= month.end,
        proof=Proof(
            first_segment=walk.receipts[0].segment_id if walk.receipts else None,
            last_segment=walk.receipts[-1].segment_id if walk.receipts else None,
            receipts=len(walk.receipts),
            last_sha256=walk.last_sha256,
            walked_from=walk.first.segment_id if walk.first else None,
            keys=tuple(sorted({receipt.key_id for receipt in walk.receipts})),
        ),
    )


def _read_owner(bucket: Bucket, prefix: str) -> Owner:
    key = owner_key(prefix)
    try:
        return decode_owner(read_document(bucket, key) or b"")
    except UNREADABLE as exc:
        raise InvoiceRefused([f"{key}: whose it is cannot be read: {exc}"]) from exc


def _walk_chain(
    bucket: Bucket,
    prefix: str,
    month: Month,
    keys: Keys,
    chain: Chain,
    walk: _Walk,
    *,
    to_its_end: bool,
) -> None:
    is_over = False
    for segment_id, body in _read_receipts(bucket, prefix):
        digest = digest_receipt(body)
        try:
            receipt = decode_receipt(body)
            wrong = list(problems_of_text(body))
        except UNREADABLE as exc:
            walk.problems.append(f"segment {segment_id}: no receipt can be read there: {exc}")
            return
        is_over = is_over or receipt.window.opened_at >= month.end + _CLOCK_MARGIN
        if is_over and not to_its_end:
            return
        wrong += [
            *problems_of_signature(receipt, body, segment_id, keys, chain),
            *problems_in_chain(receipt, chain),
            *problems_of_counts(receipt),
            *problems_of_days(receipt),
            *problems_of_window(receipt),
        ]
        walk.problems += [f"segment {segment_id}: {problem}" for problem in wrong]
        if len(walk.problems) >= _MAX_PROBLEMS:
            walk.problems.append("… and it was not looked further")
            return
        chain.previous, chain.last = digest, receipt
        if is_over:
            continue
        walk.first = walk.first or receipt
        walk.covered_until = receipt.window.sealed_at
        walk.known_sites |= {
            line.site_id for line in receipt.billed_by_day if line.day < month.begin.date()
        }
        is_within = receipt.window.sealed_at > month.begin and receipt.window.opened_at < month.end
        if is_within or any(month.holds(line.day) for line in receipt.billed_by_day):
            walk.receipts.append(receipt)
            walk.last_sha256 = digest


def _read_receipts(bucket: Bucket, prefix: str) -> Iterator[tuple[int, bytes]]:
    """All of them, in their order, some read ahead."""
    segments = (
        segment_id
        for key in bucket.list_keys(receipts_prefix(prefix))
        if (segment_id := segment_of(key)) is not None and key == receipt_key(prefix, segment_id)
    )

    def read(segment_id: int) -> bytes:
        key = receipt_key(prefix, segment_id)
        try:
            return read_document(bucket, key) or b""
        except ValueError as exc:
            raise InvoiceRefused([f"{key}: no receipt can be read there: {exc}"]) from exc

    with ThreadPoolExecutor(_THREADS, "receipts") as threads:
        while ahead := list(islice(segments, _AHEAD)):
            yield from zip(ahead, threads.map(read, ahead), strict=True)


def _check_usage(bucket: Bucket, prefix: str, walk: _Walk) -> dict[str, datetime]:
    """Hold the month's receipts against the usage records; the first hour of each site."""
    first_hours: dict[str, datetime] = {}

    def check(receipt: Receipt) -> tuple[list[str], dict[str, datetime]]:
        return _read_usage_of(bucket, prefix, receipt)

    with ThreadPoolExecutor(_THREADS, "usage") as threads:
        for receipt, (wrong, hours) in zip(
            walk.receipts, threads.map(check, walk.receipts), strict=True
        ):
            walk.problems += [f"segment {receipt.segment_id}: {problem}" for problem in wrong]
            for site, hour in hours.items():
                first_hours[site] = min(hour, first_hours.get(site, hour))
    return first_hours


def _read_usage_of(
    bucket: Bucket, prefix: str, receipt: Receipt
) -> tuple[list[str], dict[str, datetime]]:
    key = manifest_key(prefix, receipt.segment_id)
    problems: list[str] = []
    hours: dict[str, datetime] = {}
    try:
        body = read_document(bucket, key)
        if body is None:
            return [f"its manifest {key} is not there"], hours
        usage = [o for o in decode_manifest(body).objects if o.dataset == "usage"]
        if len(usage) != bool(receipt.counts.received):
            problems.append(f"{len(usage)} usage objects, {receipt.counts.received} events")
        for listed in usage:
            body = read_document(bucket, listed.key)
            if body is None:
                problems.append(f"{listed.key} is not there")
            elif sha256(body).hexdigest() != listed.sha256:
                problems.append(f"{listed.key} was changed")
            else:
                records, clients = read_usage(body)
                problems += problems_of_usage(receipt, records, clients)
                accepted = ((r.site_id, r.hour) for r in records if r.outcome == "accepted")
                hours |= _first_hours(accepted)
    except UNREADABLE as exc:
        problems.append(f"its usage cannot be read: {exc}")
    return problems, hours


def _first_hours(seen: Iterable[tuple[str, datetime]]) -> dict[str, datetime]:
    hours: dict[str, datetime] = {}
    for site, hour in seen:
        hours[site] = min(hour.astimezone(UTC), hours.get(site, hour.astimezone(UTC)))
    return hours
