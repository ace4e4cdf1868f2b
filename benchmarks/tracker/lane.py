"""A tracker, the site it is on, and the collector that it sends to."""

from __future__ import annotations

import http.client
import math
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.tracker.edge import Answer, Edge, Fault, Request
from benchmarks.tracker.link import Link
from benchmarks.tracker.marks import count_marks
from benchmarks.tracker.pages import make_page
from benchmarks.tracker.trackers import OURS, Tracker

ROUND_TRIP_SECONDS = 0.1
_OF_THE_CONNECTION = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
)
Collect = Callable[[Request], Answer]


@dataclass(frozen=True)
class Stored:
    """A request that a collector took in."""

    at: float
    marks: Counter[str]


class Lane:
    """Two edges, a near one without TLS and a far one with it; both have the same collector."""

    def __init__(
        self, tracker: Tracker, *, collect: Collect, scripts: Path, certificate: ssl.SSLContext
    ) -> None:
        self.tracker = tracker
        self.stored: list[Stored] = []
        """Told by the wire; whether ours are delivered, the bucket tells."""
        self.pages: Counter[str] = Counter()
        """Requested, by path and query."""
        self.may_go = threading.Event()
        """Until then a page waits that has others prerendered."""
        self._collector, self._scripts = collect, scripts
        self._near = Edge(page=self._page, collect=self._collect)
        self._far = Edge(page=self._page, collect=self._collect, certificate=certificate)
        self._link = Link(self._far.port, round_trip_seconds=ROUND_TRIP_SECONDS)
        self.near = f"http://localhost:{self._near.port}"
        self.far = f"https://localhost:{self._link.port}"

    def close(self) -> None:
        """Stop to listen."""
        self._link.close()
        self._near.close()
        self._far.close()

    def put(self, fault: Fault) -> None:
        """What becomes of requests to the collector from now on."""
        self._near.fault = self._far.fault = fault

    def end_idle_connections(self) -> None:
        """Of the far edge, and see that the browser knows."""
        self._far.end_idle_connections()
        deadline = time.monotonic() + 2
        while self._link.open_connections and time.monotonic() < deadline:
            time.sleep(0.01)

    def has_seen(self, *addresses: str) -> Callable[[], bool]:
        """Have all of these pages been asked for?"""
        return lambda: all(self.pages[address] for address in addresses)

    def marks(self, *, by: float = math.inf) -> Counter[str]:
        """How often each event was taken in until then, as far as the wire tells."""
        counted: Counter[str] = Counter()
        for stored in list(self.stored):
            if stored.at <= by:
                counted.update(stored.marks)
        return counted

    def _page(self, request: Request) -> Answer | None:
        path = urlsplit(request.path).path
        if path.startswith("/peers/"):
            script = (self._scripts / Path(path).name).read_bytes()
            return Answer(200, script, {"Content-Type": "text/javascript"})
        if path.startswith("/js/"):
            return self._collector(request)
        page = make_page(self.tracker, request.path)
        if page is None:
            return None
        self.pages[request.path] += 1
        if path == "/held":
            self.may_go.wait(20)
        return Answer(200, page, _HTML)

    def _collect(self, request: Request) -> Answer:
        answer = self._collector(request)
        if request.body and 200 <= answer.status < 300:
            marks = count_marks(request.body, self.tracker.view)
            self.stored.append(Stored(time.monotonic(), marks))
        return answer


_HTML = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "max-age=60"}


def forward_to(url: str) -> Collect:
    """Ours: hand on to the real collector, which also serves the script."""
    target = urlsplit(url).netloc

    def collect(request: Request) -> Answer:
        connection = http.client.HTTPConnection(target, timeout=30)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _OF_THE_CONNECTION}
        try:
            connection.request(request.method, request.path, request.body or None, headers)
            answer = connection.getresponse()
            body = answer.read()
        except OSError:
            return Answer(502)
        finally:
            connection.close()
        kept = {k: v for k, v in answer.getheaders() if k.lower() not in _OF_THE_CONNECTION}
        return Answer(answer.status, body, kept)

    return collect


def take_anything(request: Request) -> Answer:
    """A peer's collector, as far as a peer can tell."""
    if request.method == "POST":
        path = urlsplit(request.path).path
        if path.startswith("/flags"):
            return Answer(200, b'{"flags": {}, "supportedCompression": ["gzip-js"]}', _JSON)
        if path == "/2/httpapi":
            return Answer(200, b'{"code": 200, "events_ingested": 1}', _JSON)
        return Answer(200, b'{"status": 1}', _JSON)
    if request.path.partition("?")[0].endswith("/config"):
        return Answer(200, b'{"supportedCompression": ["gzip-js"]}', _JSON)
    return Answer(404)


_JSON = {"Content-Type": "application/json"}


def open_lane(
    tracker: Tracker, *, collector_url: str, scripts: Path, certificate: ssl.SSLContext
) -> Lane:
    """With the real collector for ours, and one that takes anything for a peer."""
    collect = forward_to(collector_url) if tracker is OURS else take_anything
    return Lane(tracker, collect=collect, scripts=scripts, certificate=certificate)
