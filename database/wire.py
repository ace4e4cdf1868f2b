"""libpq's own calls, driven by the event loop, for the statements that every group commit needs.

A cursor of psycopg's sends one statement at a time, and each takes it a fifth to a third of a
millisecond of processor time (measured): five of them were a fifth of the collector's, and more
than half of it where events come one by one. Here several go in one round trip.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

_FAILED: Final = frozenset(
    {ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED, ExecStatus.BAD_RESPONSE}
)
# Large enough for few calls, small enough that libpq's buffer, which never shrinks, stays small.
_CHUNK_BYTES: Final = 256 * 1024


class Wire:
    """What lies under a connection: one call at a time, and no cursor at work beside it.

    Every call raises the psycopg.Error that PostgreSQL answers with, and psycopg.OperationalError
    when the connection is lost.
    """

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._pgconn: PGconn = connection.pgconn

    async def begin(self, *prepared: tuple[bytes, Sequence[bytes]]) -> PGresult:
        """Begin a transaction with prepared statements, in one round trip; the last one's result.

        Each is a name, and its parameters as text.
        """
        pgconn = self._pgconn
        pgconn.enter_pipeline_mode()  # to enter and to leave it asks PostgreSQL nothing
        pgconn.send_query_params(b"BEGIN", None)
        for name, parameters in prepared:
            pgconn.send_query_prepared(name, parameters)
        pgconn.pipeline_sync()
        results = await self._results(ExecStatus.PIPELINE_SYNC)
        pgconn.exit_pipeline_mode()
        _raise_failure(results)
        return results[-2]

    async def copy(self, copy: str, data: bytes, *, then: str) -> None:
        """Send a COPY FROM STDIN and its data, then end the transaction: COMMIT or ROLLBACK."""
        pgconn = self._pgconn
        pgconn.send_query(f"{copy}; {then}".encode())
        _raise_failure(await self._results(ExecStatus.COPY_IN))
        whole = memoryview(data)
        for at in range(0, len(data), _CHUNK_BYTES):
            while not pgconn.put_copy_data(whole[at : at + _CHUNK_BYTES]):
                await self._wait(to_write=True)
            await self._flush()
        while not pgconn.put_copy_end():
            await self._wait(to_write=True)
        await self._flush()
        _confirm(await self._results(None), then)

    async def end(self, word: str) -> None:
        """End the transaction: COMMIT or ROLLBACK."""
        self._pgconn.send_query(word.encode())
        _confirm(await self._results(None), word)

    async def _results(self, last: ExecStatus | None) -> list[PGresult]:
        """All results, up to the first of a kind or to the end."""
        pgconn, results = self._pgconn, list[PGresult]()
        await self._flush()
        while not results or results[-1].status != last:
            while pgconn.is_busy():
                await self._wait()
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is not None:
                results.append(result)
            elif last is not ExecStatus.PIPELINE_SYNC:
                break
            elif pgconn.status != ConnStatus.OK:
                raise psycopg.OperationalError("the connection is lost")
        return results

    async def _flush(self) -> None:
        while self._pgconn.flush():
            await self._wait(to_write=True)
            self._pgconn.consume_input()  # or neither side could go on

    async def _wait(self, *, to_write: bool = False) -> None:
        """Until there is something to read, or room to write."""
        loop, file = asyncio.get_running_loop(), self._pgconn.socket
        ready: asyncio.Future[None] = loop.create_future()
        try:
            loop.add_reader(file, _wake, ready)
            if to_write:
                loop.add_writer(file, _wake, ready)
            await ready
        except OSError as exc:
            raise psycopg.OperationalError("the connection is lost") from exc
        finally:
            loop.remove_reader(file)
            if to_write:
                loop.remove_writer(file)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _raise_failure(results: Sequence[PGresult]) -> None:
    for result in results:
        if result.status in _FAILED:
            raise error_from_result(result)


def _confirm(results: Sequence[PGresult], word: str) -> None:
    """Only what PostgreSQL says it has done is done: COMMIT may come to nothing, or to ROLLBACK."""
    _raise_failure(results)
    if not results or results[-1].command_status != word.encode():
        raise psycopg.OperationalError(f"PostgreSQL did not confirm {word}")
