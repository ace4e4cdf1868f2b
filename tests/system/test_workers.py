"""A collector's processes and the one that looks after them: deaths, starts that fail, orphans."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from tests.system.running_collector import RunningCollector, running_collector, send
from tests.system.running_stack import ROOT, free_port, is_running, wait_until, workers_of

# The collector runs without it.
NO_DATABASE = "postgresql://nobody@127.0.0.1:9/none"

TRIED_AGAIN = '"message": "worker could not start and is tried again"'
CONNECTIONS = 20
"""So many that some come to each of two workers."""


def test_a_worker_that_cannot_start_for_a_while_is_tried_again_while_the_other_serves(
    tmp_path: Path,
) -> None:
    logs, away, ready = tmp_path / "logs", tmp_path / "away", tmp_path / "ready"
    logs.mkdir()
    settings = {"LOG_FILE": str(logs / "collector.log"), "SLUICE_READY_FILE": str(ready)}
    with running_collector(NO_DATABASE, tmp_path, API_WORKERS="2", **settings) as collector:
        wait_until(ready.exists, seconds=30, what="the supervisor to know of it")
        wait_until(lambda: count_listening(collector) == 2, seconds=30, what="both workers")
        dies, serves = workers_of(collector.pid)

        logs.rename(away)
        os.kill(dies, signal.SIGKILL)
        wait_until(lambda: count_failed_starts(collector) > 1, seconds=60, what="two failed starts")
        wait_until(lambda: answers(collector), seconds=30, what="an answer of the other")
        assert TRIED_AGAIN in collector.log.read_text()

        away.rename(logs)
        wait_until(
            lambda: all(answers(collector) for _ in range(CONNECTIONS)),
            seconds=60,
            what="both workers to answer",
        )
        assert serves in workers_of(collector.pid)


def test_a_supervisor_that_has_nothing_to_start_a_worker_with_tries_again(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with running_collector(
        NO_DATABASE, tmp_path, API_WORKERS="2", SLUICE_READY_FILE=str(ready)
    ) as collector:
        wait_until(ready.exists, seconds=30, what="the supervisor to know of it")
        dies, serves = workers_of(collector.pid)

        _, most = limits = resource.prlimit(collector.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(collector.pid, resource.RLIMIT_NOFILE, (3, most))
        os.kill(dies, signal.SIGKILL)
        wait_until(
            lambda: collector.log.read_text().count(TRIED_AGAIN) > 1,
            seconds=30,
            what="two failed starts",
        )
        assert "Too many open files" in collector.log.read_text()

        resource.prlimit(collector.pid, resource.RLIMIT_NOFILE, limits)
        wait_until(lambda: len(workers_of(collector.pid)) == 2, seconds=30, what="another worker")
        assert serves in workers_of(collector.pid)


def count_listening(collector: RunningCollector) -> int:
    """Sockets of its port that connections can be made to, one a worker."""
    port = f":{urlsplit(collector.url).port:04X}"
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(socket[1].endswith(port) and socket[3] == "0A" for socket in sockets)


def count_failed_starts(collector: RunningCollector) -> int:
    return collector.log.read_text().count("\nFileNotFoundError: ")


def answers(collector: RunningCollector) -> bool:
    """Whether a new connection is answered; one to a worker that died waits."""
    try:
        return send(collector.url + "/collect", method="OPTIONS", timeout=2)[0] == 204
    except OSError:
        return False


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
