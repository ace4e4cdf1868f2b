"""A page of a shop, in a real browser, with an SDK on it that posts to a collector elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page

REFERRER = "https://www.google.com/"
_PATH = "/p/7?utm_source=news&utm_campaign=autumn"
_HTML = b"<!doctype html><title>Red shoes</title><link rel='icon' href='data:,'>"


class ShopPage:
    """The page, which hosts it talked to, and what went wrong on it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.hosts: set[str] = set()
        self.errors: list[str] = []
        self.console: list[str] = []
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message: ConsoleMessage) -> None:
        self.console.append(message.text)

    def run(self, script: Path, code: str) -> None:
        """Put a script on the page, then run code, and wait for what it awaits."""
        self.page.add_script_tag(path=script)
        timeout = "new Promise((_, no) => setTimeout(() => no(new Error('no end of it')), 20000))"
        try:
            self.page.evaluate(f"Promise.race([(async () => {{ {code} }})(), {timeout}])")
        except Exception as exc:
            raise AssertionError("\n".join(self.console)) from exc


@contextmanager
def open_shop(browser: Browser) -> Iterator[ShopPage]:
    """A page in a fresh profile; its site is another than the collector's."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(_HTML)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context = browser.new_context(viewport={"width": 1280, "height": 720}, locale="de-CH")
    # Chromium knows every name below localhost; a page from elsewhere may not talk to 127.0.0.1.
    # https://wicg.github.io/local-network-access/
    shop = ShopPage(context.new_page(), f"http://shop.localhost:{server.server_address[1]}{_PATH}")
    shop.page.goto(shop.url, referer=REFERRER)
    try:
        yield shop
    finally:
        context.close()
        server.shutdown()
        server.server_close()
