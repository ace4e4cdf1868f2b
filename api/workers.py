"""Several collector processes on one port, each with a listening socket of its own.

On a shared socket whoever wakes first takes the next connection, and one worker may end up with
nearly all of them: measured, the same load came to 0.33 or 0.56 of bare COPY. With a socket for
each (SO_REUSEPORT) the kernel deals connections out by their addresses. The sockets belong to the
supervisor: what arrives for a worker that died waits for the one that takes its place.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import time
from typing import Final

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from core.processes import say_ready

log = logging.getLogger("sluice.collector")

_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0


class Workers(Multiprocess):
    """uvicorn's supervisor, with a socket for each worker; their number is fixed."""

    def __init__(self, config: Config) -> None:
        bind(config).close()  # raises where somebody else listens, with whom these would share
        sockets = [bind(config, is_shared=True) for _ in range(config.workers)]
        super().__init__(config, sockets)
        self.failed = False
        """Whether none could start, so that there was no sense in going on."""
        self._was_up = False
        """Whether any ever came up."""
        # Each of these by the worker's place.
        self._up: set[int] = set()
        self._failed_starts = [0] * config.workers
        self._due: dict[int, float] = {}

    def init_processes(self) -> None:
        """Start every worker."""
        self.processes = [
            start_worker(self.config, self.sockets[place]) for place in range(self.processes_num)
        ]

    def keep_subprocess_alive(self) -> None:
        """Start anew whichever worker died or hangs; give up where none could ever start.

        One that cannot start just now, since a file is away or too many are open, is tried
        again after a pause, in which the others are looked after and serve on.
        """
        for place in range(self.processes_num):
            if self.should_exit.is_set():
                return
            if place not in self._due and not self._is_well(place):
                self._take_away(place)
            if time.monotonic() >= self._due.get(place, math.inf):
                self._start_again(place)

    def handle_hup(self) -> None:
        """Nothing: settings are read at start, so a new release or setting takes a restart."""

    handle_ttin = handle_ttou = handle_hup

    def _is_well(self, place: int) -> bool:
        """Whether it runs and answers."""
        worker, patience = self.processes[place], self.config.timeout_worker_healthcheck
        if not worker.is_alive(patience):
            return False
        if place not in self._up and worker.is_ready(patience):
            self._up.add(place)
            self._failed_starts[place] = 0
            if not self._was_up:
                self._was_up = True
                say_ready()
        return True

    def _take_away(self, place: int) -> None:
        """See to its end, and to when it is started again."""
        worker = self.processes[place]
        worker.kill()
        worker.join()
        if place in self._up:
            self._up.remove(place)
            log.warning("worker died and is started again", extra={"exit": worker.exitcode})
            self._due[place] = time.monotonic()
        elif worker.exitcode == STARTUP_FAILURE and not self._was_up:
            self.failed = True
            self.should_exit.set()
        else:
            self._put_off(place, exit=worker.exitcode)

    def _start_again(self, place: int) -> None:
        try:
            self.processes[place] = start_worker(self.config, self.sockets[place])
        except OSError as exc:  # no process, memory or descriptor left for it
            self._put_off(place, error=str(exc))
        else:
            del self._due[place]

    def _put_off(self, place: int, **why: object) -> None:
        self._failed_starts[place] += 1
        pause = pause_seconds(self._failed_starts[place])
        log.warning(
            "worker could not start and is tried again", extra={**why, "pause_seconds": pause}
        )
        self._due[place] = time.monotonic() + pause


def pause_seconds(failed_starts: int) -> float:
    """Before the next one, after so many in a row."""
    doublings = min(failed_starts, 10) - 1
    return min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0**doublings)


def start_worker(config: Config, listening: socket.socket) -> Process:
    """A worker of its own on this socket. Raises OSError."""
    worker = Process(config, [listening])
    try:
        worker.start()
    except OSError:
        worker.parent_conn.close()
        raise
    finally:
        # While this process held the worker's end of their pipe, too, its death would not end it.
        worker.child_conn.close()
    return worker


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def bind(config: Config, *, is_shared: bool = False) -> socket.socket:
    """A socket of the collector's; `::` takes IPv4 too. Raises OSError."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family is socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    bound.bind((config.host, config.port))
    bound.set_inheritable(True)
    return bound
