"""A site under the tracker: pages that a test makes up, a real stack, and its Parquet read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
from playwright.sync_api import Browser, BrowserContext, Page, Route

from tests.browser.engines import open_browser
from tests.system.running_stack import RunningStack, wait_until

_SITES = count(1)
_LISTEN = """
window.heard = [];
for (const name of ["sluice:event", "sluice:sent", "sluice:failed"])
  addEventListener(name, (event) => heard.push([name, event.detail]));
"""
_PAGE = """<!doctype html><html lang="en"><title>{title}</title><meta charset="utf-8">{head}
<script async src="/js/tracking.js" data-site-id="{site}" data-debug {attributes}></script>
{body}</html>"""


@dataclass
class DeliveredSite:
    """What of one site is in the client's bucket."""

    stack: RunningStack
    site_id: str

    def delivered(self, event_type: str | None = None, *, least: int = 1) -> list[dict[str, Any]]:
        """The site's rows in the client's bucket, in order of capture, once there are as many."""

        def enough() -> list[dict[str, Any]] | None:
            self.stack.wait_until_delivered()
            rows = self.rows(event_type)
            return rows if len(rows) >= least else None

        rows: list[dict[str, Any]] = wait_until(
            enough, seconds=60, what=f"{least} rows of {event_type or 'any type'}"
        )
        return rows

    def rows(self, event_type: str | None = None) -> list[dict[str, Any]]:
        """The site's rows that stand in the client's bucket now."""
        folder = self.stack.bucket("client") / "events" / f"site_id={self.site_id}"
        files = list(Path(folder).rglob("*.parquet"))
        if not files:
            return []
        rows = ds.dataset(files).to_table().sort_by("event_id").to_pylist()
        for row in rows:
            row["properties"] = json.loads(row["properties"] or "{}")
        return [row for row in rows if event_type in (None, row["event_type"])]


@dataclass(kw_only=True)
class TrackedSite(DeliveredSite):
    """One site of its own in a shared stack, and a browser's profile of its own."""

    context: BrowserContext
    site_id: str = field(default_factory=lambda: f"site-{next(_SITES)}.example")
    attributes: str = ""
    body: str = "<h1>Hello</h1>"
    head: str = ""
    title: str = "A page"
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.origin = self.stack.url.replace("127.0.0.1", "localhost")
        self.context.route(f"{self.origin}/p/**", self._serve)
        self.context.route("https://**", lambda route: route.fulfill(body="elsewhere"))
        self.context.add_init_script(_LISTEN)

    def _serve(self, route: Route) -> None:
        page = _PAGE.format(
            title=self.title, head=self.head, site=self.site_id, attributes=self.attributes,
            body=self.body,
        )  # fmt: skip
        route.fulfill(body=page, content_type="text/html; charset=utf-8")

    def open(self, path: str = "/p/one", *, referrer: str | None = None) -> Page:
        """A tab on one of the pages, its tracker loaded."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.go(page, path, referrer=referrer)
        return page

    def go(self, page: Page, path: str, *, referrer: str | None = None) -> None:
        """Load a page in a tab."""
        page.goto(self.origin + path, referer=referrer)
        page.wait_for_function("window.sluice && sluice.isLoaded")

    def heard(self, page: Page, name: str = "sluice:event") -> list[dict[str, Any]]:
        """What the tracker announced on the page so far."""
        heard: list[dict[str, Any]] = page.evaluate(
            "name => heard.filter(([heard]) => heard === name).map(([, detail]) => detail)", name
        )
        return heard

    def wait_for_event(self, page: Page, event_type: str, *, times: int = 1) -> dict[str, Any]:
        """The last event of a type, once there are as many."""
        page.wait_for_function(
            "([type, times]) => heard.filter(([name, detail]) =>"
            " name === 'sluice:event' && detail.event.eventType === type).length >= times",
            arg=[event_type, times],
        )
        events = [detail["event"] for detail in self.heard(page)]
        return [event for event in events if event["eventType"] == event_type][-1]  # type: ignore[no-any-return]


@contextmanager
def running_site_stack(folder: Path, engine: str) -> Iterator[tuple[RunningStack, Browser]]:
    """A stack and a browser for the sites of one test file."""
    stack = RunningStack(folder / "data", settings={"EXPORT_INTERVAL": "1h"})
    stack.start()
    try:
        with open_browser(engine) as browser:
            yield stack, browser
    finally:
        stack.stop()
