"""What is pasted into pages (tracking/snippets, tracking/wordpress), served as a site does."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.conftest import ROOT
from tests.sdks.collector import Collector, Row
from tests.system.running_stack import wait_until

SNIPPETS = ROOT / "tracking/snippets"
DIST = ROOT / "tracking/dist"
# No inline script, no eval, no other host's script.
STRICT_CSP = "default-src 'none'; script-src 'self'; connect-src *; img-src data:"


def snippets_modules() -> Path:
    """React and what checks it, installed by the lock file when they are not there yet."""
    if shutil.which("npm") is None:
        pytest.skip("no npm here")
    modules = SNIPPETS / "node_modules"
    if not (modules / ".package-lock.json").is_file():
        command = ["npm", "ci", "--silent", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=SNIPPETS, check=True, timeout=170)
    return modules


def bundle_snippet(entry: str, target: Path, *options: str) -> Path:
    """One of tracking/snippets/test with all it imports."""
    esbuild = snippets_modules() / ".bin/esbuild"
    subprocess.run(
        [esbuild, f"test/{entry}", "--bundle", f"--outfile={target}", *options],
        cwd=SNIPPETS,
        env=os.environ | {"NODE_ENV": "development"},
        capture_output=True,
        check=True,
        timeout=60,
    )
    return target


def wait_for_type(collector: Collector, event_type: str, count: int) -> list[Row]:
    """The rows of one type, once there are so many; the tracker tells of more than these."""

    def rows() -> list[Row]:
        # What a leaving page sends, the next one sends again: the export drops what came twice.
        once = {row.payload["eventId"]: row for row in collector.rows()}
        return [row for row in once.values() if row.event_type == event_type]

    what = f"{count} × {event_type}"
    wait_until(lambda: len(rows()) >= count, seconds=20, what=what)
    found = rows()
    assert len(found) == count, [row.payload for row in found]
    return found


class SitePage:
    """A page of the site, and what went wrong on it."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def _hear(self, message: ConsoleMessage) -> None:
        # Where a policy stops a script, Chromium says so here.
        if message.type == "error":
            self.errors.append(message.text)

    @property
    def tags(self) -> list[dict[str, str]]:
        """The attributes of every tracker's tag on the page."""
        found: list[dict[str, str]] = self.page.evaluate("""
          [...document.scripts].filter((script) => script.src.includes("tracking.js")).map(
            (script) => Object.fromEntries([...script.attributes].map((a) => [a.name, a.value])))
        """)
        return found


Answer = Callable[[str], tuple[str, bytes]]
"""From a path to a content type and a body."""


@contextmanager
def open_site(
    browser: Browser, answer: Answer | Mapping[str, str], *, csp: str = STRICT_CSP
) -> Iterator[SitePage]:
    """A site, the tracker and its plugins at /js/; what else there is, `answer` tells."""

    def find(path: str) -> tuple[str, bytes]:
        built = DIST / path.removeprefix("/js/")
        if path.startswith("/js/") and built.is_file():
            return "text/javascript", built.read_bytes()
        if callable(answer):
            return answer(path)
        kind = "text/javascript" if path.endswith(".js") else "text/html; charset=utf-8"
        return kind, answer.get(path, "<!doctype html><title>Empty</title>").encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = find(urlsplit(self.path).path)
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Security-Policy", csp)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context = browser.new_context()
    site = SitePage(context.new_page(), f"http://shop.localhost:{server.server_address[1]}")
    try:
        yield site
        assert site.errors == []
    finally:
        context.close()
        server.shutdown()
        server.server_close()
