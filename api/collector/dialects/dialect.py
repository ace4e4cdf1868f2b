"""What a protocol has to provide to be one of the collector's dialects.

A dialect turns a request into events and an outcome into the answer that its senders expect.
What lies between (limits, privacy, acceptance, the commit) is the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import Struct

from core.event import Event
from core.refusal import RefusalReason, Refused

if TYPE_CHECKING:
    from api.collector.acceptance import Acceptance, Limits

Headers = dict[bytes, bytes]


class IntakeRequest(Struct, gc=False):
    """A request as it arrived; `body` is decompressed and within its limit."""

    method: str
    path: str
    query: bytes
    headers: Headers
    body: bytes

    __repr__ = object.__repr__  # nothing of it gets into a log by accident


class DecodedBody(Struct, gc=False):
    """A request's events, in order; a Refused in the list stands for one event."""

    events: list[Event | Refused]
    write_key: str | None = None
    """As the sender says it; what it allows is for others to judge."""
    ips: dict[int, str] = {}
    """By place: the visitor's whole address, as a server that forwards events tells it; empty
    where the sender asks that none be known."""

    __repr__ = object.__repr__


class Reply(NamedTuple):
    """What is answered."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Dialect(Protocol):
    """One protocol. Its methods are pure, and never raise for what a client sent.

    It may have an attribute `openapi`: path items by path, as `contract.describe_dialects` takes
    them. A request decoded to no events is answered without waiting for anything, with `reply`
    while events could be taken in, else with `fail`.
    """

    name: str
    """Stands on each row; "" for Sluice's own."""
    routes: Mapping[str, frozenset[str]]
    """Methods by path; OPTIONS is answered for all."""
    cookieless: bool
    """Whether its senders count on the server to tell visitors apart."""

    def decode(self, request: IntakeRequest, *, limits: Limits) -> DecodedBody | Refused:
        """The events of a request; a bare Refused stands for the whole of it."""

    def reply(self, request: IntakeRequest, acceptance: Acceptance) -> Reply:
        """The answer when everything accepted is durable."""

    def fail(self, request: IntakeRequest, status: int, reason: str, message: str) -> Reply:
        """The answer when nothing of the request was taken in, not even its refusal (5xx, 405)."""


def status_of(reason: RefusalReason) -> int:
    """What the refusal of a whole request comes to in HTTP."""
    match reason:
        case RefusalReason.TIMEOUT:
            return 408
        case RefusalReason.TOO_LARGE:
            return 413
        case RefusalReason.UNSUPPORTED_TYPE:
            return 415
        case RefusalReason.WRITE_KEY_REFUSED:
            return 401
        case RefusalReason.SITE_REFUSED | RefusalReason.SITE_QUARANTINED:
            return 403
        case (
            RefusalReason.DO_NOT_TRACK
            | RefusalReason.NO_CONSENT
            | RefusalReason.SUPPRESSED
            | RefusalReason.BOT
        ):
            return 200  # nothing is wrong with the request, and nothing of it is to be sent again
        case RefusalReason.RATE_LIMITED:
            return 429
        case _:
            return 400
