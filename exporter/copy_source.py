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

_DONE: Final = b"c\0\0\0\4"
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
        self._socket = _socket_of(connection)
        self._socket.setblocking(True)

    def receive(self, buffer: memoryview) -> int:
        try:
            return self._socket.recv_into(buffer)
        except OSError as exc:
            raise psycopg.OperationalError(f"the connection is lost: {exc}") from exc

    def stop(self) -> None:
        _hang_up(self._socket)

    def close(self) -> None:
        self._socket.close()


class _LibpqSource:
    """The same messages, made again of what libpq gives."""

    def __init__(self, connection: psycopg.Connection, copy: str) -> None:
        self._connection = connection
        self._socket = _socket_of(connection)
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
        _hang_up(self._socket)

    def close(self) -> None:
        self.stop()
        # Or psycopg would ask PostgreSQL to cancel, and wait for it.
        self._connection.pgconn.finish()
        with suppress(psycopg.Error):
            self._messages.close()
        self._socket.close()

    def _make(self, copy: str) -> Generator[bytes, None, None]:
        cursor = self._connection.cursor()
        with cursor.copy(copy) as rows:
            for row in rows:
                yield b"d" + (4 + len(row)).to_bytes(4, "big") + bytes(row)
        tag = b"COPY %d\0" % cursor.rowcount
        yield _DONE + b"C" + (4 + len(tag)).to_bytes(4, "big") + tag + END + b"I"


def _socket_of(connection: psycopg.Connection) -> socket.socket:
    """The connection's own: what is done to it is done to that."""
    return socket.socket(fileno=os.dup(connection.pgconn.socket))


def _hang_up(line: socket.socket) -> None:
    """End a connection at once, for whoever reads from it in another thread, too."""
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
