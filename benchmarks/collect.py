"""`make bench-collect`: durable events a second through HTTP, against bare COPY of the same rows.

Everything is switched on as it is by default, and geo lookup too. Every request is answered after
its commit. The load generator shares the machine. Bare COPY runs just before and just after; the
ratio is to their mean. The obvious collector takes the same events, one a request.
"""

from __future__ import annotations

import psycopg

from benchmarks.buffer import copy_rows, fresh_buffer, make_rows
from benchmarks.events import encode, make_events
from benchmarks.load import BATCH_EVENTS, CONNECTIONS, Sent, batches, send, singles
from benchmarks.machine import report
from benchmarks.serving import ROOT, serving

SECONDS = 8.0
BARE_SECONDS = 5.0
SETTINGS = {"GEO_DATABASE": str(ROOT / "tests" / "data" / "geo-test.mmdb")}


def main() -> None:
    """Measure and print."""
    rows = make_rows(20_000)
    batched, single = batches(20_000), singles(2_000)
    with fresh_buffer() as url:
        before = _bare(url, rows)
        with serving(url, **SETTINGS) as (port, _):
            send(port, batched, seconds=1.5)  # warm
            collect = send(port, batched, seconds=SECONDS)
            one_by_one = send(port, single, seconds=SECONDS / 2)
            half = one_by_one.events_per_second / 2
            relaxed = send(port, single, seconds=SECONDS / 2, events_per_second=half)
        with serving(url, module="benchmarks.baseline_collector") as (port, _):
            send(port, single, seconds=1)
            baseline = send(port, single, seconds=SECONDS / 2)
        after = _bare(url, rows)
    bare = (before + after) / 2
    event_bytes = round(sum(len(encode(e)) for e in make_events(1_000)) / 1_000)
    _report("collect", collect, bare, baseline, batch_events=BATCH_EVENTS, event_bytes=event_bytes)
    _report("collect_single", one_by_one, bare, baseline)
    _report("collect_single_at_half", relaxed, bare, baseline)
    _report("collect_baseline", baseline, bare, baseline)


def _report(name: str, sent: Sent, bare: float, baseline: Sent, **facts: int) -> None:
    report(
        name,
        ratio=round(sent.events_per_second / bare, 3),
        times_baseline=round(sent.events_per_second / baseline.events_per_second, 1),
        events_per_second=round(sent.events_per_second),
        bare_copy_rows_per_second=round(bare),
        p50_ms=sent.p50_ms,
        p99_ms=sent.p99_ms,
        connections=CONNECTIONS,
        **facts,
    )


def _bare(url: str, rows: list[bytes]) -> float:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE bare (LIKE events_log)")
        try:
            return copy_rows(url, rows, table="bare", seconds=BARE_SECONDS)
        finally:
            connection.execute("DROP TABLE bare")
            connection.execute("CHECKPOINT")


if __name__ == "__main__":
    main()
