"""A proxy such as companies have at their border: for HTTP, and with CONNECT for HTTPS."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

_HOP = frozenset({"connection", "proxy-connection", "transfer-encoding", "content-length"})


class ForwardProxy:
    """Forwards; `asked` lists the methods and places, in order."""

    def __init__(self, places: Mapping[str, str] | None = None) -> None:
        """`places` says where a host really is, when its name does not."""
        self.asked: list[tuple[str, str]] = []
        proxy, known = self, places or {}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_CONNECT(self) -> None:
                proxy.asked.append(("CONNECT", self.path))
                host, _, port = known.get(self.path, self.path).rpartition(":")
                with socket.create_connection((host, int(port)), timeout=10) as onward:
                    self.send_response_only(200)
                    self.end_headers()
                    back = Thread(target=_pour, args=(onward, self.connection), daemon=True)
                    back.start()
                    _pour(self.connection, onward)
                    back.join(10)
                self.close_connection = True

            def _forward(self) -> None:
                parts = urlsplit(self.path)
                proxy.asked.append((self.command, parts.netloc))
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                onward = http.client.HTTPConnection(
                    known.get(parts.netloc, parts.netloc), timeout=10
                )
                headers = {n: v for n, v in self.headers.items() if n.lower() not in _HOP}
                onward.request(self.command, parts._replace(scheme="", netloc="").geturl(), body,
                               headers)  # fmt: skip
                answer = onward.getresponse()
                content = answer.read()
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in _HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                onward.close()

            do_GET = do_PUT = do_POST = do_DELETE = _forward  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop to listen."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def forward_proxy(places: Mapping[str, str] | None = None) -> Iterator[ForwardProxy]:
    """A proxy for as long as it is needed."""
    proxy = ForwardProxy(places)
    try:
        yield proxy
    finally:
        proxy.close()


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65_536):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)
