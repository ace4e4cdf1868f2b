"""`python -m api` in a process of its own, as senders meet it: without nginx or an exporter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.system.running_stack import ROOT, free_port, wait_until

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class RunningCollector:
    """Where it listens, and what it has stored."""

    url: str
    database_url: str
    log: Path
    pid: int

    def send(
        self,
        target: str,
        body: Any = None,
        *,
        method: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Status, headers (lower-case) and body; bytes are sent as they are, the rest as JSON."""
        return send(self.url + target, body, method=method, headers=headers)

    def rows(self) -> list[dict[str, Any]]:
        """What stands in the buffer, in the order in which it came."""
        return self.query("SELECT * FROM events_log ORDER BY tableoid, ctid")

    def query(self, statement: str) -> list[dict[str, Any]]:
        """Ask PostgreSQL, past the collector."""
        with psycopg.connect(self.database_url, row_factory=dict_row) as connection:  # type: ignore[var-annotated]
            return connection.execute(statement).fetchall()  # type: ignore[arg-type]

    def wait_for_rows(self, count: int, *, seconds: float = 15) -> list[dict[str, Any]]:
        """The rows, once there are as many; a beacon tells nobody when it has arrived."""
        wait_until(lambda: len(self.rows()) >= count, seconds=seconds, what=f"{count} rows")
        return self.rows()


def send(
    url: str,
    body: Any = None,
    *,
    method: str | None = None,
    headers: dict[str, str] | None = None,
    timeout: float = 15,
) -> Answer:
    """One request; any status is an answer."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Type": "application/json"} if data is not None else {}
    request = urllib.request.Request(url, data=data, headers=given | (headers or {}), method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, _lower(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _lower(error.headers), error.read()


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@contextmanager
def running_collector(
    database_url: str, folder: Path, **settings: str
) -> Iterator[RunningCollector]:
    """A collector on a port of its own; settings are variables by name."""
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", folder / f"collector-{port}.log"
    own = {"DATABASE_URL": database_url, "API_PORT": str(port), "API_WORKERS": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "api"],
            cwd=ROOT, env=os.environ | own | settings, stdout=output, stderr=output,
        )  # fmt: skip

    def is_listening() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return send(url + "/collect", method="OPTIONS")[0] == 204
        except OSError:
            return False

    try:
        wait_until(is_listening, seconds=30, what=f"a collector, see {log}")
        yield RunningCollector(url, database_url, log, process.pid)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(30)
