"""Make the signed receipts, and put them into each bucket.

Order of effects, and what a crash after each leaves behind:

1. a segment's manifest stands in the client's bucket
2. its receipt is stored in the transaction that marks it delivered: made once, its bytes stand
3. it is put into each bucket, below the prefix of the segment's manifest there, on condition that
   there is none (left: the next call finds its own bytes standing there)
4. the database is told (left: the same)

A database that was restored to a moment before 2 finds the manifest (case 1 of `delivery.py`), and
may find the receipt too. Made again, it would differ in the key that signs now and in the version
that writes: so the one that stands is stored as ours where it says the same of everything else and
one of our keys signed it. Before 2, since the next receipt names the digest of this one. A bucket
that has one of another content stops the sink there, with nothing stored.

A bucket that is away holds up its own receipts only. The vendor's gets them when the client's has
the segment: what was not delivered is not billed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from core.keys import (
    key_statement_key,
    key_statements_prefix,
    number_of_statement,
    prefix_of,
    receipt_key,
)
from core.manifest import Manifest
from core.receipt import BilledDay, Receipt, decode_receipt
from core.signing import SigningKey, has_valid_signature
from core.version import VERSION
from database.deliveries import HourCount, mark_receipt, next_receipt
from exporter.sinks.open import Sink

BILLED_SINK: Final = "client"
_OF_ITS_TIME: Final = frozenset({"key_id", "written_by", "signature"})

log = logging.getLogger("sluice.exporter")


class ReceiptForeign(Exception):
    """Another receipt, or another key, stands where ours belongs."""


def make_receipt(
    manifest: Manifest,
    ledger: Iterable[HourCount],
    *,
    manifest_key: str,
    manifest_body: bytes,
    stack_id: UUID,
    previous: str | None,
    key: SigningKey,
) -> bytes:
    """The receipt of a segment that the client's bucket has, as it is put into the buckets."""
    days = Counter[tuple[str, date]]()
    for count in ledger:
        if count.outcome in ("accepted", "duplicate"):
            sign = 1 if count.outcome == "accepted" else -1
            days[count.site_id, count.hour.astimezone(UTC).date()] += sign * count.events
    return key.sign(
        Receipt(
            stack_id=stack_id,
            client_id=manifest.client_id,
            segment_id=manifest.segment_id,
            window=manifest.window,
            counts=manifest.counts,
            billed=manifest.counts.exported,
            billed_by_day=[
                BilledDay(site_id, day, events)
                for (site_id, day), events in sorted(days.items())
                if events
            ],
            manifest=manifest_key,
            manifest_sha256=sha256(manifest_body).hexdigest(),
            objects=manifest.objects,
            previous=previous,
            key_id=key.key_id,
            written_by=f"sluice exporter {VERSION}",
            partitioned_by=manifest.partitioned_by,
        )
    )


def adopt_receipt(sink: Sink, ours: bytes, keys: Sequence[SigningKey]) -> bytes:
    """The receipt that a bucket has where ours belongs, if it says the same; ours if it has none.

    Raises SinkError, or ReceiptForeign for one that says something else.
    """
    made = decode_receipt(ours)
    key = receipt_key(sink.prefix, made.segment_id)
    standing = sink.bucket.get(key)
    if standing in (None, ours):
        return ours
    assert standing is not None
    try:
        found = decode_receipt(standing)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise ReceiptForeign(f"{key} cannot be read by this version: {exc}") from exc
    public = {known.key_id: known.public for known in keys}.get(found.key_id)
    if public is None or not has_valid_signature(standing, public):
        raise ReceiptForeign(f"{key} is not signed by this stack. Two stacks share the prefix.")
    for name in Receipt.__struct_fields__:
        if name not in _OF_ITS_TIME and getattr(found, name) != getattr(made, name):
            raise ReceiptForeign(
                f"{key} stands there and says otherwise: its {name}. The database was restored to"
                " an earlier moment, and went another way from there: choose another prefix for"
                " both buckets. See docs/receipts.md."
            )
    log.warning("a receipt that stands is ours", extra={"segment_id": made.segment_id})
    return standing


def announce_keys(sink: Sink, keys: Sequence[SigningKey]) -> None:
    """Put the keys' statements into a bucket, before anything is signed with them.

    Raises SinkError, or ReceiptForeign where the bucket knows other keys, or more of them.
    """
    known = {
        number_of_statement(k) for k in sink.bucket.list_keys(key_statements_prefix(sink.prefix))
    }
    if max((number for number in known if number), default=0) > len(keys):
        raise ReceiptForeign(
            "The bucket knows keys that SIGNING_KEY_DIR has not: it was restored from an older"
            " backup. Put the newest keys back, or, when they are lost for ever, see"
            " `sluice keys --replace-lost`."
        )
    for key in keys:
        _put_once(
            sink,
            key_statement_key(sink.prefix, key.number),
            key.statement,
            "The keys in SIGNING_KEY_DIR are not those that signed the receipts in this bucket: "
            "put the old ones back from their backup, or, when they are lost for ever, see "
            "`sluice keys --replace-lost`.",
        )


def put_receipts(connection: Connection, sink: Sink) -> int:
    """Put all that a bucket lacks, the oldest first; returns how many.

    Raises SinkError or ReceiptForeign, with those before it put.
    """
    done = 0
    while (waiting := next_receipt(connection, sink.name)) is not None:
        connection.rollback()
        segment_id, body, manifest = waiting
        _put_once(
            sink,
            # The prefix may have been changed since: a receipt belongs beside its manifest.
            receipt_key(prefix_of(manifest), segment_id),
            body,
            "The database was restored to an earlier moment, or two stacks share the prefix.",
        )
        mark_receipt(connection, segment_id, sink.name)
        done += 1
    connection.rollback()
    return done


def _put_once(sink: Sink, key: str, body: bytes, remedy: str) -> None:
    if not sink.bucket.put_if_absent(key, body) and sink.bucket.get(key) != body:
        raise ReceiptForeign(f"{key} stands there with other content. {remedy}")
