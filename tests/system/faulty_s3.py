"""A proxy between the exporter and its bucket that does what networks and buckets do at times."""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

_ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
_OF_THE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


class Fault(StrEnum):
    """What may happen to a request."""

    NONE = "none"
    REFUSED = "refused"
    """The connection is closed before anything is read."""
    RESET = "reset"
    """It is reset in the middle of the body."""
    SLOW = "slow"
    """Everything takes two seconds longer."""
    INTERNAL_ERROR = "500"
    SLOW_DOWN = "503"
    DENIED = "403"
    CORRUPT = "corrupt"
    """A byte is another one when it arrives, in a put or in what is read back."""
    CUT = "cut"
    """The answer ends in the middle."""
    ANSWER_LOST = "answer lost"
    """Carried out, and nobody is told."""


@dataclass(frozen=True)
class Seen:
    """A request, as far as a fault may depend on it."""

    method: str
    path: str
    number: int
    """Counted over all of them, from 1."""

    def matches(self, pattern: str) -> bool:
        """Whether the pattern occurs in the path."""
        return re.search(pattern, unquote(self.path)) is not None


class FaultyS3:
    """Forwards to a server that speaks S3, except for what `choose` picks."""

    def __init__(self, endpoint: str, choose: Callable[[Seen], Fault]) -> None:
        self.choose = choose
        self.before: Callable[[Seen], None] = lambda _: None
        self.after: Callable[[Seen], None] = lambda _: None
        self.happened: Counter[Fault] = Counter()
        self.requests: list[Seen] = []
        self._target = urlsplit(endpoint)
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                with suppress(ConnectionError, TimeoutError):
                    super().handle_one_request()

            def log_message(self, *_: object) -> None:
                pass

            def __getattr__(self, name: str) -> Callable[[], None]:
                if not name.startswith("do_"):
                    raise AttributeError(name)
                return lambda: proxy._answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop to listen."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        with self._lock:
            seen = Seen(request.command, request.path, len(self.requests) + 1)
            self.requests.append(seen)
        fault = self.choose(seen)
        length = int(request.headers.get("Content-Length") or 0)
        if fault is Fault.RESET and not length:
            fault = Fault.REFUSED
        with self._lock:
            self.happened[fault] += 1
        self.before(seen)
        if fault is Fault.REFUSED:
            _reset(request)
            return
        if fault is Fault.RESET:
            request.rfile.read(length // 2)
            _reset(request)
            return
        body = _whole_body(request, length)
        if fault is Fault.SLOW:
            time.sleep(2)
        errors = {
            Fault.INTERNAL_ERROR: (500, "InternalError"),
            Fault.SLOW_DOWN: (503, "SlowDown"),
            Fault.DENIED: (403, "AccessDenied"),
        }
        if fault in errors:
            status, code = errors[fault]
            text = _ERROR.format(code=code, message="the test says so").encode()
            _send(request, status, [("Content-Type", "application/xml")], text)
            return
        if fault is Fault.CORRUPT and request.command == "PUT":
            if not seen.matches(r"/events/"):
                # S3 holds what arrives against the checksum that came with it.
                text = _ERROR.format(code="BadDigest", message="not what was sent").encode()
                _send(request, 400, [("Content-Type", "application/xml")], text)
                return
            body = _with_another_byte(body)  # as a store does that checks nothing
        status, headers, answer = self._forward(request, body)
        self.after(seen)
        if fault is Fault.ANSWER_LOST:
            _reset(request)
            return
        if fault is Fault.CORRUPT and request.command == "GET":
            answer = _with_another_byte(answer)
        _send(request, status, headers, answer, is_cut=fault is Fault.CUT)

    def _forward(
        self, request: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self._target.netloc, timeout=30)
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _OF_THE_CONNECTION | {"expect"}
        }
        connection.request(request.command, request.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.getheaders(), content


def _whole_body(request: BaseHTTPRequestHandler, length: int) -> bytes:
    if "chunked" not in request.headers.get("Transfer-Encoding", ""):
        return request.rfile.read(length)
    parts = []
    while size := int(request.rfile.readline().split(b";")[0], 16):
        parts.append(request.rfile.read(size))
        request.rfile.readline()
    request.rfile.readline()
    return b"".join(parts)


def _send(
    request: BaseHTTPRequestHandler,
    status: int,
    headers: list[tuple[str, str]],
    body: bytes,
    *,
    is_cut: bool = False,
) -> None:
    length = {name.lower(): value for name, value in headers}.get("content-length")
    request.send_response_only(status)
    for name, value in headers:
        if name.lower() not in _OF_THE_CONNECTION:
            request.send_header(name, value)
    of_head = request.command == "HEAD" and length is not None
    request.send_header("Content-Length", length if of_head and length else str(len(body)))
    request.end_headers()
    if request.command == "HEAD" or status == 204:
        return
    if is_cut:
        request.wfile.write(body[: len(body) // 2])
        request.wfile.flush()
        _reset(request)
        return
    request.wfile.write(body)


def _reset(request: BaseHTTPRequestHandler) -> None:
    """Close with RST, as a machine does that has gone away."""
    request.close_connection = True
    with suppress(OSError):
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.connection.close()


def _with_another_byte(body: bytes) -> bytes:
    if not body:
        return body
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
