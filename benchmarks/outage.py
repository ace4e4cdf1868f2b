"""`make bench-outage`: what the spool takes in, and what live intake keeps while it is emptied.

The same load in rounds: PostgreSQL is there, it is stopped, the spool is replayed. Ratios are to
the live rate just before and just after; the median round is told.
"""

from __future__ import annotations

import json
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from benchmarks.buffer import fresh_server
from benchmarks.load import CONNECTIONS, Sent, batches, send
from benchmarks.machine import report
from benchmarks.serving import serving
from database.embedded import EmbeddedServer

SECONDS = 5.0
ROUNDS = 3


@dataclass(frozen=True)
class Round:
    """What one outage came to."""

    live: Sent
    away: Sent
    replaying: Sent
    replayed_per_second: float
    """While the load went on."""
    longest_stall_seconds: float
    """Of any worker's event loop, in the minute before the end."""
    left: int
    """When it ended; were there none, the ratio would say little."""
    emptied_per_second: float
    """With no load."""


def main() -> None:
    """Measure and print."""
    load = batches(20_000)
    rounds = []
    with (
        fresh_server() as server,
        tempfile.TemporaryDirectory(dir="/var/tmp") as folder,
        serving(server.url, SPOOL_DIR=folder, SPOOL_MAX_BYTES="4000000000") as (port, _),
    ):
        send(port, load, seconds=2)  # warm
        rounds = [_measure(server, port, load) for _ in range(ROUNDS)]
        last = send(port, load, seconds=SECONDS)
    lives = [r.live.events_per_second for r in rounds] + [last.events_per_second]
    beside = [(before + after) / 2 for before, after in pairwise(lives)]
    report(
        "outage",
        spool_ratio=_median(
            r.away.events_per_second / b for r, b in zip(rounds, beside, strict=True)
        ),
        live_during_replay_ratio=_median(
            r.replaying.events_per_second / b for r, b in zip(rounds, beside, strict=True)
        ),
        live_events_per_second=round(median(lives)),
        spooled_events_per_second=round(median(r.away.events_per_second for r in rounds)),
        replayed_events_per_second=round(median(r.replayed_per_second for r in rounds)),
        replayed_events_per_second_without_load=round(median(r.emptied_per_second for r in rounds)),
        longest_stall_seconds=max(r.longest_stall_seconds for r in rounds),
        left_when_measured=[r.left for r in rounds],
        live_p99_ms=median(r.live.p99_ms for r in rounds),
        spool_p99_ms=median(r.away.p99_ms for r in rounds),
        replay_p99_ms=median(r.replaying.p99_ms for r in rounds),
        connections=CONNECTIONS,
    )


def _measure(server: EmbeddedServer, port: int, load: list[bytes]) -> Round:
    live = send(port, load, seconds=SECONDS)
    server.stop()
    send(port, load, seconds=1)  # the first to meet the outage waits for its connection
    away = send(port, load, seconds=2 * SECONDS)
    server.start()
    waiting = _wait_until_back(port)
    began = time.monotonic()
    replaying = send(port, load, seconds=SECONDS)
    left, ended = _spool(port)["events"], time.monotonic()
    # Whichever worker answers: a few questions meet all of them.
    stall = max(_health(port)["longest_stall_seconds"] for _ in range(12))
    while _spool(port)["events"]:
        time.sleep(0.2)
    emptied = left / (time.monotonic() - ended)
    replayed = (waiting - left) / (ended - began)
    return Round(live, away, replaying, replayed, stall, left, emptied)


def _median(ratios: Iterable[float]) -> float:
    return round(median(ratios), 3)


def _health(port: int) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as exc:
        found = json.load(exc)
    return found


def _spool(port: int) -> dict[str, Any]:
    spool: dict[str, Any] = _health(port)["spool"]
    return spool


def _wait_until_back(port: int) -> int:
    """Until every worker writes into PostgreSQL again; returns what is left in the spool."""
    time.sleep(2)
    while any("go to the spool" in problem for problem in _health(port)["problems"]):
        time.sleep(0.1)
    left: int = _spool(port)["events"]
    return left


if __name__ == "__main__":
    main()
