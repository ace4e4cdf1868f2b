"""Several collector processes on one port, each with a listening socket of its own.

On a shared socket whoever wakes first takes the next connection, and one worker may end up with
nearly all of them: measured, the same load came to 0.33 or 0.56 of bare COPY. With a socket for
each (SO_REUSEPORT) the kernel deals connections out by their addresses. The sockets belong to the
supervisor: what arrives for a worker that died waits for the one that takes its place.
"""

from __future__ import annotations

import logging
import os
import socket

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from core.processes import say_ready

log = logging.getLogger("sluice.collector")


class Workers(Multiprocess):
    """uvicorn's supervisor, with a socket for each worker; their number is fixed."""

    def __init__(self, config: Config) -> None:
        bind(config).close()  # raises where somebody else listens, with whom these would share
        sockets = [bind(config, is_shared=True) for _ in range(config.workers)]
        super().__init__(config, sockets)
        self.failed = False
        """Whether a worker could not even start."""
        self._is_up = False
        """Whether a worker was ever ready."""

    def init_processes(self) -> None:
        """Start every worker."""
        self.processes = [
            start_worker(self.config, self.sockets[place]) for place in range(self.processes_num)
        ]

    def keep_subprocess_alive(self) -> None:
        """Start anew whichever worker died or hangs; give up where one cannot start at all."""
        for place, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if process.is_alive(timeout=self.config.timeout_worker_healthcheck):
                self._note_readiness(process)
                continue
            process.kill()
            process.join()
            if process.exitcode == STARTUP_FAILURE:
                self.failed = True
                self.should_exit.set()
                return
            log.warning("worker died and is started again", extra={"exit": process.exitcode})
            self.processes[place] = start_worker(self.config, self.sockets[place])

    def _note_readiness(self, process: Process) -> None:
        if not self._is_up and process.is_ready(self.config.timeout_worker_healthcheck):
            self._is_up = True
            say_ready()

    def handle_hup(self) -> None:
        """Nothing: settings are read at start, so a new release or setting takes a restart."""

    handle_ttin = handle_ttou = handle_hup


def start_worker(config: Config, listening: socket.socket) -> Process:
    """A worker of its own on this socket."""
    worker = Process(config, [listening])
    worker.start()
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
