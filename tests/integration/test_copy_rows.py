"""What PostgreSQL sends is read as it is, whatever pieces it comes in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.copy_rows import BUFFERS, CopiedRows, read_rows
from exporter.copy_source import Source, _LibpqSource, open_source
from exporter.native import Unreadable, is_compiled
from exporter.read_ahead import read_ahead

if not is_compiled():
    pytest.skip("no C compiler here: ADBC reads the rows", allow_module_level=True)

ROWS = """
SELECT convert_to(repeat('é', n % 40), 'UTF8'), '2026-11-29'::timestamptz + n * interval '1 s'
FROM generate_series(1, 2000) AS n
"""

ENDLESS = "SELECT ''::bytea, now() FROM generate_series(1, 99999) a, generate_series(1, 99999) b"


@pytest.fixture
def connection(read_database_url: str) -> Iterator[psycopg.Connection]:
    with closing(psycopg.connect(read_database_url, autocommit=True)) as connection:
        yield connection


def texts_of(rows: CopiedRows) -> list[bytes]:
    data = rows.data.tobytes()
    return [data[a:b] for a, b in zip(rows.begins.tolist(), rows.ends.tolist(), strict=True)]


def read(
    connection: psycopg.Connection,
    query: str = ROWS,
    widths: tuple[int | None, ...] = (None, 8),
    *,
    buffer_bytes: int = 4_096,
    open_source: Callable[[psycopg.Connection, str], Source] = open_source,
) -> list[tuple[bytes, ...]]:
    """Every row: the field of any width, then the others."""
    found: list[tuple[bytes, ...]] = []
    with closing(open_source(connection, copy(query))) as source:
        for rows in read_rows(source, widths, buffer_bytes=buffer_bytes):
            fixed = [[bytes(field) for field in column] for column in rows.fixed]
            found += zip(texts_of(rows), *fixed, strict=True)
    return found


def copy(query: str) -> str:
    return f"COPY ({query}) TO STDOUT (FORMAT binary)"


@pytest.mark.parametrize("buffer_bytes", [1, 100, 4_096, 1 << 20])
@pytest.mark.parametrize("source", [open_source, _LibpqSource])
def test_rows_are_those_that_a_cursor_reads(
    connection: psycopg.Connection,
    source: Callable[[psycopg.Connection, str], Source],
    buffer_bytes: int,
) -> None:
    cursor = connection.execute(f"SELECT t.c, timestamptz_send(t.at) FROM ({ROWS}) AS t (c, at)")
    expected = cursor.fetchall()
    assert read(connection, buffer_bytes=buffer_bytes, open_source=source) == expected


def test_a_query_without_rows_has_none(connection: psycopg.Connection) -> None:
    assert read(connection, f"{ROWS} WHERE n < 0") == []


def test_a_row_larger_than_a_buffer_is_read_and_those_around_it(
    connection: psycopg.Connection,
) -> None:
    sizes = [3, 100_000, 0, 5, 70_000, 1]
    query = (
        "SELECT convert_to(repeat('x', n), 'UTF8') FROM unnest(ARRAY[3, 100000, 0, 5, 70000, 1]) n"
    )
    assert [len(text) for (text,) in read(connection, query, (None,), buffer_bytes=64)] == sizes


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("SELECT ''::bytea, now() FROM there_is_none", psycopg.errors.UndefinedTable),
        ("SELECT ''::bytea, now() FROM generate_series(1, 5000) n WHERE 1 / (4000 - n) < 2",
         psycopg.errors.DivisionByZero),
        ("SELECT NULL::bytea, now()", Unreadable),
        ("SELECT ''::bytea, NULL::timestamptz", Unreadable),
        ("SELECT ''::bytea, 1", Unreadable),
        ("SELECT ''::bytea, now(), 1", Unreadable),
        ("SELECT ''::bytea", Unreadable),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_raised(
    connection: psycopg.Connection, query: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        read(connection, query)


def test_a_connection_that_is_ended_in_the_middle_is_told(
    connection: psycopg.Connection, read_database_url: str
) -> None:
    pid = connection.info.backend_pid
    with closing(open_source(connection, copy(ENDLESS))) as source:
        batches = read_rows(source, (None, 8), buffer_bytes=4_096)
        next(batches)
        with psycopg.connect(read_database_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (pid,))
        with pytest.raises(psycopg.OperationalError):
            list(batches)


@pytest.mark.parametrize("open_one", [open_source, _LibpqSource])
@pytest.mark.parametrize("query", [ENDLESS, f"{ENDLESS}, pg_sleep(3600)"])
def test_one_may_leave_early_and_nobody_waits_for_postgresql(
    connection: psycopg.Connection,
    open_one: Callable[[psycopg.Connection, str], Source],
    query: str,
) -> None:
    begun = time.monotonic()
    with closing(open_one(connection, copy(query))) as source:
        rows = read_rows(source, (None, 8), buffer_bytes=1 << 20)
        with read_ahead(rows, stop=source.stop):
            pass
    assert time.monotonic() - begun < 60  # it would have been an hour


def test_fewer_rows_than_postgresql_says_it_sent_are_an_error() -> None:
    sent = message(b"d", HEADER + row(b"one")) + message(b"c", b"")
    for tag in (b"COPY 2\0", b"COPY\0", b"SELECT 1\0"):
        data = message(b"H", b"\1\0\1\0\1") + sent + message(b"C", tag) + READY
        with pytest.raises(psycopg.DataError, match="1 rows"):
            list(read_rows(InPieces(data, [9]), (None,), buffer_bytes=64))


class InPieces:
    """A source that was received before, and comes again in pieces."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data, self._sizes = data, sizes * len(data)

    def receive(self, buffer: memoryview) -> int:
        size = min(self._sizes.pop() if self._sizes else 0, len(buffer), len(self._data))
        buffer[:size], self._data = self._data[:size], self._data[size:]
        return size

    def stop(self) -> None: ...

    def close(self) -> None: ...


def message(kind: bytes, content: bytes) -> bytes:
    return kind + (4 + len(content)).to_bytes(4, "big") + content


def row(*fields: bytes) -> bytes:
    sized = (len(field).to_bytes(4, "big") + field for field in fields)
    return len(fields).to_bytes(2, "big") + b"".join(sized)


HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
READY = message(b"Z", b"I")
# As rows may hold it: what the end looks like, and what an error does.
CONTENT = st.sampled_from([READY, message(b"E", b"Mno\0\0"), b"", b"\xff\xff"]) | st.binary(
    max_size=9
)


@pytest.mark.parametrize("kind", [b"\0", b"D", b"G", b"t"])
def test_a_message_of_another_kind_is_refused(kind: bytes) -> None:
    end = message(b"c", b"") + message(b"C", b"COPY 0\0") + READY
    data = message(b"H", b"\1\0\1\0\1") + message(kind, b"") + end
    with pytest.raises(Unreadable):
        list(read_rows(InPieces(data, [9]), (None,), buffer_bytes=64))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(CONTENT, max_size=20),
    st.lists(st.integers(1, 60), min_size=1, max_size=6),
    st.integers(1, 200),
)
def test_messages_come_in_any_pieces(
    contents: list[bytes], sizes: list[int], buffer_bytes: int
) -> None:
    rows = [message(b"d", row(content)) for content in contents]
    if rows:
        rows[0] = message(b"d", HEADER + row(contents[0]))
    tag = message(b"C", b"COPY %d\0" % len(contents))
    end = [message(b"d", b"\xff\xff"), message(b"c", b""), tag, READY]
    notice = [message(b"N", b"Mnote\0\0")]
    data = b"".join([message(b"H", b"\1\0\1\0\1"), *rows[:3], *notice, *rows[3:], *end])
    given: list[tuple[CopiedRows, list[bytes]]] = []
    for batch in read_rows(InPieces(data, sizes), (None,), buffer_bytes=buffer_bytes):
        given.append((batch, texts_of(batch)))
        for earlier, texts in given[-BUFFERS:]:  # which may still be in use
            assert texts_of(earlier) == texts
    assert [text for _, texts in given for text in texts] == contents


@settings(deadline=None)
@given(
    st.lists(
        st.binary(max_size=30)
        | st.builds(message, st.sampled_from([b"d", b"H"]), st.binary(max_size=30)),
        max_size=8,
    )
)
def test_bytes_that_are_no_messages_end_in_an_error(pieces: list[bytes]) -> None:
    with pytest.raises((Unreadable, psycopg.Error)):
        for _ in read_rows(InPieces(b"".join(pieces), [7]), (None, 8), buffer_bytes=100):
            pass
