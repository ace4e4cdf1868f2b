"""The parts of a stack on one machine: which are started again, and which are given up."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cli.up import Part, StackFailed
from tests.system.running_stack import wait_until

LONG_AFTER_SECONDS = 60


class TurnedClock:
    """Says what it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def a_part(folder: Path, *, clock: TurnedClock, does: str) -> Part:
    """A process that does this with `say_ready`, and ends."""
    return Part(
        name="collector",
        command=[sys.executable, "-c", f"from core.processes import say_ready; {does}"],
        environment={},
        errors=folder / "collector.err",
        clock=clock,
    )


def die_and_revive(part: Part, clock: TurnedClock, *, excused: bool = False) -> None:
    """Let it live for long by the clock, end, and be started again."""
    clock.now += LONG_AFTER_SECONDS
    wait_until(lambda: part.revive(is_excused=lambda: excused), seconds=30, what="its end")


def test_a_part_that_never_comes_up_is_given_up_however_long_it_takes_to_fail(
    tmp_path: Path,
) -> None:
    clock = TurnedClock()
    part = a_part(tmp_path, clock=clock, does="exit('no bucket')")
    part.start()
    for _ in range(3):
        die_and_revive(part, clock)
    with pytest.raises(StackFailed, match="no bucket"):
        die_and_revive(part, clock)


def test_a_part_that_came_up_each_time_is_started_again_for_ever(tmp_path: Path) -> None:
    clock = TurnedClock()
    part = a_part(tmp_path, clock=clock, does="say_ready()")
    part.start()
    for _ in range(10):
        die_and_revive(part, clock)
    part.stop()


def test_that_a_part_came_up_once_says_nothing_of_its_next_start(tmp_path: Path) -> None:
    clock, needed_once = TurnedClock(), tmp_path / "once"
    needed_once.touch()
    does = f"import os; os.unlink({str(needed_once)!r}); say_ready()"
    part = a_part(tmp_path, clock=clock, does=does)
    part.start()
    for _ in range(4):
        die_and_revive(part, clock)
    with pytest.raises(StackFailed):
        die_and_revive(part, clock)


def test_what_failed_for_want_of_another_part_has_its_tries_before_it(tmp_path: Path) -> None:
    clock = TurnedClock()
    part = a_part(tmp_path, clock=clock, does="exit('no PostgreSQL')")
    part.start()
    for _ in range(5):
        die_and_revive(part, clock, excused=True)
    for _ in range(2):
        die_and_revive(part, clock)
    with pytest.raises(StackFailed):
        die_and_revive(part, clock)
