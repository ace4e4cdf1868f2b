"""What Chromium's own trace says about one page's main thread."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser

# Everything by which script gets to run, and what it makes the engine do for it.
_SCRIPT = frozenset(
    {
        "EvaluateScript",
        "v8.evaluateModule",
        "v8.compile",
        "v8.compileModule",
        "FunctionCall",
        "RunMicrotasks",
        "TimerFire",
        "EventDispatch",
        "FireIdleCallback",
        "FireAnimationFrame",
        "MinorGC",
        "MajorGC",
    }
)
_TASK = "RunTask"
LONG_TASK_MS = 50


@dataclass
class Trace:
    """Events of all processes; a page's address says which of them is meant."""

    events: list[dict[str, Any]] = field(default_factory=list)

    def script_ms(self, url: str) -> float:
        """Processor time of the main thread in script, each moment counted once."""
        return float(sum(event.get("tdur", 0) for event in self._outermost(_SCRIPT, url))) / 1_000

    def tasks_ms(self, url: str) -> list[float]:
        """Processor time of each task, from the longest."""
        tasks = (event.get("tdur", 0) / 1_000 for event in self._outermost(frozenset({_TASK}), url))
        return sorted(tasks, reverse=True)

    def _outermost(self, names: frozenset[str], url: str) -> Iterator[dict[str, Any]]:
        ended = 0
        threads = self._main_threads(url)
        chosen = (e for e in self.events if e.get("ph") == "X" and e["name"] in names)
        mine = [e for e in chosen if (e["pid"], e["tid"]) in threads]
        for event in sorted(mine, key=lambda e: (e["ts"], -e["dur"])):
            if event["ts"] >= ended:
                ended = event["ts"] + event["dur"]
                yield event

    def _main_threads(self, url: str) -> set[tuple[int, int]]:
        """Where the page's document was parsed."""
        return {
            (e["pid"], e["tid"])
            for e in self.events
            if e["name"] == "ParseHTML" and url in json.dumps(e.get("args", {}))
        }


@contextmanager
def tracing(browser: Browser) -> Iterator[Trace]:
    """Trace the whole browser meanwhile; the trace is there once the block has ended."""
    trace = Trace()
    is_complete: list[object] = []
    devtools = browser.new_browser_cdp_session()
    devtools.on("Tracing.dataCollected", lambda given: trace.events.extend(given["value"]))
    devtools.on("Tracing.tracingComplete", lambda given: is_complete.append(given))
    categories = ["devtools.timeline", "disabled-by-default-devtools.timeline"]
    config = {"includedCategories": categories, "excludedCategories": ["*"]}
    devtools.send("Tracing.start", {"traceConfig": config})
    yield trace
    devtools.send("Tracing.end")
    # Any question lets Playwright hear what else has come.
    wait_hearing(lambda: bool(is_complete), ask=lambda: devtools.send("Browser.getVersion"))
    devtools.detach()


def wait_hearing(is_true: Callable[[], bool], *, ask: Callable[[], object]) -> None:
    """Wait for something that the browser tells, a minute at most."""
    deadline = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < deadline, "the browser has not told for a minute"
        ask()
        time.sleep(0.01)
