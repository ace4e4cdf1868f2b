"""Serve the observed page, the chunks and what the page loads, under a strict policy."""

from __future__ import annotations

import json
import random
import re
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

PAGES = Path(__file__).parent / "pages"
_POLICY = "default-src 'self'; style-src 'unsafe-inline'"

Event = dict[str, Any]


@dataclass
class Site:
    """Serves the page, the chunks and what the page loads; keeps what is handed over."""

    dist: Path
    url: str = ""
    collected: list[Event] = field(default_factory=list)

    def address(self, plugin: str, **options: str) -> str:
        chunks = json.loads((self.dist / "assets.json").read_text())["plugins"]
        return f"{self.url}/observing.html?" + urlencode({"chunk": chunks[plugin], **options})

    def wait_for(self, enough: Callable[[list[Event]], bool]) -> list[Event]:
        deadline = time.monotonic() + 10
        while not enough(self.collected) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert enough(self.collected), self.collected
        return self.collected

    def wait_for_names(self, *names: str) -> list[Event]:
        """All events with these names, once each name has come."""
        self.wait_for(lambda all: set(names) <= {event["name"] for event in all})
        return [event for event in self.collected if event["name"] in names]


@contextmanager
def serving_observed_pages(dist: Path) -> Iterator[Site]:
    site = Site(dist)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/slow":
                time.sleep(2)
            kind, body = _answer(path, site.dist) or ("", b"")
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            first = int(wanted[1]) if wanted else 0
            self.send_response((206 if wanted else 200) if kind else 404)
            if wanted:  # a player jumps only where it may ask for parts
                self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body) - first))
            self.send_header("Content-Security-Policy", _POLICY)
            self.end_headers()
            self.wfile.write(body[first:])

        def do_POST(self) -> None:
            site.collected += json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    site.url = f"http://localhost:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _answer(path: str, dist: Path) -> tuple[str, bytes] | None:
    if path == "/hero.bmp":
        return "image/bmp", _noise(300, 150)
    if path == "/sound.wav":
        return "audio/wav", _silence(seconds=2)
    if path in {"/elsewhere", "/slow"}:
        return "text/html", b"<!doctype html><title>Elsewhere</title>"
    file = dist / path[6:] if path.startswith("/dist/") else PAGES / path[1:]
    if not file.is_file():
        return None
    kind = "text/html; charset=utf-8" if file.suffix == ".html" else "text/javascript"
    return kind, file.read_bytes()


def _noise(width: int, height: int) -> bytes:
    """A picture that is no background: one colour would not count as the largest paint."""
    pixels = random.Random(1).randbytes(width * height * 4)
    head = struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54)
    return head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 32, 0, 0, 0, 0, 0, 0) + pixels


def _silence(seconds: int) -> bytes:
    samples = bytes([128]) * 8_000 * seconds
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8_000, 8_000, 1, 8)
    data = struct.pack("<4sI", b"data", len(samples)) + samples
    return struct.pack("<4sI4s", b"RIFF", 4 + len(form) + len(data), b"WAVE") + form + data
