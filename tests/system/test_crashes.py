"""SIGKILL under load: nothing acknowledged is lost, nothing is delivered twice."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.load import Load, check_that_nothing_was_lost_or_doubled
from tests.system.running_stack import RunningStack, wait_until

# `make chaos` asks for more.
KILLS = int(os.environ.get("CHAOS_KILLS", "3"))
SEED = int(os.environ.get("CHAOS_SEED", str(random.SystemRandom().randrange(2**32))))


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[RunningStack]:
    running = RunningStack(
        tmp_path / "data",
        settings={"EXPORT_INTERVAL": "2s", "RETRY_FIRST": "1s", "RETRY_LONGEST": "5s"},
    )
    running.start()
    yield running
    running.stop()


@pytest.mark.timeout(150 + 30 * KILLS)
@pytest.mark.parametrize("part", ["collector", "exporter", "postgres"])
def test_a_kill_loses_no_acknowledged_event_and_delivers_none_twice(
    stack: RunningStack, part: str
) -> None:
    print(f"CHAOS_SEED={SEED}")
    moments = random.Random(f"{SEED} {part}")
    load = Load(stack)
    load.start()
    for _ in range(KILLS):
        time.sleep(moments.uniform(0.5, 3.0))  # the random moment is the point
        wait_until(lambda: stack.kill(part), seconds=30, what=f"a {part} to kill")
        wait_until(stack.is_healthy, seconds=60, what=f"the {part} to come back")
    load.finish()

    check_that_nothing_was_lost_or_doubled(stack, load)


def test_a_repeat_of_an_acknowledged_batch_is_delivered_once(stack: RunningStack) -> None:
    event = {"eventId": "019aa1b2-7c1e-7a50-9d3e-3f1b8c2a4d5e", "eventType": "click"}
    stack.post("/collect", event)
    stack.wait_until_delivered()
    stack.post("/collect", event)
    stack.post("/collect", event)

    status = stack.wait_until_delivered()

    assert stack.delivered_ids("client") == {event["eventId"]: 1}
    assert status["conservation"]["accepted"] == 3
    assert status["conservation"]["duplicates"] == 2
    assert status["conservation"]["holds"]


def test_a_second_start_carries_on_with_the_data_of_the_first(tmp_path: Path) -> None:
    first = RunningStack(tmp_path / "data")
    first.start()
    first.post("/collect", {"eventType": "before"})
    first.stop()
    assert "Stopped." in first.output.read_text()
    second = RunningStack(tmp_path / "data")
    second.start()
    second.post("/collect", {"eventType": "after"})
    try:
        status = second.wait_until_delivered()
        assert status["conservation"]["accepted"] == 2
        assert second.delivered_ids("client").total() == 2
    finally:
        second.stop()


def test_a_stack_whose_supervisor_is_killed_leaves_nothing_running_and_starts_again(
    tmp_path: Path,
) -> None:
    stack = RunningStack(tmp_path / "data")
    stack.start()
    stack.post("/collect", {"eventType": "before"})
    os.kill(stack.pid(), 9)
    again = RunningStack(tmp_path / "data")
    again.start()
    try:
        assert again.wait_until_delivered()["conservation"]["accepted"] == 1
        assert again.delivered_ids("client").total() == 1
    finally:
        again.stop()
