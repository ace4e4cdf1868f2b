"""Serve `pages/` from an origin of its own, so that the collector is another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGES = Path(__file__).parent / "pages"


@contextmanager
def serving_pages(collector_url: str) -> Iterator[str]:
    """Where the pages are; `%COLLECTOR%` in them stands for the collector's address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            file = PAGES / self.path.partition("?")[0].lstrip("/")
            body = file.read_text() if file.is_file() else "<!doctype html><title>Empty</title>"
            content = body.replace("%COLLECTOR%", collector_url).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
