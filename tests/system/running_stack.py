"""A stack in processes of its own, seen from the outside: HTTP, buckets, signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent.parent


def wait_until(is_true: Callable[[], Any], *, seconds: float, what: str) -> Any:
    """Wait for a condition; fail with its name when it does not come."""
    deadline = time.monotonic() + seconds
    while True:
        if found := is_true():
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.1)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RunningStack:
    """`sluice up` below a data folder."""

    def __init__(
        self,
        data: Path,
        *,
        command: list[str] | None = None,
        cwd: Path = ROOT,
        settings: dict[str, str] | None = None,
    ) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = command or [
            sys.executable, "-m", "cli", "up", "--data", str(data), "--port", str(self.port),
        ]  # fmt: skip
        self._command = [part.replace("{port}", str(self.port)) for part in self._command]
        self._cwd = cwd
        # All senders of a test come from one address.
        self._settings = {"RATE_LIMIT_PER_IP": "0"} | (settings or {})
        self.output = data.parent / f"{data.name}.out"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, seconds: float = 60) -> None:
        """Start, and return when it takes events in."""
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._cwd,
                env=os.environ | self._settings,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_until(self.is_healthy, seconds=seconds, what=f"a healthy stack, see {self.output}")

    def stop(self) -> None:
        """Ctrl-C."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
            self._process.wait(60)

    def pid(self) -> int:
        """The supervisor's process."""
        assert self._process is not None
        return self._process.pid

    def is_healthy(self) -> bool:
        """Whether /health says so."""
        assert self._process is not None
        assert self._process.poll() is None, self.output.read_text()
        try:
            return bool(self.get("/health")["status"] == "ok")
        except (OSError, urllib.error.URLError):
            return False

    def get(self, path: str) -> dict[str, Any]:
        """A management route's answer."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def post(self, path: str, body: Any, *, timeout: float = 15) -> dict[str, Any]:
        """Post JSON; raises what urllib raises for anything but a 2xx."""
        request = urllib.request.Request(
            self.url + path,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def kill(self, part: str) -> bool:
        """Send SIGKILL to the collector, the exporter or the postmaster; whether there was one."""
        pid = self._find(part)
        if pid is None:
            return False
        os.kill(pid, signal.SIGKILL)
        return True

    def kill_collector_and_its_workers(self) -> bool:
        """SIGKILL to all of them at the same moment; whether there was one."""
        pid = self._find("collector")
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        return True

    def take_postgres_away(self, *, with_signal: int) -> None:
        """Stop it, and keep it from coming back: its data is where nobody finds it."""
        pid = self._find("postgres")
        self._pgdata.rename(self._pgdata.with_name("pgdata.away"))
        if pid is not None:
            os.kill(pid, with_signal)

    def give_postgres_back(self) -> None:
        """Let it be started again."""
        self._pgdata.with_name("pgdata.away").rename(self._pgdata)

    def signal_postgres(self, number: int) -> None:
        """Freeze (SIGSTOP) or thaw (SIGCONT) the postmaster and all that it started."""
        postmaster = self._find("postgres")
        for pid, parent, _ in _processes():
            if postmaster is not None and postmaster in (pid, parent):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    @property
    def _pgdata(self) -> Path:
        return self.data / "postgres" / "pgdata"

    def _find(self, part: str) -> int | None:
        pattern = {"collector": "-m\0api", "exporter": "-m\0exporter", "postgres": "/postgres\0-D"}
        for pid, parent, command in _processes():
            if parent == self.pid() and pattern[part] in command:
                return pid
        return None

    def wait_until_delivered(self, *, seconds: float = 90) -> dict[str, Any]:
        """Ask for an export until nothing is pending; returns the status that says so."""

        def delivered() -> dict[str, Any] | None:
            try:
                self.post("/export/run", {})
                status = self.get("/export/status")
            except (OSError, urllib.error.URLError):
                return None
            done = status["sinks"] and all(s["pending"] == 0 for s in status["sinks"])
            return status if done else None

        return wait_until(delivered, seconds=seconds, what="everything to be delivered")  # type: ignore[no-any-return]

    def bucket(self, name: str) -> Path:
        """A bucket's folder, its prefix included."""
        return (
            self.data / "buckets" / name / {"client": "analytics", "metering": "clients/demo"}[name]
        )

    def delivered_ids(self, name: str) -> Counter[str]:
        """How often each event id stands in a bucket's events."""
        events = self.bucket(name) / "events"
        if not any(events.rglob("*.parquet")):
            return Counter()
        table = ds.dataset(events, partitioning="hive").to_table(columns=["event_id"])
        return Counter(table["event_id"].to_pylist())

    def delivered_events(self, name: str) -> Counter[tuple[str, str]]:
        """How often each (site's folder, event id) stands there: "17" is one event a site."""
        events = self.bucket(name) / "events"
        return Counter(
            (path.relative_to(events).parts[0], event_id)
            for path in events.rglob("*.parquet")
            for event_id in pq.ParquetFile(path).read(["event_id"])["event_id"].to_pylist()
        )

    def listed_rows(self, name: str) -> int:
        """Rows of events that the bucket's manifests list; each listed object must be there."""
        rows = 0
        for path in sorted((self.bucket(name) / "_sluice" / "manifests").glob("[0-9]*.json")):
            for listed in json.loads(path.read_text())["objects"]:
                file = self.data / "buckets" / name / listed["key"]
                assert file.stat().st_size == listed["bytes"], listed["key"]
                rows += listed["rows"] if listed["dataset"] == "events" else 0
        return rows


def workers_of(supervisor: int) -> list[int]:
    """The collector processes that one looks after, the eldest first."""
    return sorted(
        pid
        for pid, parent, command in _processes()
        if parent == supervisor and "spawn_main" in command
    )


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def _processes() -> Iterator[tuple[int, int, str]]:
    """Of this machine: number, parent's number, command line."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        yield int(folder.name), parent, command
