"""What the collector answers: how many events are durable, and what is wrong with the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from api.collector.acceptance import Acceptance

MAX_ERRORS_SHOWN: Final = 100

_encode: Final = msgspec.json.Encoder().encode


class AnswerError(Struct, omit_defaults=True):
    """One event that was not accepted; without an index, the whole request."""

    reason: str
    message: str
    index: int | None = None
    field: str | None = None


class Answer(Struct, omit_defaults=True):
    """The body of every answer of `/collect`; at most 100 errors are listed."""

    accepted: int
    rejected: int
    errors: list[AnswerError] = []


def encode_answer(acceptance: Acceptance) -> bytes:
    """The answer to a request that has been committed."""
    accepted, refused = len(acceptance.accepted), acceptance.refused
    if not refused:
        return b'{"accepted":%d,"rejected":0}' % accepted
    errors = [
        AnswerError(r.reason, r.message, index=r.index, field=r.field)
        for r in sorted(refused, key=lambda r: r.index or 0)[:MAX_ERRORS_SHOWN]
    ]
    return _encode(Answer(accepted, acceptance.refused_events, errors))


def encode_failure(reason: str, message: str) -> bytes:
    """The answer to a request of which nothing was taken in, not even its refusal."""
    return _encode(Answer(0, 0, [AnswerError(reason, message)]))
