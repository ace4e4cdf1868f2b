"""A load generator on one core's leavings: many connections, one request at a time on each."""

from __future__ import annotations

import itertools
import random
import re
import selectors
import socket
import time
from dataclasses import dataclass

from benchmarks.events import encode, make_events

BATCH_EVENTS = 20
CONNECTIONS = 64
_VISITORS = 5_000
_EVENT_ID = re.compile(rb'"eventId":"[-0-9a-f]{36}')
_ID_DIGITS = 12
_NUMBERS = itertools.count(random.SystemRandom().randrange(2**47))


@dataclass(frozen=True)
class Sent:
    """What a load came to."""

    events_per_second: float
    p50_ms: float
    p99_ms: float


def batches(events: int) -> list[bytes]:
    """Requests of 20 events each."""
    raws = [encode(event) for event in make_events(events)]
    head = b'{"eventType":"batch","sentAt":"2026-11-21T10:59:59.000Z","events":['
    return _requests(
        [
            head + b",".join(raws[i : i + BATCH_EVENTS]) + b"]}"
            for i in range(0, events, BATCH_EVENTS)
        ]
    )


def singles(events: int) -> list[bytes]:
    """Requests of one event each."""
    return _requests([encode(event) for event in make_events(events, seed=2)])


def _requests(bodies: list[bytes]) -> list[bytes]:
    """As a browser sends them through nginx: each visitor from an address of its own."""
    rng = random.Random(3)
    blocks = ("192.0.2", "198.51.100", "203.0.113", "100.64.7")
    agent = encode(make_events(1)[0]["userAgent"])[1:-1]
    return [
        b"POST /collect HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Origin: https://shop.example\r\nReferer: https://shop.example/\r\n"
        b"User-Agent: %s\r\nAccept: */*\r\nAccept-Language: de-CH,de;q=0.9,en;q=0.8\r\n"
        b"X-Forwarded-For: %s\r\nContent-Length: %d\r\n\r\n"
        % (agent, f"{rng.choice(blocks)}.{rng.randrange(1, 255)}".encode(), len(body))
        + body
        for body in bodies
    ]


def send(
    port: int,
    requests: list[bytes],
    *,
    seconds: float,
    connections: int = CONNECTIONS,
    events_per_second: float | None = None,
) -> Sent:
    """Send for some seconds; count what was acknowledged.

    Every connection is kept busy, or with `events_per_second` all of them together are held at
    that rate, each request's latency counted from when it was due.
    """
    selector = selectors.DefaultSelector()
    due_at: dict[socket.socket, float] = {}
    answers: dict[socket.socket, bytes] = {}
    idle: list[socket.socket] = []
    latencies: list[float] = []
    accepted = number = 0
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        idle.append(connection)
    prepared = [(bytearray(request), _id_places(request)) for request in requests]
    events_in_request = 1 if b'"events":[' not in requests[0] else BATCH_EVENTS
    pause = events_in_request / events_per_second if events_per_second else 0.0
    begun = time.perf_counter()
    ends = begun + seconds
    next_due = begun
    while True:
        now = time.perf_counter()
        while idle and now < ends and (not pause or next_due <= now):
            connection = idle.pop()
            due_at[connection] = next_due if pause else now
            next_due += pause
            connection.sendall(_with_new_ids(*prepared[number % len(prepared)]))
            number += 1
        if not due_at and now >= ends:
            break
        patience = max(0.0, min(next_due, ends) - now) if pause and idle and now < ends else 30
        for key, _ in selector.select(patience):
            connection = key.fileobj  # type: ignore[assignment]
            answer = answers.pop(connection, b"") + connection.recv(4096)
            if not answer.endswith(b"}"):  # the head may come before the body
                answers[connection] = answer
                continue
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"not acknowledged: {answer!r}")
            arrived = time.perf_counter()
            latency = arrived - due_at.pop(connection)
            if arrived < ends:
                accepted += int(answer.partition(b'{"accepted":')[2].partition(b",")[0])
                latencies.append(latency)
            idle.append(connection)
    for connection in idle:
        connection.close()
    latencies.sort()
    return Sent(
        accepted / seconds,
        round(latencies[len(latencies) // 2] * 1000, 1),
        round(latencies[len(latencies) * 99 // 100] * 1000, 1),
    )


def _id_places(request: bytes) -> list[int]:
    """Where the last digits of each event's id begin."""
    return [found.end() - _ID_DIGITS for found in _EVENT_ID.finditer(request)]


def _with_new_ids(request: bytearray, places: list[int]) -> bytearray:
    """The request with ids that were never sent: of a repeat the collector stores nothing."""
    for place in places:
        request[place : place + _ID_DIGITS] = b"%012x" % next(_NUMBERS)
    return request
