"""`tracker_survival`: what happens to events in the wild, ours with the real stack behind them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.machine import report
from benchmarks.tracker.certificate import server_context
from benchmarks.tracker.lane import Lane, open_lane
from benchmarks.tracker.scenarios import OURS_ALONE, SCENARIOS
from benchmarks.tracker.trackers import OURS, Tracker
from benchmarks.tracker.verdict import judge, read_kept
from benchmarks.tracker.visits import Stage
from tests.system.running_stack import RunningStack

HERE = Path(__file__).resolve().parent


def measure(stack: RunningStack, lanes: list[Lane], *, visits: int, rows: list[str]) -> None:
    """Play each row, export, and print a line."""
    with sync_playwright() as playwright:
        stage = Stage(playwright, lanes, visits=visits)
        for row in rows:
            began = time.monotonic()
            is_ours_alone = row in OURS_ALONE
            stage.lanes = [x for x in lanes if x.tracker is OURS or not is_ours_alone]
            cells = SCENARIOS[row](stage, row)
            stage.end_visits()
            stack.wait_until_delivered()
            kept = read_kept(stack)
            report(
                "tracker_survival",
                row=row,
                visits=visits,
                seconds=round(time.monotonic() - began),
                trackers={cell.lane.tracker.name: judge(cell, kept) for cell in cells},
            )
        stage.close()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[RunningStack]:
    """PostgreSQL, collector, exporter and buckets."""
    stack = RunningStack(folder / "data")
    stack.start()
    try:
        yield stack
    finally:
        stack.stop()


@contextlib.contextmanager
def open_lanes(
    stack: RunningStack, trackers: tuple[Tracker, ...], folder: Path
) -> Iterator[list[Lane]]:
    """One for each tracker; `folder/peers` has the peers' scripts."""
    certificate = server_context(folder)
    lanes = [
        open_lane(
            tracker, collector_url=stack.url, scripts=folder / "peers", certificate=certificate
        )
        for tracker in trackers
    ]
    try:
        yield lanes
    finally:
        for lane in lanes:
            lane.close()


def build_peers(folder: Path) -> dict[str, dict[str, int]]:
    """Their scripts; returns what they weigh."""
    done = subprocess.run(
        ["node", HERE / "build-peers.mjs", folder], check=True, capture_output=True, text=True
    )
    sizes: dict[str, dict[str, int]] = json.loads(done.stdout)
    return sizes
