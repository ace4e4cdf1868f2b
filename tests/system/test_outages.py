"""PostgreSQL away under load: nobody is turned away, nothing acknowledged is lost or doubled."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.load import Load, check_that_nothing_was_lost_or_doubled
from tests.system.running_stack import RunningStack, wait_until

# `make chaos` asks for more.
OUTAGES = int(os.environ.get("CHAOS_OUTAGES", "3"))
SEED = int(os.environ.get("CHAOS_SEED", str(random.SystemRandom().randrange(2**32))))


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[RunningStack]:
    # All senders have one address here.
    settings = {
        "EXPORT_INTERVAL": "2s",
        "RETRY_FIRST": "1s",
        "RETRY_LONGEST": "5s",
        "COMMIT_TIMEOUT": "1s",
        "RATE_LIMIT_PER_IP": "0",
    }
    running = RunningStack(tmp_path / "data", settings=settings)
    running.start()
    yield running
    running.signal_postgres(signal.SIGCONT)  # whatever a failed test left
    running.stop()


def until_the_spool_is_empty(stack: RunningStack) -> None:
    wait_until(stack.is_healthy, seconds=120, what="PostgreSQL to be back and the spool empty")


@pytest.mark.parametrize("how", ["stopped", "killed", "frozen"])
def test_while_postgresql_is_away_senders_notice_nothing(stack: RunningStack, how: str) -> None:
    load = Load(stack)
    load.start()
    time.sleep(1)
    begin_outage(stack, how)
    time.sleep(3)  # the first groups meet it
    repeats, told = load.repeats, len(load.told)
    time.sleep(3)
    meanwhile = len(load.told) - told
    assert meanwhile > 0, "nothing was acknowledged"
    assert load.repeats == repeats, "nobody had to come again"
    health = stack.get("/health")
    assert (health["status"], health["database"]) == ("degraded", "down")
    assert health["spool"]["events"] >= meanwhile
    end_outage(stack, how)
    time.sleep(1)
    load.finish()
    until_the_spool_is_empty(stack)
    check_that_nothing_was_lost_or_doubled(stack, load)


@pytest.mark.timeout(200 + 20 * OUTAGES)
def test_kills_of_the_collector_in_and_between_outages_lose_nothing(stack: RunningStack) -> None:
    """Each round: PostgreSQL goes in some way, or does not; the collector is killed at some
    moment of it, all its processes at once; PostgreSQL comes back."""
    print(f"CHAOS_SEED={SEED}")
    moments = random.Random(f"{SEED} outages")
    load = Load(stack)
    load.start()
    spooled = 0
    for _ in range(OUTAGES):
        how = moments.choice(("stopped", "killed", "frozen", "none"))
        begin_outage(stack, how)
        time.sleep(moments.uniform(0, 2.5))
        wait_until(stack.kill_collector_and_its_workers, seconds=30, what="a collector to kill")
        told = len(load.told)
        if moments.random() < 0.5:  # else PostgreSQL may be back before the next collector
            wait_until(lambda t=told: len(load.told) > t, seconds=60, what="the next collector")
        time.sleep(moments.uniform(0, 2))
        if how != "none":
            spooled += len(load.told) - told
        end_outage(stack, how)
        if moments.random() < 0.3:
            until_the_spool_is_empty(stack)
        time.sleep(moments.uniform(0, 2))
    load.finish()
    until_the_spool_is_empty(stack)
    print(f"{len(load.told)} events told, {spooled} of them during outages, {load.repeats} repeats")
    check_that_nothing_was_lost_or_doubled(stack, load)


def begin_outage(stack: RunningStack, how: str) -> None:
    match how:
        case "stopped":
            stack.take_postgres_away(with_signal=signal.SIGINT)
        case "killed":
            stack.take_postgres_away(with_signal=signal.SIGKILL)
        case "frozen":
            stack.signal_postgres(signal.SIGSTOP)


def end_outage(stack: RunningStack, how: str) -> None:
    match how:
        case "stopped" | "killed":
            stack.give_postgres_back()
        case "frozen":
            stack.signal_postgres(signal.SIGCONT)
