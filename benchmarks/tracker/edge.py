"""The server that a browser meets: pages, scripts, and a collector with what is wrong with it."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Fault(StrEnum):
    """What becomes of a request to the collector. Pages and scripts come through, always."""

    NONE = "none"
    RESET = "reset"
    """The connection is reset before the body is read."""
    UNAVAILABLE = "503"
    ANSWER_LOST = "answer lost"
    """Carried out, and nobody is told."""


@dataclass(frozen=True)
class Request:
    """What came, its body whole."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Edge:
    """Listens on localhost, with TLS where it is given a certificate."""

    def __init__(
        self,
        *,
        page: Callable[[Request], Answer | None],
        collect: Callable[[Request], Answer],
        certificate: ssl.SSLContext | None = None,
    ) -> None:
        self.fault = Fault.NONE
        """Of this moment."""
        self._page, self._collect = page, collect
        self._lock = threading.Lock()
        self._waiting: set[socket.socket] = set()
        self._busy: set[socket.socket] = set()
        self._server = _Server(self, certificate)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop to listen, and end what is open."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self._waiting | self._busy:
            _end(connection)

    def end_idle_connections(self) -> None:
        """The next request has to open one, as on a cold start; none is cut off."""
        deadline = time.monotonic() + 2
        while self._busy and time.monotonic() < deadline:
            time.sleep(0.01)
        with self._lock:
            for connection in self._waiting:
                _end(connection)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """One request, from its headers on."""
        length = int(handler.headers.get("Content-Length") or 0)
        headers = dict(handler.headers.items())
        bare = Request(handler.command, handler.path, headers, b"")
        page = self._page(bare) if handler.command == "GET" else None
        if page is not None:
            _send(handler, page)
            return
        fault = self.fault
        if fault is Fault.RESET:
            _reset(handler)
            return
        request = Request(handler.command, handler.path, headers, handler.rfile.read(length))
        if len(request.body) < length:
            handler.close_connection = True  # cut off; nothing to carry out
            return
        if fault is Fault.UNAVAILABLE:
            _send(handler, Answer(503, b"away for a moment"))
            return
        answer = self._collect(request)
        if fault is Fault.ANSWER_LOST:
            _reset(handler)
            return
        _send(handler, answer)

    def tell(self, connection: socket.socket, *, is_busy: bool | None) -> None:
        """A connection waits for a request, is at one, or (None) has ended."""
        with self._lock:
            self._waiting.discard(connection)
            self._busy.discard(connection)
            if is_busy is not None:
                (self._busy if is_busy else self._waiting).add(connection)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, edge: Edge, certificate: ssl.SSLContext | None) -> None:
        self._certificate = certificate
        super().__init__(("127.0.0.1", 0), _handler(edge))

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        if self._certificate is not None:
            # The handshake is the connection's own thread's to wait for.
            connection = self._certificate.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def handle_error(self, *_: object) -> None:
        """Browsers leave when they like."""


def _handler(edge: Edge) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # headers and body in one write

        def setup(self) -> None:
            if isinstance(self.request, ssl.SSLSocket):
                self.request.do_handshake()
            super().setup()

        def handle_one_request(self) -> None:
            edge.tell(self.connection, is_busy=False)
            try:
                super().handle_one_request()
            except (OSError, ValueError):
                self.close_connection = True
            finally:
                edge.tell(self.connection, is_busy=None)

        def _answer(self) -> None:
            edge.tell(self.connection, is_busy=True)
            edge.answer(self)

        do_GET = do_POST = do_PUT = do_OPTIONS = do_HEAD = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _send(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    handler.send_response_only(answer.status)
    for name, value in answer.headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(answer.body)))
    handler.end_headers()
    handler.wfile.write(answer.body)
    handler.wfile.flush()


def _reset(handler: BaseHTTPRequestHandler) -> None:
    """Close with RST, as a machine does that has gone away."""
    handler.close_connection = True
    with suppress(OSError):
        linger = struct.pack("ii", 1, 0)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        handler.connection.close()


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
