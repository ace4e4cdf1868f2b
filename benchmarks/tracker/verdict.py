"""What came of a cell: of ours by the client's bucket, of a peer by what its collector was sent."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.dataset as ds

from benchmarks.tracker.marks import mark_of
from benchmarks.tracker.trackers import OURS
from benchmarks.tracker.visits import Cell


def judge(cell: Cell, delivered: Counter[str]) -> dict[str, int]:
    """Events that were recorded, lost, delivered more than once, and sent again though taken in."""
    on_the_wire = cell.lane.marks()
    is_ours = cell.lane.tracker is OURS
    there = delivered if is_ours else on_the_wire
    wanted = [pair for visit in cell.visits for pair in visit.expected.items()]
    lost = sum(max(0, count - there[mark]) for mark, count in wanted)
    too_many = sum(max(0, there[mark] - count) for mark, count in wanted)
    repeats = sum(max(0, on_the_wire[mark] - count) for mark, count in wanted)
    # A peer's server may know repeats by an id of theirs: what it stores, this does not tell.
    stored = {"stored_twice": too_many} if is_ours else {}
    return {
        "events": sum(count for _, count in wanted),
        "lost": lost,
        **stored,
        "repeats_on_the_wire": repeats,
        **cell.facts,
    }


def delivered_marks(events: Path) -> Counter[str]:
    """How often each event stands in a bucket's Parquet files."""
    if not any(events.rglob("*.parquet")):
        return Counter()
    table = ds.dataset(events, partitioning="hive").to_table(
        columns=["event_type", "url", "properties"]
    )
    marks = (
        mark_of(f"{row['properties']} {row['url']}", is_view=row["event_type"] == "page_view")
        for row in table.to_pylist()
    )
    return Counter(mark for mark in marks if mark)
