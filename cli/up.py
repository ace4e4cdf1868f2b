"""Run the whole stack on one machine: PostgreSQL, collector, exporter, two directory buckets.

Each part is a child process. One that dies is started again; when this process is told to stop,
they are stopped in the order in which events flow, so that what was taken in is committed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from cli.arguments import load_settings
from cli.live_line import LiveLine
from core.processes import READY_FILE, die_with_parent
from database.embedded import EmbeddedServer, EmbeddedServerError
from database.engine import sync_engine
from database.migrate import migrate

ROOT: Final = Path(__file__).resolve().parent.parent
_STOP_SECONDS: Final = 30
_QUICK_DEATH_SECONDS: Final = 5
_MAX_FAILURES: Final = 4
_RELAUNCH_SECONDS: Final = 2.0
_RECOVERY_SECONDS: Final = 30.0


class StackFailed(Exception):
    """A part cannot run; the message says which, why, and what to do."""


@dataclass
class Part:
    """A child process that is started again when it dies."""

    name: str
    command: list[str]
    environment: dict[str, str]
    errors: Path
    clock: Callable[[], float] = time.monotonic
    _process: subprocess.Popen[bytes] | None = None
    _started_at: float = 0.0
    _failures: int = 0

    def start(self) -> None:
        """Start the process."""
        self._ready.unlink(missing_ok=True)
        with self.errors.open("wb") as output:
            self._process = subprocess.Popen(
                self.command,
                env=self.environment | {READY_FILE: str(self._ready)},
                cwd=ROOT,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for this process, which stops them in order
                preexec_fn=partial(die_with_parent, os.getpid()),
            )
        self._started_at = self.clock()

    def revive(self, *, is_excused: Callable[[], bool]) -> bool:
        """Start it again if it died; raises StackFailed when it does nothing but die, unexcused."""
        if self._process is None or self._process.poll() is None:
            return False
        # Its group may have outlived it, worker processes that hold the port.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        lived = self.clock() - self._started_at
        # Killed from outside, it did not fail by itself.
        was_killed = self._process.returncode == -signal.SIGKILL
        # How long it takes to fail is the machine's affair.
        is_failure = lived < _QUICK_DEATH_SECONDS or not self._ready.exists()
        self._failures = self._failures + 1 if is_failure and not was_killed else 0
        if self._failures > 1 and is_excused():
            self._failures = 1
        if self._failures >= _MAX_FAILURES:
            raise StackFailed(
                f"The {self.name} does not stay up. Its last words:\n"
                + self.errors.read_text(errors="replace")[-2000:]
            )
        time.sleep(0.5 * self._failures)
        self.start()
        return True

    def stop(self) -> None:
        """Ask it to finish, and wait until it has."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def _ready(self) -> Path:
        """A file that it makes once it is up."""
        return self.errors.with_suffix(".ready")


@dataclass
class Stack:
    """The parts of a stack below one data folder."""

    data: Path
    port: int
    postgres: EmbeddedServer = field(init=False)
    parts: list[Part] = field(default_factory=list)
    _relaunched_at: float = float("-inf")

    def __post_init__(self) -> None:
        self.postgres = EmbeddedServer(folder=self.data / "postgres")

    def start(self) -> None:
        """Start every part, in the order in which they need each other."""
        (self.data / "logs").mkdir(parents=True, exist_ok=True)
        self.postgres.start()
        engine = sync_engine(self.postgres.url, application_name="sluice up")
        migrate(engine)
        engine.dispose()
        self.parts = [self._part("collector", "api"), self._part("exporter", "exporter")]
        for part in self.parts:
            part.start()

    def tend(self) -> None:
        """Start again what died."""
        self._tend_postgres()
        for part in self.parts:
            part.revive(is_excused=self._was_postgres_away)

    def _tend_postgres(self) -> None:
        """Start it again, as often as it takes, and wait for nothing: the spool takes events in."""
        now = time.monotonic()
        if (
            self.postgres.process.poll() is not None
            and now - self._relaunched_at > _RELAUNCH_SECONDS
        ):
            self._relaunched_at = now
            self.postgres.relaunch()

    def _was_postgres_away(self) -> bool:
        """Whether it is, or was a moment ago: without it the exporter cannot but end."""
        lately = time.monotonic() - self._relaunched_at < _RECOVERY_SECONDS
        return lately or not self.postgres.answers()

    def stop(self) -> None:
        """Collector, exporter, PostgreSQL: each finishes what it has."""
        for part in self.parts:
            part.stop()
        self.postgres.stop()

    def _part(self, name: str, module: str) -> Part:
        return Part(
            name=name,
            command=[sys.executable, "-m", module],
            environment=self.environment_of(name),
            errors=self.data / "logs" / f"{name}.err",
        )

    def environment_of(self, name: str) -> dict[str, str]:
        """The settings that a part is started with."""
        buckets = self.data / "buckets"
        chosen = {
            "SLUICE_ENV": "development",
            "DATABASE_URL": self.postgres.url,
            "API_PORT": str(self.port),
            "LOG_FILE": str(self.data / "logs" / f"{name}.log"),
        }
        defaults = {
            "SPOOL_DIR": str(self.data / "spool"),
            "EXPORT_INTERVAL": "60s",
            "CLIENT_S3_BUCKET": (buckets / "client").as_uri(),
            "SIGNING_KEY_DIR": str(self.data / "keys"),
            "METERING_S3_BUCKET": (buckets / "metering").as_uri(),
            "TRACKER_DIR": str(ROOT / "tracking" / "dist"),
            "SITE_DIR": str(ROOT / "nginx" / "site"),
            "DEMO_BUCKET_DIR": str(buckets / "client"),
        }
        return defaults | dict(os.environ) | chosen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("--data", type=Path, default=Path("data"), help="where everything is kept")
    parser.add_argument("--port", type=int, default=8000, help="the collector's port on localhost")
    parser.add_argument("--env-file", type=Path, help="settings, as in .env.example")


def run(arguments: argparse.Namespace) -> str | None:
    """Run until Ctrl-C or SIGTERM; says which part cannot run, and why."""
    load_settings(arguments.env_file)
    try:
        _run_stack(data=arguments.data.absolute(), port=arguments.port)
    except StackFailed as exc:
        return f"\n{exc}"
    return None


def _run_stack(*, data: Path, port: int) -> None:
    """Run until Ctrl-C or SIGTERM; raises StackFailed when a part cannot run."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackFailed(f"Another stack runs on {data}. Stop it first.") from None
        _check_port(port)
        stack = Stack(data=data, port=port)
        stop_asked: list[int] = []
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda n, _: stop_asked.append(n))
        try:
            print("Starting PostgreSQL, collector and exporter …", flush=True)
            stack.start()
            _run(stack, until=lambda: bool(stop_asked))
        except EmbeddedServerError as exc:
            raise StackFailed(str(exc)) from exc
        finally:
            print("\nStopping: collector, exporter, PostgreSQL …", flush=True)
            stack.stop()
            print("Stopped. What was accepted is kept; start again to carry on.", flush=True)


def _run(stack: Stack, *, until: Callable[[], bool]) -> None:
    live_line = LiveLine(stack.port)
    print(_banner(stack), flush=True)
    while not until():
        stack.tend()
        live_line.show()
        time.sleep(0.5)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise StackFailed(
                f"Port {port} on localhost is taken. Stop what listens there, or choose another:"
                " make demo PORT=8080"
            ) from None


def _banner(stack: Stack) -> str:
    here = f"http://localhost:{stack.port}"
    return f"""
  Demo shop       {here}/
  Tracker         {here}/js/tracking.js
  API             {here}/docs
  Export status   {here}/export/status
  Client bucket   {_short(stack.data / "buckets" / "client")}
  Metering bucket {_short(stack.data / "buckets" / "metering")}
  Logs            {_short(stack.data / "logs")}

Visit the shop and click around. Ctrl-C stops everything; `make demo` carries on.
"""


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
