"""A faulty network between an SDK and the collector: it refuses, or loses answers, as told."""

from __future__ import annotations

import http.client
import json
import threading
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

Fault = Literal["refuse", "lose"]
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}


@dataclass(frozen=True)
class Passed:
    """A request that came, and the status that its sender got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def sent(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class Gate:
    """Passes requests on to the collector, but for the faults that wait in `faults`.

    `refuse` answers 503 as the collector does and passes nothing on; `lose` passes the request
    on, so that it is stored, and answers 503 all the same.
    """

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target).netloc
        self.faults: deque[Fault] = deque()
        self.passed: list[Passed] = []
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                gate._handle(self)

            def do_GET(self) -> None:
                gate._handle(self)

            def do_OPTIONS(self) -> None:
                gate._handle(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def posts(self) -> list[Passed]:
        """The requests with events."""
        return [passed for passed in self.passed if passed.method == "POST"]

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        fault = self.faults.popleft() if handler.command == "POST" and self.faults else None
        if fault == "refuse":
            status, headers, answer = 503, [], b"{}"
        else:
            status, headers, answer = self._forward(handler, body)
        if fault is not None:
            cors = handler.headers.get("Origin")
            status, answer = 503, b'{"success":false,"code":"buffer_unavailable","message":"later"}'
            headers = [("Content-Type", "application/json"), ("Retry-After", "1")]
            headers += [("Access-Control-Allow-Origin", cors)] if cors else []
        self.passed.append(
            Passed(handler.command, handler.path, dict(handler.headers.items()), body, status)
        )
        handler.send_response(status)
        for name, value in headers:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    def _forward(
        self, handler: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self._target, timeout=20)
        try:
            connection.request(handler.command, handler.path, body, dict(handler.headers.items()))
            answer = connection.getresponse()
            headers = [(n, v) for n, v in answer.getheaders() if n.lower() not in _HOP_BY_HOP]
            return answer.status, headers, answer.read()
        finally:
            connection.close()
