"""What is wrong with a receipt, by what it says itself and by the usage records beside it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, date, timedelta
from typing import Any

from core.keys import EVENT_DATASETS, parse_object_key
from core.receipt import Receipt
from database.deliveries import HourCount

NOT_REFUSED = ("accepted", "duplicate")


def problems_of_text(body: bytes) -> Iterator[str]:
    """A name that stands twice in one object: some readers take the first, and some the last."""
    repeated: set[str] = set()

    def note(pairs: list[tuple[str, Any]]) -> None:
        names = Counter(name for name, _ in pairs)
        repeated.update(name for name, times in names.items() if times > 1)

    json.loads(body, object_pairs_hook=note)
    for name in sorted(repeated):
        yield f"it says {name!r} twice"


def problems_of_counts(receipt: Receipt) -> Iterator[str]:
    """Sums that do not add up."""
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


def problems_of_days(receipt: Receipt) -> Iterator[str]:
    """Hold what is billed, by site and day, against the objects' rows, by their keys.

    Where keys have the day on which events happened, by site only: they are billed by the day of
    receipt.
    """
    keys_tell_days = receipt.partitioned_by == "received_at"
    billed = Counter[tuple[str, date | None]]()
    for (site_id, day), events in _billed_by_day(receipt).items():
        billed[site_id, day if keys_tell_days else None] += events
    by_dataset: dict[str, Counter[tuple[str, date | None]]] = {}
    for delivered in receipt.objects:
        key = parse_object_key(delivered.key)
        if (
            delivered.dataset in EVENT_DATASETS
            and key is not None
            and key.segment_id == receipt.segment_id
        ):
            rows = by_dataset.setdefault(delivered.dataset, Counter())
            day_of_key = key.partition.hour.date() if keys_tell_days else None
            rows[key.partition.site_id, day_of_key] += delivered.rows
    if receipt.billed and not by_dataset:
        yield "it bills events, and names no object that holds them"
    by = "site and day" if keys_tell_days else "site"
    for dataset, rows in by_dataset.items():
        if +rows != +billed:
            yield f"what is billed by {by} is not what its {dataset} objects hold"


def problems_of_window(receipt: Receipt) -> Iterator[str]:
    """Days that are billed and are none of the segment's; a day more, for a clock that was set."""
    times = (receipt.window.opened_at, receipt.window.sealed_at)
    try:
        first = min(times).astimezone(UTC).date() - timedelta(days=1)
        last = max(times).astimezone(UTC).date() + timedelta(days=1)
    except OverflowError:
        yield "its window is at the end of time"
        return
    for billed in receipt.billed_by_day:
        if not first <= billed.day <= last:
            yield f"it bills {billed.day}, and took nothing in on that day"


def problems_of_usage(
    receipt: Receipt, records: Iterable[HourCount], clients: set[str]
) -> Iterator[str]:
    """Hold a segment's usage records against what its receipt counts and bills."""
    outcomes = Counter[str]()
    days = Counter[tuple[str, date]]()
    for record in records:
        outcomes[record.outcome] += record.events
        if record.outcome in NOT_REFUSED:
            sign = 1 if record.outcome == "accepted" else -1
            day = record.hour.astimezone(UTC).date()
            days[record.site_id, day] += sign * record.events
    if clients - {receipt.client_id}:
        yield "its usage records are of another client"
    if {site_day: events for site_day, events in days.items() if events} != +_billed_by_day(
        receipt
    ):
        yield "its usage records do not add up to what is billed by site and day"
    counts = receipt.counts
    if (outcomes.pop("accepted", 0), outcomes.pop("duplicate", 0), +outcomes) != (
        counts.accepted,
        counts.duplicates,
        +Counter(counts.rejected_by_reason),
    ):
        yield "its usage records count otherwise"


def _billed_by_day(receipt: Receipt) -> Counter[tuple[str, date]]:
    billed = Counter[tuple[str, date]]()
    for day in receipt.billed_by_day:
        billed[day.site_id, day.day] += day.events
    return billed
