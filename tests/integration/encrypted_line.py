"""TLS in front of a PostgreSQL that has none: the embedded one is built without."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Final

_SSL_REQUEST: Final = (8).to_bytes(4, "big") + (80_877_103).to_bytes(4, "big")
"""https://www.postgresql.org/docs/18/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-SSLREQUEST"""


class EncryptedLine:
    """Takes encrypted connections and no others, and passes on what is said."""

    def __init__(self, postgres_socket: Path, context: ssl.SSLContext) -> None:
        self._postgres, self._context = postgres_socket, context
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.connections = 0
        Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Stop to listen."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            if client.recv(len(_SSL_REQUEST), socket.MSG_WAITALL) != _SSL_REQUEST:
                return
            client.sendall(b"S")
            with (
                self._context.wrap_socket(client, server_side=True) as said,
                socket.socket(socket.AF_UNIX) as postgres,
            ):
                postgres.connect(str(self._postgres))
                self.connections += 1
                back = Thread(target=_pour, args=(postgres, said), daemon=True)
                back.start()
                _pour(said, postgres)
                back.join(10)


def _pour(source: socket.socket, into: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            into.sendall(data)
    with suppress(OSError):
        into.shutdown(socket.SHUT_RDWR)
