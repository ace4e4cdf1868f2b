"""The supervisor of the collector's processes."""

from __future__ import annotations

import time

from uvicorn import Config

from api.workers import bind, start_worker
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
