"""`make bench-derive`: what enrichment takes of a row, on the events of all benchmarks.

Columns are derived from batches as they stream out of the buffer, without database or files. It
is CPU time of one thread, the median of the rounds but the first, in which nothing is remembered
of user agents and referrers.
"""

from __future__ import annotations

import os
import random
import statistics
import time
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from benchmarks.events import make_events, make_uuid7
from benchmarks.machine import report
from core.event import wire_fields
from exporter.arrow_schema import ROW_SCHEMA
from exporter.derive import derive_columns
from exporter.session_entries import MAX_SESSIONS, mark_entries
from exporter.user_agents import read_user_agent

ROWS = int(os.environ.get("BENCH_DERIVE_ROWS", "200000"))
BATCH_ROWS = 20_000
ROUNDS = 7
_FIELDS = {wire: column for column, wire in wire_fields().items()}


def main() -> None:
    """Measure and print."""
    batches = make_batches(ROWS)
    agents = [_agent(number) for number in range(2_000)]
    read_user_agent(agents[0])  # compiles the patterns
    rounds = [_microseconds_per_row(batches) for _ in range(ROUNDS)]
    report(
        "derive",
        microseconds_per_row=round(statistics.median(rounds[1:]), 3),
        cold_microseconds_per_row=round(rounds[0], 3),
        microseconds_per_new_user_agent=round(_time_agents(agents), 1),
        microseconds_per_known_user_agent=round(_time_agents(agents), 2),
        rows=ROWS,
        session_memory_mb=round(_session_memory_mb(), 1),
    )


def make_batches(rows: int) -> list[pa.RecordBatch]:
    """The benchmarks' events as batches of `ROW_SCHEMA`."""
    events = make_events(rows)
    _begin_sessions(events)
    return [
        pa.RecordBatch.from_pylist(
            [_row(event) for event in events[start : start + BATCH_ROWS]], schema=ROW_SCHEMA
        )
        for start in range(0, rows, BATCH_ROWS)
    ]


def _begin_sessions(events: list[dict[str, Any]]) -> None:
    """Give each session an id of the time of its first event, as the tracker does."""
    rng = random.Random(1)
    ids: dict[str, str] = {}
    for event in events:
        at = datetime.fromisoformat(event["occurredAt"])
        session = event["sessionId"]
        if session not in ids:
            ids[session] = make_uuid7(rng, round(at.timestamp() * 1_000))
        event["sessionId"] = ids[session]


def _row(event: dict[str, Any]) -> dict[str, Any]:
    occurred_at = datetime.fromisoformat(event["occurredAt"])
    return {_FIELDS[name]: value for name, value in event.items() if name in _FIELDS} | {
        "occurred_at": occurred_at,
        "device_occurred_at": occurred_at,
        "received_at": datetime(2026, 11, 21, 10, tzinfo=UTC),
        "properties": None,
        "is_bot": False,
    }


def _microseconds_per_row(batches: list[pa.RecordBatch]) -> float:
    begun = time.thread_time()
    for _ in mark_entries(map(derive_columns, batches)):
        pass
    return (time.thread_time() - begun) / ROWS * 1e6


def _session_memory_mb() -> float:
    """What it takes to remember as many sessions as are remembered at most."""
    begun = datetime(2026, 11, 21, 10, tzinfo=UTC)
    rng = random.Random(1)
    rows = [
        {
            "session_id": make_uuid7(rng, round(begun.timestamp() * 1_000)),
            "site_id": "shop.example",
            "device_occurred_at": begun,
            "path": f"/products/{number % 400}",
        }
        for number in range(MAX_SESSIONS)
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=ROW_SCHEMA)
    tracemalloc.start()
    marking = mark_entries(
        [batch.slice(n, 10_000) for n in range(0, MAX_SESSIONS, 10_000)] + [batch[:1]]
    )
    for _ in range(MAX_SESSIONS // 10_000):
        next(marking)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return taken / 1e6


def _agent(number: int) -> str:
    return (
        f"Mozilla/5.0 (Linux; Android {number % 7 + 9}; SM-{number}) AppleWebKit/537.36"
        f" (KHTML, like Gecko) Chrome/{number % 60 + 90}.0.{number}.0 Mobile Safari/537.36"
    )


def _time_agents(agents: list[str]) -> float:
    begun = time.thread_time()
    for agent in agents:
        read_user_agent(agent)
    return (time.thread_time() - begun) / len(agents) * 1e6


if __name__ == "__main__":
    main()
