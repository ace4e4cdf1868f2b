"""`make bench-export`: rows a second from a sealed segment to verified Parquet, against a drain.

The drain is `COPY … TO STDOUT (FORMAT binary)` of the same table, thrown away; it runs just
before and just after, and the ratio is to their mean. Every export runs in a process of its own,
so that its peak memory is its own: deduplication, enrichment, delivery, read-back, manifest,
ledger check. One row in a thousand repeats an id.

Wall time says little while others use the cores: processor time, of the process and of
PostgreSQL together, stands beside it. pandas and dlt export some of the same rows in the same
run, with none of what is checked and derived here (`export_generic.py`).

`make bench-memory` exports 5 and 20 million rows and shows the peak memory of each (20 minutes,
40 GB of disk).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path

import psycopg

from benchmarks.buffer import copied_database, copy_rows, fresh_server, make_rows
from benchmarks.machine import peak_memory_mb, report
from database.embedded import EmbeddedServer

ROWS = int(os.environ.get("BENCH_EXPORT_ROWS", "1000000"))
RUNS = int(os.environ.get("BENCH_EXPORT_RUNS", "3"))
GENERIC_ROWS = int(os.environ.get("BENCH_GENERIC_ROWS", "100000"))


@dataclass(frozen=True)
class Measured:
    """A second's rows, and microseconds of processor time a row: here, and in PostgreSQL."""

    rows_per_second: float
    cpu_us: float
    server_cpu_us: float
    peak_memory_mb: float = 0


def main() -> None:
    """Measure and print."""
    if os.environ.get("BENCH_EXPORT_CHILD"):
        export_here()
        return
    with fresh_server() as server, tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        fill(server.url, ROWS)
        found: dict[str, list[Run]] = {}
        for number in range(RUNS):
            place = Path(folder) / str(number)
            place.mkdir()
            for name, run in run_once(server, number, place).items():
                found.setdefault(name, []).append(run)
        for name, runs in found.items():
            show(name, runs)


@dataclass(frozen=True)
class Run:
    """An export, and the drain that it is held against."""

    exported: Measured
    drained: Measured
    rows: int
    bytes: int | None = None

    @property
    def ratio(self) -> float:
        """Of the rates."""
        return self.exported.rows_per_second / self.drained.rows_per_second


def run_once(server: EmbeddedServer, number: int, folder: Path) -> dict[str, Run]:
    """Each tool on a fresh copy of the database, between two drains; the others in the first run
    only."""
    with copied_database(server.url, f"run_{number}") as url:
        drain(server, url)  # warm
        before = drain(server, url)
        exported, size = export_in_child(server, url, folder, ROWS)
        drained = mean(before, drain(server, url))
        runs = {"export": Run(exported, drained, ROWS, size)}
        for tool in ("pandas", "dlt") if number == 0 else ():
            found = export_by(tool, server, url, folder)
            if found is not None:
                runs[f"export_{tool}"] = Run(found, drained, min(ROWS, GENERIC_ROWS))
    return runs


def mean(one: Measured, other: Measured) -> Measured:
    return Measured(*((a + b) / 2 for a, b in zip(astuple(one), astuple(other), strict=True)))


def show(name: str, runs: list[Run]) -> None:
    """The run whose ratio is the median, and every run's ratio."""
    middle = sorted(runs, key=lambda run: run.ratio)[len(runs) // 2]
    exported, drained = middle.exported, middle.drained
    size = {} if middle.bytes is None else {"bytes_per_event": round(middle.bytes / middle.rows, 1)}
    report(
        name,
        ratio=round(middle.ratio, 3),
        ratios=[round(run.ratio, 3) for run in runs],
        rows_per_second=round(exported.rows_per_second),
        drain_rows_per_second=round(drained.rows_per_second),
        cpu_us_per_row=round(exported.cpu_us, 2),
        postgresql_us_per_row=round(exported.server_cpu_us, 2),
        drain_cpu_us_per_row=round(drained.cpu_us, 2),
        drain_postgresql_us_per_row=round(drained.server_cpu_us, 2),
        peak_memory_mb=round(max(run.exported.peak_memory_mb for run in runs)),
        **size,
        rows=middle.rows,
    )


def fill(url: str, rows: int, *, made: int = 1_000_000) -> None:
    """Rows as the collector writes them, and one in a thousand of them again.

    Beyond `made` they are copies with new ids, which are faster to make.
    """
    made = min(made, rows)
    for start in range(0, made, 100_000):
        some = make_rows(min(100_000, made - start), seed=start + 1)
        copy_rows(url, some, table="events_log_1")
    with psycopg.connect(url, autocommit=True) as connection:
        for start in range(made, rows, made):
            connection.execute(_COPY_AGAIN, {"rows": min(made, rows - start)})
        connection.execute(_REPEAT)
        connection.execute(
            "INSERT INTO ledger SELECT 1, 1, site_id, date_trunc('hour', received_at, 'UTC'),"
            " event_type, 'accepted', count(*), 700 * count(*)"
            " FROM events_log_1 GROUP BY 3, 4, 5"
        )
        if rows == made:  # of more it would take longer than the export
            connection.execute("VACUUM (ANALYZE) events_log_1")


_COPY_AGAIN = """
INSERT INTO events_log_1
SELECT segment_id, received_at, id, event_type, site_id, visitor_id, session_id, user_id,
  occurred_at, jsonb_set(payload, '{eventId}', to_jsonb(id::text))
FROM (SELECT *, uuidv7() AS id FROM events_log_1 LIMIT %(rows)s) AS copied
"""
_REPEAT = """
INSERT INTO events_log_1 SELECT * FROM events_log_1 WHERE random() < 0.001
"""


def drain(server: EmbeddedServer, url: str) -> Measured:
    """Read the table as fast as PostgreSQL gives it."""
    with psycopg.connect(url) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM events_log_1").fetchone() or (0,)
        cpu, server_cpu, begun = (
            time.process_time(),
            server_cpu_seconds(server),
            time.perf_counter(),
        )
        with connection.cursor().copy("COPY events_log_1 TO STDOUT (FORMAT binary)") as copy:
            for _ in copy:
                pass
        seconds = time.perf_counter() - begun
        cpu, server_cpu = time.process_time() - cpu, server_cpu_seconds(server) - server_cpu
    return Measured(rows / seconds, cpu / rows * 1e6, server_cpu / rows * 1e6)


def export_in_child(
    server: EmbeddedServer, url: str, folder: Path, rows: int
) -> tuple[Measured, int]:
    """Export the segment; what it came to, and the bytes of its files."""
    settings = {
        "CLIENT_S3_BUCKET": (folder / "client").as_uri(),
        "METERING_S3_BUCKET": (folder / "metering").as_uri(),
        "STAGING_DIR": str(folder),
        "SIGNING_KEY_DIR": str(folder / "keys"),
        "BENCH_EXPORT_ROWS": str(rows),
    }
    found = run_child([sys.executable, "-m", "benchmarks.export"], server, url, rows, settings)
    assert found is not None
    events = (folder / "client").rglob("events/**/*.parquet")
    return found, sum(path.stat().st_size for path in events)


def export_by(tool: str, server: EmbeddedServer, url: str, folder: Path) -> Measured | None:
    """Export by another tool; None where it is not installed (`BENCH_DLT_PYTHON`)."""
    python = os.environ.get(f"BENCH_{tool.upper()}_PYTHON", sys.executable)
    rows = min(ROWS, GENERIC_ROWS)
    command = [python, "-m", "benchmarks.export_generic", tool, str(rows), str(folder / tool)]
    return run_child(command, server, url, rows, {})


def run_child(
    command: list[str], server: EmbeddedServer, url: str, rows: int, settings: dict[str, str]
) -> Measured | None:
    before = server_cpu_seconds(server)
    environment = os.environ | settings | {"BENCH_EXPORT_CHILD": "1", "DATABASE_URL": url}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    server_cpu = server_cpu_seconds(server) - before
    found = json.loads(done.stdout.splitlines()[-1])
    if "absent" in found:
        print(found["absent"], file=sys.stderr)
        return None
    return Measured(
        rows / found["seconds"],
        found["cpu_seconds"] / rows * 1e6,
        server_cpu / rows * 1e6,
        found["peak_memory_mb"],
    )


def server_cpu_seconds(server: EmbeddedServer) -> float:
    """Processor time of a server's processes, those that ended included."""
    pid = int((server.pgdata / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return _cpu_seconds(pid, waited_for=True) + sum(_cpu_seconds(int(c)) for c in children)


def _cpu_seconds(pid: int, *, waited_for: bool = False) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    ticks = sum(map(int, fields[11 : 15 if waited_for else 13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def export_here() -> None:
    """Deduplicate and deliver the one segment, in this process."""
    from core.clock import utc_now
    from core.event_id import make_event_id
    from core.garbage import collect_seldom
    from core.settings import read_settings
    from database.engine import sync_engine
    from database.segments import seal_open_segment
    from exporter.memory import settle_memory
    from exporter.settings import ExporterSettings
    from exporter.sinks.open import open_sinks
    from exporter.steps import Exporter
    from exporter.user_agents import read_user_agent

    settings = read_settings(ExporterSettings, os.environ)
    settle_memory()
    engine = sync_engine(settings.database_url, application_name="benchmark")
    client = open_sinks(settings)[0]
    exporter = Exporter(settings=settings, engine=engine, sinks=[client], clock=utc_now)
    exporter.recover()
    with engine.connect() as connection:
        seal_open_segment(connection, sinks=["client"], trigger="manual", run_id=make_event_id())
    read_user_agent("Mozilla/5.0")  # its tables are read once in a process's life
    collect_seldom()
    cpu, begun = time.process_time(), time.perf_counter()
    exporter.deduplicate_sealed()
    deduplicated = time.perf_counter()
    exporter.deliver(client)
    seconds = time.perf_counter() - begun
    cpu = time.process_time() - cpu
    print(f"deduplicated in {deduplicated - begun:.1f} of {seconds:.1f} s", file=sys.stderr)
    with engine.connect() as connection:
        state = connection.exec_driver_sql("SELECT state, rows, last_error FROM deliveries").one()
    if tuple(state) != ("delivered", ROWS, None):
        raise RuntimeError(f"the segment was not delivered: {state}")
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "peak_memory_mb": peak_memory_mb()}))


if __name__ == "__main__":
    main()
