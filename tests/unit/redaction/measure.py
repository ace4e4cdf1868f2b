"""What redaction costs: `python -m tests.unit.redaction.measure`, on a quiet machine.

Processor time, the best of several runs, in one process. A collector at its promised 40,000
events/s has 25 microseconds for an event.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from api.collector.redaction import Detector, Redactor
from benchmarks.events import encode, make_events
from core.event import Event

EVENTS = 4_000
BATCH = 20
RUNS = 15
_decode = msgspec.json.Decoder(Event).decode


def microseconds(run: Callable[[], Any]) -> float:
    """Processor time of one event of a run, the best of several."""
    best = float("inf")
    for _ in range(RUNS):
        start = time.thread_time()
        run()
        best = min(best, time.thread_time() - start)
    return best / EVENTS * 1e6


def events_with(**changes: str) -> list[bytes]:
    """Ordinary events, each with something added to its properties; `url` is appended to."""
    events = make_events(EVENTS)
    for event in events:
        event["url"] += changes.get("url", "")
        event["properties"] |= {k: v for k, v in changes.items() if k != "url"}
    return [encode(event) for event in events]


def measure() -> None:
    """Print the prefilter's and the slow path's cost."""
    redactor = Redactor(frozenset(Detector))
    plain = events_with()
    batches = [
        b'{"events":[' + b",".join(plain[i : i + BATCH]) + b"]}" for i in range(0, EVENTS, BATCH)
    ]
    asked = microseconds(lambda: [redactor.suspects(batch) for batch in batches])
    size = sum(map(len, plain)) / EVENTS
    print(f"prefilter, batches of {BATCH} events of {size:.0f} bytes: {asked:.2f} us an event,"
          f" {1 / asked:.2f} M events/s")  # fmt: skip
    suspect = sum(map(redactor.suspects, batches)) / len(batches)
    print(f"  suspect: {sum(map(redactor.suspects, plain)) / EVENTS:.3%} of events,"
          f" {suspect:.2%} of batches")  # fmt: skip
    cases = {
        "nothing to find, in a suspect batch": plain,
        "an e-mail address in the properties": events_with(email="jane.doe@example.com"),
        "an address and a token in the URL": events_with(url="&e=a%40example.com&token=abc12345"),
        "a form with card, phone and password": events_with(
            note="call 044 668 18 00", card="4111 1111 1111 1111", password="hunter2"
        ),
    }
    took = {}
    for name, bodies in cases.items():
        decoding = microseconds(lambda bodies=bodies: [_decode(b) for b in bodies])  # type: ignore[misc]
        both = microseconds(
            lambda bodies=bodies: [redactor.redact_event(_decode(b), site_id="x") for b in bodies]  # type: ignore[misc]
        )
        took[name] = both - decoding
        print(f"redact_event, {name}: {took[name]:.1f} us")
    clean, worst = next(iter(took.values())), max(took.values())
    for share in (0.0, 0.01):
        total = asked + suspect * clean + share * (worst + (BATCH - 1) * clean)
        print(
            f"with {share:.0%} of events to redact: {total:.2f} us an event, {total / 25:.1%} of 25"
        )


if __name__ == "__main__":
    measure()
