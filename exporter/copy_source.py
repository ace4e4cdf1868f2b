"""Where the messages of a COPY come from: the connection's socket, or libpq where it is encrypted.

Once a query is sent libpq takes no part any more, and its socket is read as it is. Of an encrypted
connection only libpq can read; then each row's message is made again of what it gives.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Generator
from contextlib import suppress
from typing import Final, Protocol

import psycopg

END: Final = b"Z\0\0\0\5"
"""The last message begins so; a byte more says whether a transaction is open."""

_LAST: Final = b"c\0\0\0\4" + END + b"I"
_IS_ENCRYPTED: Final = """
SELECT EXISTS (SELECT FROM pg_stat_gssapi WHERE pid = pg_backend_pid() AND encrypted)
"""


class Source(Protocol):
    """Bytes of messages."""

    def receive(self, buffer: memoryview) -> int:
        """Wait for some and put them there; how many, 0 when no more will come.

        Raises psycopg.Error.
        """

    def stop(self) -> None:
        """Let whoever waits in another thread wait no longer."""

    def close(self) -> None:
        """Let go of what is held; the connection stays, to be closed."""


def open_source(connection: psycopg.Connection, copy: str) -> Source:
    """Send a COPY TO STDOUT. The connection is of no use afterwards, but to be closed."""
    (is_encrypted,) = connection.execute(_IS_ENCRYPTED).fetchone() or (True,)
    if is_encrypted or connection.pgconn.ssl_in_use:
        return _LibpqSource(connection, copy)
    return _SocketSource(connection, copy)


class _SocketSource:
    """What PostgreSQL sends, as it sends it."""

    def __init__(self, connection: psycopg.Connection, copy: str) -> None:
        pgconn = connection.pgconn
        pgconn.send_query(copy.encode())
        while pgconn.flush():
            pass  # a query of a few hundred bytes: the socket has room for it
        self._socket = socket.socket(fileno=os.dup(pgconn.socket))
        self._socket.setblocking(True)

    def receive(self, buffer: memoryview) -> int:
        try:
            return self._socket.recv_into(buffer)
        except OSError as exc:
            raise psycopg.OperationalError(f"the connection is lost: {exc}") from exc

    def stop(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()


class _LibpqSource:
    """The same messages, made again of what libpq gives."""

    def __init__(self, connection: psycopg.Connection, copy: str) -> None:
        self._connection = connection
        self._messages = self._make(copy)
        self._waiting = memoryview(b"")

    def receive(self, buffer: memoryview) -> int:
        if not self._waiting:
            self._waiting = memoryview(next(self._messages, b""))
        taken = min(len(self._waiting), len(buffer))
        buffer[:taken] = self._waiting[:taken]
        self._waiting = self._waiting[taken:]
        return taken

    def stop(self) -> None:
        with suppress(psycopg.Error):
            self._connection.cancel_safe(timeout=5)

    def close(self) -> None:
        self._messages.close()

    def _make(self, copy: str) -> Generator[bytes, None, None]:
        with self._connection.cursor().copy(copy) as rows:
            for row in rows:
                yield b"d" + (4 + len(row)).to_bytes(4, "big") + bytes(row)
        yield _LAST
