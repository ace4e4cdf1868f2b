"""libpq's own calls, driven by the event loop, for the statements that every group commit needs.

A cursor of psycopg's sends one statement at a time, and each takes it a fifth to a third of a
millisecond of processor time (measured): five of them were a fifth of the collector's, and more
than half of it where events come one by one. Here several go in one round trip.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
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


class Line:
    """A connection's wire: one call at a time, and no cursor at work beside it.

    Every call raises the psycopg.Error that PostgreSQL answers with, and psycopg.OperationalError
    when the connection is lost.
    """

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._wire: PGconn = connection.pgconn

    async def begin(self, *prepared: tuple[bytes, Sequence[bytes]]) -> PGresult:
        """Begin a transaction with prepared statements, in one round trip; the last one's result.

        Each is a name, and its parameters as text.
        """
        wire = self._wire
        wire.enter_pipeline_mode()  # to enter and to leave it asks PostgreSQL nothing
        wire.send_query_params(b"BEGIN", None)
        for name, parameters in prepared:
            wire.send_query_prepared(name, parameters)
        wire.pipeline_sync()
        results = await self._results(ExecStatus.PIPELINE_SYNC)
        wire.exit_pipeline_mode()
        _raise_failure(results)
        return results[-2]

    async def copy(self, statements: bytes, data: bytes, *, when_sent: Callable[[], None]) -> None:
        """Send statements of which the first is COPY FROM STDIN, and its data.

        `when_sent` is called when PostgreSQL has the data and begins to work on the last of them.
        """
        self._wire.send_query(statements)
        _raise_failure(await self._results(ExecStatus.COPY_IN))
        whole = memoryview(data)
        for at in range(0, len(data), _CHUNK_BYTES):
            self._wire.put_copy_data(whole[at : at + _CHUNK_BYTES])
            await self._flush()
        self._wire.put_copy_end()
        await self._flush()
        when_sent()
        _raise_failure(await self._results(None))

    async def execute(self, statement: bytes) -> None:
        """Send a statement that has neither parameters nor rows."""
        self._wire.send_query(statement)
        _raise_failure(await self._results(None))

    async def _results(self, last: ExecStatus | None) -> list[PGresult]:
        """All results, up to the first of a kind or to the end."""
        wire, results = self._wire, list[PGresult]()
        await self._flush()
        while not results or results[-1].status != last:
            while wire.is_busy():
                await self._wait()
                wire.consume_input()
            result = wire.get_result()
            if result is not None:
                results.append(result)
            elif last is not ExecStatus.PIPELINE_SYNC:
                break
            elif wire.status != ConnStatus.OK:
                raise psycopg.OperationalError("the connection is lost")
        return results

    async def _flush(self) -> None:
        while self._wire.flush():
            await self._wait(to_write=True)
            self._wire.consume_input()  # or neither side could go on

    async def _wait(self, *, to_write: bool = False) -> None:
        """Until there is something to read, or room to write."""
        loop, file = asyncio.get_running_loop(), self._wire.socket
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(file, _wake, ready)
        if to_write:
            loop.add_writer(file, _wake, ready)
        try:
            await ready
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
