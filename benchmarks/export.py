"""`make bench-export`: rows a second from a sealed segment to verified Parquet, against a drain.

The drain is `COPY … TO STDOUT (FORMAT binary)` of the same table, thrown away; it runs just
before and just after, and the ratio is to their mean. The export runs in a process of its own,
so that its peak memory is its own: deduplication, delivery, read-back, manifest, ledger check.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from benchmarks.buffer import copy_rows, fresh_buffer, make_rows
from benchmarks.machine import report

ROWS = int(os.environ.get("BENCH_EXPORT_ROWS", "400000"))


def main() -> None:
    """Measure and print."""
    if os.environ.get("BENCH_EXPORT_CHILD"):
        _export()
        return
    with fresh_buffer() as url, tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        _fill(url)
        _drain(url)  # warm
        before = _drain(url)
        exported = _export_in_child(url, Path(folder))
        after = _drain(url)
        size = sum(p.stat().st_size for p in Path(folder).rglob("client/**/*.parquet"))
    drain = (before + after) / 2
    rate = ROWS / exported["seconds"]
    report(
        "export",
        ratio=round(rate / drain, 3),
        rows_per_second=round(rate),
        drain_rows_per_second=round(drain),
        peak_memory_mb=round(exported["peak_memory_mb"]),
        bytes_per_event=round(size / ROWS, 1),
        rows=ROWS,
    )


def _fill(url: str) -> None:
    done = 0
    with psycopg.connect(url, autocommit=True) as connection:
        while done < ROWS:
            count = min(100_000, ROWS - done)
            copy_rows(url, make_rows(count, seed=done + 1), table="events_log_1")
            done += count
        connection.execute(
            "INSERT INTO ledger SELECT 1, 1, site_id, date_trunc('hour', received_at, 'UTC'),"
            " event_type, 'accepted', count(*), sum(length(payload::text))"
            " FROM events_log_1 GROUP BY 3, 4, 5"
        )
        connection.execute("VACUUM (ANALYZE) events_log_1")


def _drain(url: str) -> float:
    with psycopg.connect(url) as connection:
        begun = time.perf_counter()
        with connection.cursor().copy("COPY events_log_1 TO STDOUT (FORMAT binary)") as copy:
            for _ in copy:
                pass
        return ROWS / (time.perf_counter() - begun)


def _export_in_child(url: str, folder: Path) -> dict[str, float]:
    environment = os.environ | {
        "BENCH_EXPORT_CHILD": "1",
        "DATABASE_URL": url,
        "CLIENT_S3_BUCKET": (folder / "client").as_uri(),
        "METERING_S3_BUCKET": (folder / "metering").as_uri(),
        "STAGING_DIR": str(folder),
        "SIGNING_KEY_DIR": str(folder / "keys"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.export"],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _export() -> None:
    from core.clock import utc_now
    from core.event_id import make_event_id
    from core.settings import read_settings
    from database.engine import sync_engine
    from database.segments import seal_open_segment
    from exporter.settings import ExporterSettings
    from exporter.sinks.open import open_sinks
    from exporter.steps import Exporter

    settings = read_settings(ExporterSettings, os.environ)
    engine = sync_engine(settings.database_url, application_name="benchmark")
    client = open_sinks(settings)[0]
    exporter = Exporter(settings=settings, engine=engine, sinks=[client], clock=utc_now)
    with engine.connect() as connection:
        seal_open_segment(connection, sinks=["client"], trigger="manual", run_id=make_event_id())
    begun = time.perf_counter()
    exporter.deduplicate_sealed()
    exporter.deliver(client)
    seconds = time.perf_counter() - begun
    with engine.connect() as connection:
        state = connection.exec_driver_sql("SELECT state, rows FROM deliveries").one()
    if tuple(state) != ("delivered", ROWS):
        raise RuntimeError(f"the segment was not delivered: {state}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_memory_mb": peak}))


if __name__ == "__main__":
    main()
