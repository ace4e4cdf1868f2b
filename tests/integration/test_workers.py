"""The supervisor of the collector's processes."""

from __future__ import annotations

import time

from uvicorn import Config

from api.workers import bind, pause_seconds, start_worker
from tests.system.running_stack import free_port

PATIENCE_SECONDS = 60


def test_a_worker_that_died_is_not_waited_for() -> None:
    config = Config("nowhere:app", port=free_port())
    with bind(config) as listening:
        worker = start_worker(config, listening)
        worker.join()
        asked_at = time.monotonic()
        assert not worker.ping(timeout=PATIENCE_SECONDS)
        assert time.monotonic() - asked_at < PATIENCE_SECONDS / 2


def test_pauses_between_starts_that_fail_grow_to_half_a_minute() -> None:
    pauses = [pause_seconds(failed_starts) for failed_starts in (1, 2, 3, 6, 7, 10_000)]
    assert pauses == [0.5, 1, 2, 16, 30, 30]
