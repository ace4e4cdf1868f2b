"""What happens to events in the wild, row by row. Each plays on all lanes at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.tracker.browser import kill_browser
from benchmarks.tracker.edge import Fault
from benchmarks.tracker.visits import Cell, Stage, Visit, all_visits, nothing_missing, wait_for

SOON_SECONDS = 3.0
"""An event that is here by then was sent when it happened or when its page was left."""
OUTAGE_SECONDS = 10.0
BURST_EVENTS, BURST_BYTES = 60, 1_600
KILLED_AFTER_SECONDS = 0.3
AWAY_SECONDS = 2.0
PRERENDER_TRIES = 4
"""What the browser itself sends again for a page that is gone, it has sent again by then."""
HOURS_OFFLINE = 70

Scenario = Callable[[Stage, str], list[Cell]]


def _close(stage: Stage, name: str) -> list[Cell]:
    return _leave(stage, name, is_cold=name.endswith("cold"), by=_close_at_once)


def _navigate(stage: Stage, name: str) -> list[Cell]:
    return _leave(stage, name, is_cold=name.endswith("cold"), by=_navigate_at_once)


def _close_at_once(visit: Visit) -> None:
    visit.record()
    visit.close_tab()


def _navigate_at_once(visit: Visit) -> None:
    visit.record(then="location.assign('/elsewhere')")
    visit.leave_for_elsewhere()


def _leave(stage: Stage, name: str, *, is_cold: bool, by: Callable[[Visit], None]) -> list[Cell]:
    """An event, and the page is left in the same moment, over TLS with a round trip of 100 ms."""
    cells = stage.cells(name, is_far=True)
    for visit in all_visits(cells):
        visit.open()
        if is_cold:
            visit.lane.end_idle_connections()
        by(visit)
    _wait_for_the_soon(cells)
    _come_again(stage, cells)
    return cells


def burst_then_close(stage: Stage, name: str) -> list[Cell]:
    """More than the browser lets a page have in flight, none of it compressible."""
    cells = stage.cells(name)
    for visit in all_visits(cells):
        visit.open()
        visit.record(BURST_EVENTS, pad_bytes=BURST_BYTES)
        visit.close_tab()
    _wait_for_the_soon(cells)
    _come_again(stage, cells)
    return cells


def outage(stage: Stage, name: str) -> list[Cell]:
    """Ten seconds without a collector: an event in it, and one after it unless the page is idle."""
    cells = stage.cells(name)
    for visit in all_visits(cells):
        visit.open()
    stage.put(Fault.RESET if "reset" in name else Fault.UNAVAILABLE)
    began = time.monotonic()
    for visit in all_visits(cells):
        visit.record()
    held_back = [cell.expected() for cell in cells]
    # It lasts as long as it lasts: the time is the scenario.
    left_seconds = max(0.0, began + OUTAGE_SECONDS - time.monotonic())
    all_visits(cells)[0].page.wait_for_timeout(left_seconds * 1_000)
    stage.put(Fault.NONE)
    returned_at = time.monotonic()
    if not name.endswith("idle"):
        for visit in all_visits(cells):
            visit.record()
    _wait_patiently(stage, cells)
    for cell, held in zip(cells, held_back, strict=True):
        # What comes after the outage may find nothing wrong any more, and waits for its batch.
        cell.facts["held_back"] = held.total()
        for seconds in (5, stage.patience_seconds):
            taken = cell.lane.marks(by=returned_at + seconds)
            cell.facts[f"within_{seconds}_s"] = (held & taken).total()
    for visit in all_visits(cells):
        visit.close_tab()
    _come_again(stage, cells)
    return cells


def left_during_outage(stage: Stage, name: str) -> list[Cell]:
    """The page is closed while the collector is away; the visitor comes again later."""
    cells = stage.cells(name)
    visits = all_visits(cells)
    for visit in visits:
        visit.open()
    stage.put(Fault.UNAVAILABLE if name.endswith("503") else Fault.RESET)
    for visit in visits:
        visit.record()
        visit.close_tab()
    time.sleep(AWAY_SECONDS)
    stage.put(Fault.NONE)
    _come_again(stage, cells)
    return cells


def replies_lost(stage: Stage, name: str) -> list[Cell]:
    """The collector stores and cannot tell, for five seconds; then it can."""
    cells = stage.cells(name)
    for visit in all_visits(cells):
        visit.open()
    stage.put(Fault.ANSWER_LOST)
    for visit in all_visits(cells):
        visit.record()
    page = all_visits(cells)[0].page
    wait_for(nothing_missing(cells), seconds=8, page=page)
    page.wait_for_timeout(5_000)
    stage.put(Fault.NONE)
    for visit in all_visits(cells):
        visit.record()
    _wait_patiently(stage, cells)
    _come_again(stage, cells)
    return cells


def killed(stage: Stage, name: str) -> list[Cell]:
    """SIGKILL to the whole browser 300 ms after the event, then the same profile again."""
    cells = stage.cells(name)
    for turn in range(stage.visits):
        folder, context = stage.profile()
        with folder:
            visits = [cell.visits[turn] for cell in cells]
            for visit in visits:
                visit.context.close()
                visit.context = context
                visit.open()
            for visit in visits:
                visit.record()
            time.sleep(KILLED_AFTER_SECONDS)
            kill_browser(Path(folder.name))
            _count_what_is_here(cells, visits)
            again = stage.reopen(folder)
            for visit in visits:
                visit.context = again
                visit.open()
            wait_for(
                nothing_missing(visits),
                seconds=stage.revisit_seconds,
                page=visits[0].page,
            )
            again.close()
    return cells


def days_offline(stage: Stage, name: str) -> list[Cell]:
    """Nearly three days pass between the outage in which the page was closed and the next visit."""
    cells = stage.cells(name)
    stage.put(Fault.RESET)
    for visit in all_visits(cells):
        visit.open()
        visit.record()
        visit.close_tab()
        visit.context.add_init_script(_CLOCK_AHEAD % (HOURS_OFFLINE * 3_600_000))
    time.sleep(AWAY_SECONDS)
    stage.put(Fault.NONE)
    _come_again(stage, cells)
    return cells


_CLOCK_AHEAD = """(() => {
  const RightDate = Date;
  Date = class extends RightDate {
    constructor(...args) { super(...(args.length ? args : [Date.now()])); }
    static now() { return RightDate.now() + %d; }
  };
})()"""


def two_tabs(stage: Stage, name: str) -> list[Cell]:
    """Two tabs of one visitor have events waiting when the collector is back; then both close."""
    cells = stage.cells(name)
    tabs = []
    stage.put(Fault.RESET)
    for visit in all_visits(cells):
        for _ in range(2):
            tabs.append((visit, visit.open()))
    for visit, tab in tabs:
        visit.page = tab
        visit.record(3)
    stage.put(Fault.NONE)
    _wait_patiently(stage, cells)
    for visit, tab in tabs:
        visit.page = tab
        visit.record(3)
        visit.close_tab()
    _wait_for_the_soon(cells)
    _come_again(stage, cells)
    return cells


def restored(stage: Stage, name: str) -> list[Cell]:
    """There and back again, out of the back/forward cache: two views of the first page."""
    cells = stage.cells(name)
    for visit in all_visits(cells):
        page = visit.context.new_page()
        visit.page = page
        viewed = visit.new_view()
        page.goto(f"{visit.origin}/page?visit={viewed}")
        page.wait_for_function(visit.lane.tracker.is_ready)
        # The page itself tells: Playwright has lost it when it comes out of the cache.
        told = f"/restored?visit={viewed}"
        page.evaluate(_TELL_WHEN_RESTORED, told)
        page.evaluate("location.assign('/elsewhere')")
        visit.leave_for_elsewhere()
        page.go_back(wait_until="commit")
        wait_for(visit.lane.has_seen(told), seconds=5, page=page)
        _count(cells, visit, "restored", visit.lane.has_seen(told)())
        visit.expected[viewed] = 2
        visit.close_tab()
    _wait_for_the_soon(cells)
    _come_again(stage, cells)
    return cells


_TELL_WHEN_RESTORED = """(told) => {
  addEventListener("pageshow", ({ persisted }) => persisted && fetch(told));
}"""


def prerendered(stage: Stage, name: str) -> list[Cell]:
    """Two pages are rendered before they are asked for, and one is asked for: one view of it."""
    cells = stage.cells(name)
    for visit in all_visits(cells):
        # Whether it renders ahead is the browser's to say, and on a busy machine it may not.
        was_prerendered = any(_go_to_a_prerendered(stage, visit) for _ in range(PRERENDER_TRIES))
        _count(cells, visit, "prerendered", was_prerendered)
    _wait_for_the_soon(cells)
    return cells


def _go_to_a_prerendered(stage: Stage, visit: Visit) -> bool:
    """Whether it was rendered before; a view of it is expected in any case."""
    asked, unasked = visit.new_view(), visit.new_view()
    visit.expected[asked], visit.expected[unasked] = 1, 0
    visit.lane.may_go.clear()
    addresses = [f"/page?visit={view}" for view in (asked, unasked)]
    with stage.unattended(f"{visit.origin}/prerendering?next={asked[1:-1]}&next={unasked[1:-1]}"):
        wait_for(visit.lane.has_seen(*addresses), seconds=5)
        time.sleep(0.5)  # what a script would do too early, it has done by then
        visit.lane.may_go.set()
        was_prerendered = visit.lane.has_seen(f"/activated?visit={asked}")
        wait_for(was_prerendered, seconds=5)
        wait_for(nothing_missing([visit]), seconds=SOON_SECONDS)
    return was_prerendered()


SCENARIOS: dict[str, Scenario] = {
    "close_warm": _close,
    "close_cold": _close,
    "navigate_warm": _navigate,
    "navigate_cold": _navigate,
    "burst_then_close": burst_then_close,
    "outage_reset": outage,
    "outage_503": outage,
    "outage_reset_idle": outage,
    "outage_503_idle": outage,
    "left_during_outage_reset": left_during_outage,
    "left_during_outage_503": left_during_outage,
    "replies_lost": replies_lost,
    "killed_after_300_ms": killed,
    "days_offline": days_offline,
    "two_tabs": two_tabs,
    "restored": restored,
    "prerendered": prerendered,
}

OURS_ALONE = frozenset({"days_offline", "two_tabs", "prerendered"})
"""Rows in which no peer promises anything."""


def _wait_for_the_soon(cells: list[Cell]) -> None:
    wait_for(nothing_missing(cells), seconds=SOON_SECONDS)
    _count_what_is_here(cells, all_visits(cells))


def _count_what_is_here(cells: list[Cell], visits: list[Visit]) -> None:
    for cell in cells:
        mine = [visit for visit in cell.visits if visit in visits]
        here = sum(visit.expected.total() - visit.missing().total() for visit in mine)
        cell.facts["at_once"] = cell.facts.get("at_once", 0) + here


def _wait_patiently(stage: Stage, cells: list[Cell]) -> None:
    page = all_visits(cells)[0].page
    wait_for(nothing_missing(cells), seconds=stage.patience_seconds, page=page)


def _come_again(stage: Stage, cells: list[Cell]) -> None:
    """The next visit of those of whom something is missing; its own views count for nothing."""
    late = [visit for visit in all_visits(cells) if visit.missing()]
    for visit in late:
        visit.open()
    if late:
        wait_for(
            nothing_missing(late),
            seconds=stage.revisit_seconds,
            page=late[0].page,
        )
    for visit in late:
        visit.close_tab()


def _count(cells: list[Cell], visit: Visit, fact: str, is_so: bool) -> None:
    """In how many visits something was so."""
    facts = next(cell.facts for cell in cells if visit in cell.visits)
    facts[fact] = facts.get(fact, 0) + is_so
