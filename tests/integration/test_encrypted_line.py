"""PostgreSQL over TLS: what is exported is read through libpq, and all of it comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from database.engine import sync_engine
from exporter.copy_source import _LibpqSource, open_source
from tests.conftest import an_event
from tests.integration.building import Exporting, event_ids, write_now
from tests.integration.certificate import server_context
from tests.integration.encrypted_line import EncryptedLine

REPEATS = 7


@pytest.fixture
def line(database_url: str, tmp_path: Path) -> Iterator[EncryptedLine]:
    folder = Path(parse_qs(urlsplit(database_url).query)["host"][0])
    with closing(EncryptedLine(folder / ".s.PGSQL.5432", server_context(tmp_path))) as line:
        yield line


@pytest.fixture
def encrypted_url(database_url: str, line: EncryptedLine) -> str:
    name = urlsplit(database_url).path
    return f"postgresql://sluice@127.0.0.1:{line.port}{name}?sslmode=require"


def test_the_socket_is_left_to_libpq(encrypted_url: str) -> None:
    with closing(psycopg.connect(encrypted_url, autocommit=True)) as connection:
        assert connection.pgconn.ssl_in_use
        copy = "COPY (SELECT 1) TO STDOUT (FORMAT binary)"
        with closing(open_source(connection, copy)) as source:
            assert isinstance(source, _LibpqSource)


def test_a_segment_is_exported_once(
    encrypted_url: str, line: EncryptedLine, database_url: str, tmp_path: Path
) -> None:
    events: list[dict[str, Any]] = [an_event(eventId=f"e-{n}") for n in range(500)]
    write_now(database_url, *events, *events[:REPEATS])
    engine = sync_engine(encrypted_url, application_name="tests")
    exporting = Exporting(encrypted_url, engine, tmp_path / "buckets")
    exporting.run()
    engine.dispose()
    stored = event_ids(database_url)
    assert len(stored) == 500 + REPEATS
    for sink in exporting.sinks:
        assert exporting.committed_ids(sink) == Counter(set(stored))
    assert line.connections > 1


def test_whoever_leaves_early_asks_postgresql_for_nothing_more(
    encrypted_url: str, line: EncryptedLine
) -> None:
    """Cancelling takes a connection of its own, and seconds where nobody answers."""
    with closing(psycopg.connect(encrypted_url, autocommit=True)) as connection:
        copy = "COPY (SELECT generate_series(1, 3000000)) TO STDOUT (FORMAT binary)"
        source = open_source(connection, copy)
        assert source.receive(memoryview(bytearray(100)))
        before = line.connections
        source.close()
        assert line.connections == before
