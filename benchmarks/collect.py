"""`make bench-collect`: durable events a second through HTTP, against bare COPY of the same rows.

Batches of 20 events of about 690 bytes, every one answered after its commit. The load generator
shares the machine. Bare COPY runs just before and just after; the ratio is to their mean.
"""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from benchmarks.buffer import copy_rows, fresh_buffer, make_rows
from benchmarks.events import encode, make_events
from benchmarks.machine import report

BATCH_EVENTS = 20
CONNECTIONS = 64
SECONDS = 8.0
BARE_SECONDS = 5.0
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure and print."""
    rows = make_rows(20_000)
    requests = _requests(20_000)
    with fresh_buffer() as url:
        before = _bare(url, rows)
        with _collector(url) as port:
            _send(port, requests, seconds=1.5)  # warm
            sent = _send(port, requests, seconds=SECONDS)
            singles = _send(port, _single_requests(2_000), seconds=SECONDS / 2)
        after = _bare(url, rows)
    bare = (before + after) / 2
    report(
        "collect",
        ratio=round(sent["events_per_second"] / bare, 3),
        events_per_second=round(sent["events_per_second"]),
        bare_copy_rows_per_second=round(bare),
        p50_ms=sent["p50_ms"],
        p99_ms=sent["p99_ms"],
        event_bytes=round(sum(len(encode(e)) for e in make_events(1_000)) / 1_000),
        batch_events=BATCH_EVENTS,
        connections=CONNECTIONS,
    )
    report(
        "collect_single",
        ratio=round(singles["events_per_second"] / bare, 3),
        events_per_second=round(singles["events_per_second"]),
        p50_ms=singles["p50_ms"],
        p99_ms=singles["p99_ms"],
    )


def _bare(url: str, rows: list[bytes]) -> float:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE bare (LIKE events_log)")
        try:
            return copy_rows(url, rows, table="bare", seconds=BARE_SECONDS)
        finally:
            connection.execute("DROP TABLE bare")
            connection.execute("CHECKPOINT")


def _requests(events: int) -> list[bytes]:
    raws = [encode(event) for event in make_events(events)]
    head = b'{"eventType":"batch","sentAt":"2026-11-21T10:59:59.000Z","events":['
    return [
        _post(head + b",".join(raws[i : i + BATCH_EVENTS]) + b"]}")
        for i in range(0, events, BATCH_EVENTS)
    ]


def _single_requests(events: int) -> list[bytes]:
    return [_post(encode(event)) for event in make_events(events, seed=2)]


def _post(body: bytes) -> bytes:
    return (
        b"POST /collect HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
        b"Origin: https://shop.example\r\nContent-Length: %d\r\n\r\n" % len(body)
    ) + body


class _collector:  # noqa: N801 - used as a context manager only
    """The collector as it runs in production, in a process of its own."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "api"],
            cwd=ROOT,
            env=os.environ
            | {"DATABASE_URL": self._url, "API_PORT": str(port), "LOG_LEVEL": "WARNING"},
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/events/count", timeout=2).close()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return port

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)


def _send(port: int, requests: list[bytes], *, seconds: float) -> dict[str, float]:
    """Keep every connection busy with one request at a time; count what was acknowledged."""
    selector = selectors.DefaultSelector()
    begun_at: dict[socket.socket, float] = {}
    answers: dict[socket.socket, bytes] = {}
    latencies: list[float] = []
    accepted = 0
    number = 0
    for _ in range(CONNECTIONS):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
    begun = time.perf_counter()
    for key in selector.get_map().values():
        connection = key.fileobj  # type: ignore[assignment]
        begun_at[connection] = time.perf_counter()
        connection.sendall(requests[number % len(requests)])
        number += 1
    ends = begun + seconds
    waiting = CONNECTIONS
    while waiting:
        for key, _ in selector.select(timeout=30):
            connection = key.fileobj  # type: ignore[assignment]
            answer = answers.pop(connection, b"") + connection.recv(4096)
            if not answer.endswith(b"}"):  # the head may come before the body
                answers[connection] = answer
                continue
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"not acknowledged: {answer!r}")
            now = time.perf_counter()
            if now < ends:
                accepted += int(answer.partition(b'{"accepted":')[2].partition(b",")[0])
                latencies.append(now - begun_at[connection])
                begun_at[connection] = now
                connection.sendall(requests[number % len(requests)])
                number += 1
            else:
                selector.unregister(connection)
                connection.close()
                waiting -= 1
    latencies.sort()
    return {
        "events_per_second": accepted / seconds,
        "p50_ms": round(latencies[len(latencies) // 2] * 1000, 1),
        "p99_ms": round(latencies[len(latencies) * 99 // 100] * 1000, 1),
    }


if __name__ == "__main__":
    main()
