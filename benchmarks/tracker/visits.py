"""Visitors: what they do on a page, and which events must be the outcome."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, Playwright
from playwright.sync_api import Error as PlaywrightError

from benchmarks.tracker.browser import launch, launch_with_profile
from benchmarks.tracker.edge import Fault
from benchmarks.tracker.lane import Lane
from benchmarks.tracker.marks import event_mark, view_mark

# Random, so that no compression makes it less; letters, so that nothing takes it for a number.
_RECORD = """([marks, bytes]) => {
  const pad = () => {
    let text = "";
    while (text.length < bytes) text += String.fromCharCode(97 + Math.random() * 26);
    return text;
  };
  for (const mark of marks) record("benchmark", bytes ? { mark, pad: pad() } : { mark });
}"""


@dataclass(eq=False)
class Visit:
    """One visitor with one tracker; the expectation grows with what they do."""

    lane: Lane
    cell: str
    number: int
    context: BrowserContext
    origin: str
    page: Page = field(init=False)
    expected: Counter[str] = field(default_factory=Counter)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def open(self) -> Page:
        """A page with the tracker on it, once it is ready; in a tab of its own."""
        self.page = self.context.new_page()
        self.page.goto(f"{self.origin}/page?visit={self.new_view()}")
        self.page.wait_for_function(self.lane.tracker.is_ready)
        return self.page

    def new_view(self) -> str:
        """For the address of a page whose views are told apart."""
        return view_mark(self.cell, self.number, next(self._numbers))

    def record(self, count: int = 1, *, pad_bytes: int = 0, then: str = "") -> None:
        """Let the page record events, and do something else in the same moment."""
        marks = [event_mark(self.cell, self.number, next(self._numbers)) for _ in range(count)]
        self.expected.update(marks)
        # The page may be gone before it answers.
        with suppress(PlaywrightError):
            self.page.evaluate(f"(given) => {{ ({_RECORD})(given); {then} }}", [marks, pad_bytes])

    def close_tab(self) -> None:
        """As a visitor does: the page is told that it is hidden, then left."""
        self.page.close()

    def leave_for_elsewhere(self) -> None:
        """Wait until a page without a tracker is there."""
        self.page.wait_for_url("**/elsewhere")

    def missing(self) -> Counter[str]:
        """What no collector has taken in, as far as the wire tells."""
        return self.expected - self.lane.marks()


@dataclass
class Cell:
    """What came of one row for one tracker."""

    lane: Lane
    visits: list[Visit]
    facts: dict[str, int] = field(default_factory=dict)

    def expected(self) -> Counter[str]:
        """Of all visits."""
        return sum((visit.expected for visit in self.visits), Counter())

    def missing(self) -> Counter[str]:
        """Of all visits, now."""
        return self.expected() - self.lane.marks()


class Stage:
    """The browser and the lanes that a scenario plays on."""

    def __init__(
        self,
        playwright: Playwright,
        lanes: list[Lane],
        *,
        visits: int,
        revisit_seconds: float = 10,
    ) -> None:
        self.lanes = lanes
        self.visits = visits
        self.revisit_seconds = revisit_seconds
        """How long who comes again stays, unless what was missing is there before."""
        self.patience_seconds = 30
        """How long a tracker's own retries are waited for, once nothing is in their way."""
        self.playwright = playwright
        self._browser: Browser | None = None
        self._contexts: list[BrowserContext] = []

    def cells(self, name: str, *, is_far: bool = False) -> list[Cell]:
        """New visitors of each lane; they have not opened a page yet."""
        return [
            Cell(lane, [self._visit(lane, name, i, is_far) for i in range(self.visits)])
            for lane in self.lanes
        ]

    def _visit(self, lane: Lane, name: str, number: int, is_far: bool) -> Visit:
        context = self.browser().new_context()
        self._contexts.append(context)
        return Visit(lane, name, number, context, lane.far if is_far else lane.near)

    def browser(self) -> Browser:
        """Started when it is first needed."""
        if self._browser is None:
            self._browser = launch(self.playwright)
        return self._browser

    @contextmanager
    def unattended(self, url: str) -> Iterator[None]:
        """A page of a new visitor without any debugger, which would switch prerendering off."""
        devtools = self.browser().new_browser_cdp_session()
        context = devtools.send("Target.createBrowserContext")["browserContextId"]
        # Playwright lets go of pages in contexts that it has not made.
        given = {"url": url, "browserContextId": context}
        target = devtools.send("Target.createTarget", given)["targetId"]
        try:
            yield
        finally:
            devtools.send("Target.closeTarget", {"targetId": target})
            devtools.detach()

    def put(self, fault: Fault) -> None:
        """On every lane."""
        for lane in self.lanes:
            lane.put(fault)

    def end_visits(self) -> None:
        """Forget the visitors."""
        for context in self._contexts:
            with suppress(PlaywrightError):
                context.close()
        self._contexts.clear()

    def close(self) -> None:
        """End the browser."""
        self.end_visits()
        if self._browser is not None:
            self._browser.close()

    def profile(self) -> tuple[tempfile.TemporaryDirectory[str], BrowserContext]:
        """A browser with a folder of its own."""
        folder = tempfile.TemporaryDirectory(prefix="sluice-profile-", ignore_cleanup_errors=True)
        return folder, self.reopen(folder)

    def reopen(self, folder: tempfile.TemporaryDirectory[str]) -> BrowserContext:
        """The same visitor, in a browser that was started anew."""
        return launch_with_profile(self.playwright, Path(folder.name))


def all_visits(cells: Iterable[Cell]) -> list[Visit]:
    """Turn by turn, so that no tracker has the better minute."""
    return [v for turn in zip(*(cell.visits for cell in cells), strict=True) for v in turn]


def wait_for(is_true: Callable[[], bool], *, seconds: float, page: Page | None = None) -> float:
    """Wait for a condition, at most so long; returns how long it took."""
    began = time.monotonic()
    while not is_true() and time.monotonic() - began < seconds:
        # The browser's side of Playwright lives in this thread, and wants to be heard.
        if page is not None:
            page.wait_for_timeout(50)
        else:
            time.sleep(0.05)
    return time.monotonic() - began


def nothing_missing(of: Iterable[Cell] | Iterable[Visit]) -> Callable[[], bool]:
    """Has everything arrived?"""
    wanted: list[Cell | Visit] = list(of)
    return lambda: not any(one.missing() for one in wanted)
