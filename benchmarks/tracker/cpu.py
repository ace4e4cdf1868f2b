"""`tracker_cpu`: what the start of a visit costs the main thread; `tracker_long_tasks`."""

from __future__ import annotations

from collections import defaultdict
from statistics import median

from playwright.sync_api import Browser, BrowserContext, CDPSession, sync_playwright

from benchmarks.machine import report
from benchmarks.tracker.browser import launch
from benchmarks.tracker.lane import Lane
from benchmarks.tracker.tracing import LONG_TASK_MS, tracing

THROTTLES = (1, 4)
QUIET_AFTER_MS = 1_000
IDLE_AFTER_MS = 7_000
"""Counted from the load: the first batch of each tracker has gone by then."""
WITHOUT = "without"
REFERENCE = "plausible"


def measure(lanes: list[Lane], *, visits: int, scripted_visits: int) -> None:
    """Visits turn by turn, a page without a tracker among them; one line a throttle."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for throttle in THROTTLES:
            _report_start(browser, lanes, throttle=throttle, visits=visits)
        for throttle in THROTTLES:
            _report_tasks(browser, lanes, throttle=throttle, visits=scripted_visits)
        browser.close()


def _report_start(browser: Browser, lanes: list[Lane], *, throttle: int, visits: int) -> None:
    taken: dict[str, list[float]] = defaultdict(list)
    pages = _pages(lanes, "/page", "/elsewhere")
    for turn in range(visits + 1):
        # Each has every place in the round once before it has one twice.
        first = turn % len(pages)
        for name, spent in _round(browser, pages[first:] + pages[:first], throttle).items():
            if turn:  # the first round warms the browser up
                taken[name].append(spent)
    own = {name: median(values) - median(taken[WITHOUT]) for name, values in taken.items()}
    del own[WITHOUT]
    report(
        "tracker_cpu",
        throttle=throttle,
        visits=visits,
        script_ms={name: round(spent, 2) for name, spent in own.items()},
        script_ms_of_page_without=round(median(taken[WITHOUT]), 2),
        spread_ms={name: [round(min(v), 2), round(max(v), 2)] for name, v in taken.items()},
        ratio_to_plausible={name: round(own[name] / own[REFERENCE], 2) for name in own},
    )


def _round(browser: Browser, pages: list[tuple[str, str]], throttle: int) -> dict[str, float]:
    """Script's milliseconds of the start of each page.

    One starts when the one before is loaded and quiet; what they do seconds later, they do in
    processes of their own.
    """
    contexts = []
    with tracing(browser) as trace:
        for _, url in pages:
            context, _ = _visitor(browser, throttle)
            contexts.append(context)
            page = context.pages[0]
            page.goto(url)
            page.wait_for_timeout(QUIET_AFTER_MS)
        page.wait_for_timeout(IDLE_AFTER_MS - QUIET_AFTER_MS)
    for context in contexts:
        context.close()
    return {name: trace.script_ms(url) for name, url in pages}


def _report_tasks(browser: Browser, lanes: list[Lane], *, throttle: int, visits: int) -> None:
    """Tasks of 50 ms and more of a visit with all that visitors do, in processor time."""
    tasks: dict[str, list[float]] = defaultdict(list)
    for _ in range(visits):
        for name, url in _pages(lanes, "/shop", "/shop-without"):
            tasks[name] += _tasks_of_visit(browser, url, throttle)
    report(
        "tracker_long_tasks",
        throttle=throttle,
        visits=visits,
        long_tasks={n: sum(t >= LONG_TASK_MS for t in ts) for n, ts in tasks.items()},
        longest_ms={name: round(max(ts), 1) for name, ts in tasks.items()},
    )


def _tasks_of_visit(browser: Browser, url: str, throttle: int) -> list[float]:
    context, _ = _visitor(browser, throttle)
    page = context.pages[0]
    with tracing(browser) as trace:
        page.goto(url)
        for button in page.get_by_role("button").all():
            button.click()
        for _ in range(8):
            page.mouse.wheel(0, 400)
            page.wait_for_timeout(60)
        page.get_by_label("Words").fill("red shoes")
        page.get_by_label("Words").press("Enter")
        page.evaluate("history.pushState({}, '', '?view=second')")
        page.wait_for_timeout(1_500)  # for what trackers do when nothing happens
        page.evaluate("location.assign('/elsewhere')")
        page.wait_for_url("**/elsewhere")
    context.close()
    return trace.tasks_ms(url)


def _visitor(browser: Browser, throttle: int) -> tuple[BrowserContext, CDPSession]:
    context = browser.new_context()
    devtools = context.new_cdp_session(context.new_page())
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": throttle})
    return context, devtools


def _pages(lanes: list[Lane], path: str, path_without: str) -> list[tuple[str, str]]:
    pages = [(lane.tracker.name, lane.near + path) for lane in lanes]
    return [*pages, (WITHOUT, lanes[0].near + path_without)]
