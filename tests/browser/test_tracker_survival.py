"""Events in the wild, a few of each kind: all are delivered, none is stored or delivered twice.

The rows are those of `make bench-tracker`; what is counted are the buffer and the client's Parquet.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import sync_playwright

from benchmarks.tracker.edge import Fault
from benchmarks.tracker.scenarios import SCENARIOS
from benchmarks.tracker.survival import open_lanes, running
from benchmarks.tracker.trackers import OURS
from benchmarks.tracker.verdict import judge, read_kept
from benchmarks.tracker.visits import Stage
from tests.system.running_stack import RunningStack

VISITS = 2
AT_ONCE = {"close_warm", "close_cold", "navigate_warm", "navigate_cold", "restored", "prerendered"}
"""Here these need no other visit."""
WITHIN_5_SECONDS = {row for row in SCENARIOS if row.startswith("outage")}
"""Of the collector's return."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture(scope="module")
def module_stage(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("lanes")
    with open_lanes(stack, (OURS,), folder) as lanes, sync_playwright() as playwright:
        stage = Stage(playwright, lanes, visits=VISITS, revisit_seconds=60)
        yield stage
        stage.close()


@pytest.fixture
def stage(module_stage: Stage) -> Iterator[Stage]:
    """With nothing wrong, and nobody there."""
    yield module_stage
    module_stage.put(Fault.NONE)
    module_stage.end_visits()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("row", SCENARIOS)
def test_every_event_is_delivered_and_none_twice(
    stack: RunningStack, stage: Stage, row: str
) -> None:
    (cell,) = SCENARIOS[row](stage, row)
    stack.wait_until_delivered()
    outcome = judge(cell, read_kept(stack))
    assert outcome["events"] >= VISITS
    assert outcome["lost"] == outcome["stored_twice"] == outcome["delivered_twice"] == 0, outcome
    if row in AT_ONCE:
        assert outcome["at_once"] == outcome["events"], outcome
    if row in WITHIN_5_SECONDS:
        assert outcome["within_5_s"] == outcome["held_back"] == VISITS, outcome
    # What the row is about did happen in this browser.
    if row in ("restored", "prerendered"):
        assert outcome[row] == VISITS, outcome
