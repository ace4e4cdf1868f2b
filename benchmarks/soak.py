"""`make soak`: ten minutes at saturation. Memory must stay flat and the event loop must not stall.

SOAK_SECONDS changes the length. Segments are dropped as they fill, as the exporter would, so that
the disk holds; memory is each collector process's own (proportional set size), read every five
seconds; flat means that the last third's median is at most a tenth above the first third's,
the first minute (caches fill) left out where there is more than that.
"""

from __future__ import annotations

import json
import os
import statistics
import threading
import time
import urllib.request
from pathlib import Path

import psycopg

from benchmarks.buffer import fresh_buffer
from benchmarks.collect import SETTINGS
from benchmarks.load import batches, send
from benchmarks.machine import report
from benchmarks.serving import serving
from database.engine import sync_engine
from database.segments import create_partition
from database.tables import segment_table

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
LOOK_SECONDS = 5.0
WARM_SECONDS = 60.0


def main() -> None:
    """Measure and print."""
    requests = batches(20_000)
    memory: list[tuple[float, int]] = []
    stalls: list[float] = []
    done = threading.Event()
    with fresh_buffer() as url, serving(url, **SETTINGS) as (port, supervisor):
        begun = time.monotonic()

        def look() -> None:
            while not done.wait(LOOK_SECONDS):
                memory.append((time.monotonic() - begun, _collector_kib(supervisor)))
                stalls.extend(_stall(port) for _ in range(4))
                _forget_rows(url)

        watcher = threading.Thread(target=look)
        watcher.start()
        sent = send(port, requests, seconds=SECONDS)
        done.set()
        watcher.join()
    warm = [kib for at, kib in memory if at > min(WARM_SECONDS, SECONDS / 4)]
    third = len(warm) // 3
    first, last = statistics.median(warm[:third]), statistics.median(warm[-third:])
    report(
        "soak",
        seconds=round(SECONDS),
        events=round(sent.events_per_second * SECONDS),
        events_per_second=round(sent.events_per_second),
        memory_growth=round(last / first, 3),
        memory_first_mb=round(first / 1024),
        memory_last_mb=round(last / 1024),
        memory_peak_mb=round(max(warm) / 1024),
        longest_stall_ms=round(max(stalls) * 1000, 1),
        p50_ms=sent.p50_ms,
        p99_ms=sent.p99_ms,
    )


def _collector_kib(supervisor: int) -> int:
    """Of all processes below the supervisor, what they share counted once."""
    return sum(_pss_kib(pid) for pid in [supervisor, *_children(supervisor)])


def _children(parent: int) -> list[int]:
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [pid for child in map(int, found) for pid in (child, *_children(child))]


def _pss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def _stall(port: int) -> float:
    """Of whichever worker takes this connection."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            body = json.load(answer)
    except urllib.error.HTTPError as exc:  # no exporter runs: 503, and a body all the same
        body = json.load(exc)
    return float(body["longest_stall_seconds"])


def _forget_rows(url: str) -> None:
    """Seal the open segment and drop it, as if it had been delivered."""
    engine = sync_engine(url, application_name="benchmark")
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7261019245)")
        (old,) = connection.exec_driver_sql(
            "UPDATE segments SET state = 'dropped' WHERE state = 'open' RETURNING segment_id"
        ).one()
        (new,) = connection.exec_driver_sql(
            "INSERT INTO segments (state, opened_at) VALUES ('open', clock_timestamp())"
            " RETURNING segment_id"
        ).one()
        create_partition(connection, new)
        connection.exec_driver_sql(f"DROP TABLE {segment_table(old)}")
    engine.dispose()
    with psycopg.connect(url, autocommit=True) as direct:
        direct.execute("DELETE FROM ledger WHERE segment_id = %s", (old,))


if __name__ == "__main__":
    main()
