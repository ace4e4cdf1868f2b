"""A collector's processes and the one that looks after them: deaths, starts that fail, orphans."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress

from tests.system.running_stack import ROOT, free_port, is_running, wait_until, workers_of

# The collector runs without it.
NO_DATABASE = "postgresql://nobody@127.0.0.1:9/none"


def test_workers_whose_supervisor_is_killed_while_they_start_end_too() -> None:
    """Else they would hold the port that the next collector needs."""
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "api"],
        cwd=ROOT,
        env=os.environ
        | {"DATABASE_URL": NO_DATABASE, "API_PORT": str(free_port()), "API_WORKERS": "2"},
        stderr=subprocess.DEVNULL,
    )
    workers: list[int] = []
    try:
        wait_until(lambda: len(workers_of(supervisor.pid)) == 2, seconds=30, what="two workers")
        workers = workers_of(supervisor.pid)
        for worker in workers:  # so that none has come far when it is alone
            os.kill(worker, signal.SIGSTOP)
        supervisor.kill()
        supervisor.wait()
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
        wait_until(lambda: not any(map(is_running, workers)), seconds=30, what="the workers to end")
    finally:
        supervisor.kill()
        supervisor.wait()
        for worker in filter(is_running, workers):
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
