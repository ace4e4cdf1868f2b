"""A vendor's bucket with months of receipts, planted without waiting for them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

from core.keys import (
    ObjectKey,
    Partition,
    UsageKey,
    key_statement_key,
    manifest_key,
    owner_key,
    receipt_key,
)
from core.manifest import Counts, DeliveredObject, Manifest, Owner, Window, encode_json
from core.receipt import digest_receipt
from core.signing import SigningKey, make_key
from database.deliveries import HourCount
from exporter.receipts import make_receipt
from exporter.sinks.directory import DirectoryBucket
from exporter.usage import write_usage


@dataclass
class PlantedClient:
    """Writes what a stack leaves in the vendor's bucket, a segment at a time."""

    bucket: DirectoryBucket
    client_id: str
    scratch: Path
    opened_at: datetime
    stack_id: UUID = field(default_factory=uuid4)
    segment_id: int = 0
    previous: str | None = None

    def __post_init__(self) -> None:
        self.prefix = f"clients/{self.client_id}"
        self.key: SigningKey = make_key(self.scratch / self.client_id, now=self.opened_at)
        self.bucket.put(key_statement_key(self.prefix, 1), self.key.statement)
        self.bucket.put(owner_key(self.prefix), encode_json(Owner(self.stack_id, self.client_id)))

    def renew_key(self) -> None:
        """Announce the next key, which signs from now on."""
        self.key = make_key(self.scratch / self.client_id, now=self.opened_at)
        self.bucket.put(key_statement_key(self.prefix, self.key.number), self.key.statement)

    def segment(self, sealed_at: datetime, *counted: tuple[str, datetime, int]) -> None:
        """One that took in so many events of a site in an hour; each tenth was a repeat too."""
        self.segment_id += 1
        ledger = list(self._ledger(counted))
        totals = Counter[str]()
        for count in ledger:
            totals[count.outcome] += count.events
        counts = Counts(
            received=totals["accepted"], accepted=totals["accepted"], rejected=0,
            duplicates=totals["duplicate"], exported=totals["accepted"] - totals["duplicate"],
            rejected_by_reason={},
        )  # fmt: skip
        events = [
            DeliveredObject(
                "events",
                _events_key(site, hour, self.segment_id, n),
                "parquet", number, 1, "0" * 64,
            )
            for n, (site, hour, number) in enumerate(counted)
        ]  # fmt: skip
        client = self._manifest("client", counts, sealed_at, events)
        usage = self._put_usage(ledger)
        self.bucket.put(
            manifest_key(self.prefix, self.segment_id),
            encode_json(self._manifest("metering", counts, sealed_at, usage)),
        )
        body = make_receipt(
            client, ledger, manifest_key="c/m", manifest_body=b"", stack_id=self.stack_id,
            previous=self.previous, key=self.key,
        )  # fmt: skip
        self.bucket.put(receipt_key(self.prefix, self.segment_id), body)
        self.previous, self.opened_at = digest_receipt(body), sealed_at

    def _ledger(self, counted: Iterable[tuple[str, datetime, int]]) -> Iterable[HourCount]:
        for site, hour, number in counted:
            repeats = number // 10
            yield HourCount(site, hour, "page_view", "accepted", number + repeats, 700 * number)
            if repeats:
                yield HourCount(site, hour, "page_view", "duplicate", repeats, 0)

    def _put_usage(self, ledger: list[HourCount]) -> list[DeliveredObject]:
        if not ledger:
            return []
        path = self.scratch / "usage.parquet"
        rows = write_usage(path, client_id=self.client_id, counts=ledger)
        body = path.read_bytes()
        key = UsageKey(self.opened_at, self.segment_id).under(self.prefix)
        self.bucket.put(key, body)
        digest = hashlib.sha256(body).hexdigest()
        return [DeliveredObject("usage", key, "parquet", rows, len(body), digest)]

    def _manifest(
        self, sink: str, counts: Counts, sealed_at: datetime, objects: list[DeliveredObject]
    ) -> Manifest:
        return Manifest(
            client_id=self.client_id, sink=sink, segment_id=self.segment_id,
            window=Window(self.opened_at, sealed_at), counts=counts, objects=objects,
            schema_version=1, previous=None, written_by="a test",
        )  # fmt: skip


def _events_key(site: str, hour: datetime, segment_id: int, part: int) -> str:
    return ObjectKey("events", Partition(site, hour), segment_id, part, "parquet").under("c")
