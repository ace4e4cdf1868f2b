"""Senders that behave as trackers do: they repeat a batch, ids and all, until it is taken in."""

from __future__ import annotations

import random
import threading
import time
import uuid
from http.client import HTTPException
from typing import TYPE_CHECKING

from core.clock import utc_now
from core.keys import receipts_prefix
from core.receipt import decode_receipt
from exporter.sinks.directory import DirectoryBucket
from exporter.verify import verify_bucket
from tests.system.running_stack import wait_until

if TYPE_CHECKING:
    from tests.system.running_stack import RunningStack


class Load:
    """Several senders; `told` holds the ids of every event that a 2xx was answered for."""

    def __init__(self, stack: RunningStack, *, senders: int = 4, batch_events: int = 20) -> None:
        self._stack = stack
        self._batch_events = batch_events
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(senders)]
        self.told: set[str] = set()
        self.repeats = 0

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Stop making events; return when every batch that was begun is acknowledged."""
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in self._threads), "a batch was never taken in"

    def _send(self) -> None:
        while not self._stop.is_set():
            ids = [str(uuid.uuid4()) for _ in range(self._batch_events)]
            body = {
                "eventType": "batch",
                "siteId": random.choice(("shop.example", "blog.example")),
                "sessionId": "s-1",
                "events": [
                    {"eventId": i, "eventType": "click", "properties": {"n": n}}
                    for n, i in enumerate(ids)
                ],
            }
            self._send_until_acknowledged(body)
            with self._lock:
                self.told.update(ids)

    def _send_until_acknowledged(self, body: dict[str, object]) -> None:
        while True:
            try:
                answer = self._stack.post("/collect", body)
            # Refused, reset, a 503, or an answer that was cut off.
            except (OSError, HTTPException, ValueError):
                with self._lock:
                    self.repeats += 1
                time.sleep(random.uniform(0.05, 0.3))
            else:
                assert answer == {"accepted": self._batch_events, "rejected": 0}
                return


def check_that_nothing_was_lost_or_doubled(stack: RunningStack, load: Load) -> None:
    """Deliver what is pending: both buckets hold what was acknowledged, once; the sums agree."""
    status = stack.wait_until_delivered()

    assert load.told, "the senders were never told anything"
    for name in ("client", "metering"):
        delivered = stack.delivered_ids(name)
        assert set(delivered) == load.told
        assert max(delivered.values()) == 1
        assert stack.listed_rows(name) == len(load.told)
    law = status["conservation"]
    assert law["holds"]
    assert law["received"] == law["accepted"] + law["rejected"]
    assert law["accepted"] == len(load.told) + law["duplicates"]
    for sink in status["sinks"]:
        assert sink["exported"] == len(load.told)
    assert stack.get("/events/count")["count"] == law["accepted"]
    check_that_receipts_say_so(stack, events=len(load.told))


def check_that_receipts_say_so(stack: RunningStack, *, events: int) -> None:
    """Every receipt holds in both buckets, and all together they bill what was told."""

    def nothing_waits() -> bool:
        return all(sink["receipts_waiting"] == 0 for sink in stack.get("/export/status")["sinks"])

    wait_until(nothing_waits, seconds=60, what="every receipt")
    for name, prefix in (("client", "analytics"), ("metering", "clients/demo")):
        bucket = DirectoryBucket(stack.data / "buckets" / name)
        findings = list(verify_bucket(bucket, prefix, now=utc_now(), sink=name))
        assert [finding.what for finding in findings if not finding.holds] == []
        receipts = [
            decode_receipt(bucket.get(key) or b"")
            for key in bucket.list_keys(receipts_prefix(prefix))
        ]
        assert sum(receipt.billed for receipt in receipts) == events
