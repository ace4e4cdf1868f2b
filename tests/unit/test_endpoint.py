"""Where a request is judged: on the event loop, or beside it where that takes its time."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, cast

import pytest

from api.collector.acceptance import Acceptance, Limits, Policy
from api.collector.body import BodyLimits
from api.collector.dialects.dialect import DecodedBody, IntakeRequest, Reply
from api.collector.endpoint import IntakeEndpoint
from api.collector.group_commit import GroupCommit
from api.collector.letter_quota import LetterQuota
from api.collector.redaction import Detector, Redactor
from api.collector.rules import RuleBook
from api.collector.throttle import Throttle
from api.collector.waiting import Done
from api.trusted_proxies import TrustedProxies
from core.clock import utc_now
from tests.unit.accepting import LIMITS


class Noting:
    """A dialect that decodes nothing, and remembers on which thread."""

    routes: Mapping[str, frozenset[str]] = {"/x": frozenset({"GET", "POST"})}
    cookieless = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.threads: list[threading.Thread] = []

    def decode(self, request: IntakeRequest, *, limits: Limits) -> DecodedBody:
        self.threads.append(threading.current_thread())
        return DecodedBody([])

    def reply(self, request: IntakeRequest, acceptance: Acceptance) -> Reply:
        return Reply(200, b"")

    def fail(self, request: IntakeRequest, status: int, reason: str, message: str) -> Reply:
        return Reply(status, b"")


class Committing:
    def enter(self, acceptance: Acceptance, done: Done) -> None:
        """Nothing to make durable."""
        done(None)

    async def commit(self, acceptance: Acceptance) -> None:
        """The same."""


SUSPECT = b"k=4+1+1+1+4+1+1+1&mail=a%40b.example&"


@pytest.mark.parametrize(
    ("name", "query", "body", "beside"),
    [
        ("", b"", b"{}", False),
        ("", b"", b"x" * 100_000, False),
        ("", b"", SUSPECT, False),
        ("", b"", SUSPECT * 200, True),
        ("", b"", b"x" * 300_000, True),
        ("another", SUSPECT, b"", False),
        ("another", SUSPECT * 200, b"", True),
    ],
)
async def test_what_takes_its_time_is_judged_beside_the_loop(
    name: str, query: bytes, body: bytes, beside: bool
) -> None:
    dialect = Noting(name)
    policy = Policy(limits=LIMITS, redactor=Redactor(frozenset(Detector)))
    endpoint = IntakeEndpoint(
        (dialect,),
        cast(GroupCommit, Committing()),
        rule_book=RuleBook(policy),
        letter_quota=LetterQuota(100),
        throttle=Throttle(per_ip=0, per_site=0, processes=1),
        body_limits=BodyLimits(
            max_body_bytes=2_000_000, max_decompressed_bytes=2_000_000, timeout_seconds=10
        ),
        origins=frozenset("*"),
        trusted_proxies=TrustedProxies("127.0.0.1"),
        clock=utc_now,
    )

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        """Nobody listens."""

    scope = {"type": "http", "method": "POST", "path": "/x", "query_string": query, "headers": []}
    await endpoint(scope, receive, send)  # type: ignore[arg-type]
    (thread,) = dialect.threads
    assert (thread is not threading.main_thread()) is beside
