"""What came of a cell: of ours by buffer and bucket, of a peer by what its collector was sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import psycopg
import pyarrow.dataset as ds

from benchmarks.tracker.marks import mark_of
from benchmarks.tracker.trackers import OURS
from benchmarks.tracker.visits import Cell
from tests.system.running_stack import RunningStack


@dataclass(frozen=True, slots=True)
class Kept:
    """How often each event is in the collector's buffer and in the client's bucket."""

    stored: Counter[str]
    delivered: Counter[str]


def judge(cell: Cell, kept: Kept) -> dict[str, int]:
    """Events that were recorded, lost, kept more than once, and sent again though taken in."""
    on_the_wire = cell.lane.marks()
    is_ours = cell.lane.tracker is OURS
    there = kept.delivered if is_ours else on_the_wire
    wanted = [pair for visit in cell.visits for pair in visit.expected.items()]

    def too_many(found: Counter[str]) -> int:
        return sum(max(0, found[mark] - count) for mark, count in wanted)

    # A peer's server may know repeats by an id of theirs: what it stores, this does not tell.
    twice = {"stored_twice": too_many(kept.stored), "delivered_twice": too_many(kept.delivered)}
    return {
        "events": sum(count for _, count in wanted),
        "lost": sum(max(0, count - there[mark]) for mark, count in wanted),
        **(twice if is_ours else {}),
        "repeats_on_the_wire": too_many(on_the_wire),
        **cell.facts,
    }


def read_kept(stack: RunningStack) -> Kept:
    """What a stack has, in its buffer and in the Parquet files of the client's bucket."""
    socket = stack.data / "postgres" / "socket"
    with psycopg.connect(f"postgresql://sluice@/sluice?host={socket}") as connection:
        rows = connection.execute(
            "SELECT event_type, payload->>'url', payload->>'properties' FROM events_log"
        ).fetchall()
    events, delivered = stack.bucket("client") / "events", Counter[str]()
    if any(events.rglob("*.parquet")):
        table = ds.dataset(events, partitioning="hive").to_table(
            columns=["event_type", "url", "properties"]
        )
        delivered = _count(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return Kept(_count(rows), delivered)


def _count(rows: Iterable[tuple[str, str | None, str | None]]) -> Counter[str]:
    """The marks in (event_type, url, properties)."""
    marks = (
        mark_of(f"{properties} {url}", is_view=event_type == "page_view")
        for event_type, url, properties in rows
    )
    return Counter(mark for mark in marks if mark)
