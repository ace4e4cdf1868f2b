"""Only what PostgreSQL confirms has happened."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest

from database.wire import Wire
from tests.integration.building import query

COPY = "COPY numbers FROM STDIN"


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """With a table of numbers, and a statement that adds one."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as opened:
        await opened.execute("CREATE TABLE numbers (number int PRIMARY KEY)")
        await opened.execute("PREPARE add (int) AS INSERT INTO numbers VALUES ($1) RETURNING 7")
        yield opened


async def test_what_is_begun_copied_and_committed_is_there(
    connection: psycopg.AsyncConnection, database_url: str
) -> None:
    wire = Wire(connection)
    result = await wire.begin((b"add", (b"1",)), (b"add", (b"2",)))
    assert result.get_value(0, 0) == b"7"
    many = "".join(f"{n}\n" for n in range(10, 200_000)).encode()
    await wire.copy(COPY, many, then="COMMIT")
    assert query(database_url, "SELECT count(*) FROM numbers") == [(2 + 199_990,)]


async def test_what_is_rolled_back_is_not(
    connection: psycopg.AsyncConnection, database_url: str
) -> None:
    wire = Wire(connection)
    await wire.begin((b"add", (b"1",)))
    await wire.copy(COPY, b"5\n", then="ROLLBACK")
    assert query(database_url, "SELECT count(*) FROM numbers") == [(0,)]


async def test_a_commit_that_comes_to_nothing_is_an_error(
    connection: psycopg.AsyncConnection,
) -> None:
    wire = Wire(connection)
    with pytest.raises(psycopg.errors.UniqueViolation):
        await wire.begin((b"add", (b"1",)), (b"add", (b"1",)), (b"add", (b"2",)))
    with pytest.raises(psycopg.OperationalError, match="did not confirm COMMIT"):
        await wire.end("COMMIT")


@pytest.mark.parametrize("data", [b"one\n", b"3\n3\n", b"4\nfour\n" * 300_000])
async def test_after_an_error_the_wire_is_of_use_again(
    connection: psycopg.AsyncConnection, database_url: str, data: bytes
) -> None:
    wire = Wire(connection)
    await wire.begin((b"add", (b"1",)))
    with pytest.raises(psycopg.Error):
        await wire.copy(COPY, data, then="COMMIT")
    await wire.end("ROLLBACK")
    with pytest.raises(psycopg.errors.UndefinedTable):
        await wire.copy("COPY nothing FROM STDIN", b"1\n", then="COMMIT")
    await wire.begin((b"add", (b"8",)))
    await wire.end("COMMIT")
    assert query(database_url, "SELECT number FROM numbers") == [(8,)]
