"""`sluice export` watches a stack that is not always there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Final

DONE: Final = {
    "backfill_id": "7", "segments": 1, "done_segments": 1, "rows": 2, "bytes": 3, "objects": 1,
    "state": "completed", "prefix": "analytics/backfills/7", "sink": "client",
}  # fmt: skip


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """One after the other, byte for byte; the last one again and again."""
    left = list(answers)

    class Stack(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(left.pop(0) if len(left) > 1 else left[0])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Stack) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def answer(status: str, body: object) -> bytes:
    return b"HTTP/1.0 %s\r\n\r\n%s" % (status.encode(), json.dumps(body).encode())


def watch(url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", "export", "--watch", "7", "--url", url],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_stack_that_is_away_for_a_moment_is_watched_on() -> None:
    running = answer("200 OK", DONE | {"state": "running"})
    away = answer("502 Bad Gateway", {})
    with answering(running, away, b"nonsense\r\n\r\n", answer("200 OK", DONE)) as url:
        done = watch(url)
    assert done.returncode == 0, done.stderr
    assert "2 events in 1 objects" in done.stdout


def test_what_is_no_answer_is_told() -> None:
    with answering(b"nonsense\r\n\r\n") as url:
        done = watch(url)
    assert (done.returncode, done.stdout) == (3, "")
    assert "does not answer" in done.stderr
    assert "Traceback" not in done.stderr
