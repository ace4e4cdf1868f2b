"""A server between a client and a bucket, which a test tells what to let through."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from threading import Event, Thread
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    bucket: str
    key: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Told:
    """An answer in place of the bucket's."""

    status: int
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)


Rule = Callable[[Asked], Told | None]

DENIED = Told(403, "AccessDenied")


@contextmanager
def gate(
    upstream: str,
    rule: Rule = lambda _: None,
    *,
    clock_off: timedelta = timedelta(0),
    tls: SSLContext | None = None,
    hangs: bool = False,
) -> Iterator[str]:
    """The address of a server that answers by `rule`, and forwards what that has no answer to."""
    host = urlsplit(upstream).netloc
    released = Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            if hangs:
                released.wait(60)
                self.close_connection = True
                return
            super().handle_one_request()

        def _handle(self) -> None:
            body = self._body()
            parts = urlsplit(self.path)
            bucket, _, key = parts.path.lstrip("/").partition("/")
            query = parse_qs(parts.query, keep_blank_values=True)
            told = rule(Asked(self.command, bucket, key, query, self.headers, body))
            if told is not None:
                content = f"<Error><Code>{told.code}</Code><Message>no</Message></Error>".encode()
                self._answer(
                    told.status,
                    told.headers,
                    content if told.code and self.command != "HEAD" else b"",
                )
                return
            onward = http.client.HTTPConnection(host, timeout=30)
            onward.request(self.command, self.path, body=body, headers=dict(self.headers))
            answer = onward.getresponse()
            self._answer(answer.status, dict(answer.getheaders()), answer.read())
            onward.close()

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("transfer-encoding", ""):
                return self.rfile.read(int(self.headers.get("content-length", 0)))
            del self.headers["transfer-encoding"]
            chunks = []
            while size := int(self.rfile.readline().strip(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            length = str(len(body))
            for name, value in headers.items():
                match name.lower():
                    case "date" | "connection" | "transfer-encoding":
                        pass
                    case "content-length":
                        length = value if self.command == "HEAD" else length
                    case _:
                        self.send_header(name, value)
            now = format_datetime(datetime.now(UTC) + clock_off, usegmt=True)
            self.send_header("Date", now)
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that turns away is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    finally:
        released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def policy_of_the_docs(prefix: str) -> Rule:
    """What docs/buckets.md allows, and nothing else: put, get and abort below the prefix, list."""

    def rule(asked: Asked) -> Told | None:
        if not asked.headers.get("Authorization"):
            return DENIED
        if asked.key:
            is_allowed = asked.key.startswith(f"{prefix}/") and (
                asked.method in ("GET", "HEAD", "PUT", "POST") or "uploadId" in asked.query
            )
        else:
            is_allowed = (
                asked.method == "GET"
                and "list-type" in asked.query
                and asked.query.get("prefix", [""])[0].startswith(f"{prefix}/")
            )
        return None if is_allowed else DENIED

    return rule
