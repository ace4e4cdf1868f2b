"""A buffer of its own for a benchmark, and the bare COPY that it is held against."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from api.collector.acceptance import Limits, Policy, RequestFacts, accept
from api.collector.decode import decode_body
from api.collector.dialects.dialect import DecodedBody
from benchmarks.events import encode, make_events
from database.embedded import EmbeddedServer
from database.engine import sync_engine
from database.migrate import migrate
from database.row import COPY_HEADER, COPY_TRAILER, encode_row_head

ROWS_IN_TRANSACTION = 500


@contextmanager
def fresh_buffer() -> Iterator[str]:
    """A migrated database in a temporary folder; yields its address."""
    with fresh_server() as server:
        yield server.url


@contextmanager
def fresh_server() -> Iterator[EmbeddedServer]:
    """The same; yields the server, to be stopped and started."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedServer(
            folder=Path(folder) / "postgres",
            memory={"shared_buffers": "512MB", "max_wal_size": "4GB", "wal_buffers": "16MB"},
        )
        server.start()
        try:
            engine = sync_engine(server.url, application_name="benchmark")
            migrate(engine)
            engine.dispose()
            yield server
        finally:
            server.stop()


@contextmanager
def copied_database(url: str, name: str) -> Iterator[str]:
    """A copy of a database beside it, while it is needed; yields its address."""
    source = make_url(url)
    elsewhere = source.set(database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(elsewhere, autocommit=True) as connection:
        copy, original = sql.Identifier(name), sql.Identifier(source.database or "")
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(copy, original)
        )
        try:
            yield source.set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(copy))


def make_rows(count: int, *, seed: int = 1) -> list[bytes]:
    """Rows as the collector writes them, without their heads."""
    raws = [encode(event) for event in make_events(count, seed=seed)]
    facts = RequestFacts(
        arrived_at=datetime.now(UTC), fallback_site_id="shop.example", ip="203.0.113.0"
    )
    limits = Limits(
        max_batch_events=1000, max_event_bytes=32_768, max_depth=40, max_stored_bytes=8_000_000
    )
    rows = []
    for start in range(0, count, 1000):
        body = b'{"eventType":"batch","events":[' + b",".join(raws[start : start + 1000]) + b"]}"
        events = decode_body(body, max_events=1000, max_shared_bytes=32_768)
        assert isinstance(events, list)
        accepted = accept(DecodedBody(events), facts=facts, policy=Policy(limits=limits)).accepted
        rows += [event.row for event in accepted]
    return rows


def copy_rows(
    url: str, rows: list[bytes], *, table: str, segment_id: int = 1, seconds: float | None = None
) -> float:
    """COPY rows on one connection, 500 in a transaction; rows a second.

    With `seconds` the rows are written again and again for that long.
    """
    head = encode_row_head(segment_id, time.time_ns() // 1_000)
    chunks = [
        COPY_HEADER + head.join((b"", *rows[i : i + ROWS_IN_TRANSACTION])) + COPY_TRAILER
        for i in range(0, len(rows), ROWS_IN_TRANSACTION)
    ]
    written = 0
    with psycopg.connect(url, autocommit=True) as connection:
        begun = time.perf_counter()
        while True:
            for chunk in chunks:
                with connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
                    copy.write(chunk)
                written += ROWS_IN_TRANSACTION
                if seconds is not None and time.perf_counter() - begun > seconds:
                    return written / (time.perf_counter() - begun)
            if seconds is None:
                return len(rows) / (time.perf_counter() - begun)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
