"""The Segment spec: what Segment's and RudderStack's SDKs post, with nothing changed but the host.

https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/ and
https://www.rudderstack.com/docs/api/http-api/ describe the requests; the short paths, the bodies
as `text/plain` and the headers are read from the SDKs' own sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from api.collector.answer import MAX_ERRORS_SHOWN, AnswerError
from api.collector.dialects.dialect import DecodedBody, IntakeRequest, Reply, status_of
from api.collector.dialects.rudder_config import encode_source_config
from api.collector.dialects.segment_body import decode_batch, decode_call
from api.collector.dialects.segment_message import KINDS
from api.collector.dialects.segment_openapi import (
    SegmentAnswer,
    describe_batch,
    describe_call,
    describe_config,
    describe_metrics,
)
from api.collector.write_keys import find_write_key
from core.refusal import RefusalReason, Refused

if TYPE_CHECKING:
    from api.collector.acceptance import Acceptance, Limits

_BATCH_PATHS: Final = frozenset(
    # analytics.js batches to /b; RudderStack's beacons go to a path of their own.
    {"/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch"}
)
# analytics.js posts to the first letter of the call's name.
_KIND_BY_PATH: Final = {f"/v1/{kind}": kind for kind in KINDS} | {
    f"/v1/{kind[0]}": kind for kind in KINDS
}
_CONFIG_PATH: Final = "/sourceConfig/"
# How often analytics.js called itself, by version: about no visitor, and of no use to anybody here.
_METRICS_PATH: Final = "/v1/m"
_EVENTLESS_PATHS: Final = frozenset({_CONFIG_PATH, _METRICS_PATH})

_POST: Final = frozenset({"POST"})
_DONE: Final = b'{"success":true}'

_encode: Final = msgspec.json.Encoder().encode


class SegmentDialect:
    """`/v1/batch`, `/v1/track` and the like."""

    name = "segment"
    routes: Mapping[str, frozenset[str]] = (
        dict.fromkeys(_BATCH_PATHS, _POST)
        | dict.fromkeys(_KIND_BY_PATH, _POST)
        | {_CONFIG_PATH: frozenset({"GET"}), _METRICS_PATH: _POST}
    )
    cookieless = False
    openapi: Mapping[str, Any] = (
        {path: describe_batch() for path in _BATCH_PATHS}
        | {path: describe_call(kind) for path, kind in _KIND_BY_PATH.items()}
        | {_CONFIG_PATH: describe_config(), _METRICS_PATH: describe_metrics()}
    )

    def decode(self, request: IntakeRequest, *, limits: Limits) -> DecodedBody | Refused:
        """Decode one call, or a batch of them; JSON, whatever the body is called."""
        key = _find_key(request)
        if request.path in _EVENTLESS_PATHS:
            return DecodedBody([], write_key=key)
        if request.path in _BATCH_PATHS:
            return decode_batch(request.body, key=key, limits=limits)
        return decode_call(request.body, kind=_KIND_BY_PATH[request.path], key=key)

    def reply(self, request: IntakeRequest, acceptance: Acceptance) -> Reply:
        """Success when anything was stored; what was refused is named beside it."""
        if not acceptance.refused:
            if request.path == _CONFIG_PATH:
                return Reply(200, encode_source_config(_find_key(request)))
            return Reply(200, _DONE)
        refused = sorted(acceptance.refused, key=lambda r: r.index or 0)
        status = _status(acceptance)
        answer = SegmentAnswer(
            success=status == 200,
            rejected=acceptance.refused_events,
            errors=[
                AnswerError(r.reason, r.message, index=r.index, field=r.field)
                for r in refused[:MAX_ERRORS_SHOWN]
            ],
        )
        if not answer.success:
            answer.code, answer.message = refused[0].reason, refused[0].message
        return Reply(status, _encode(answer))

    def fail(self, request: IntakeRequest, status: int, reason: str, message: str) -> Reply:  # noqa: ARG002
        """The same form; these SDKs try a 503 again by themselves."""
        return Reply(status, _encode(SegmentAnswer(success=False, code=reason, message=message)))


def _find_key(request: IntakeRequest) -> str | None:
    return find_write_key(request.headers, request.query)


def _status(acceptance: Acceptance) -> int:
    """These SDKs send a 429 again and drop every other 4xx: one that may come later decides."""
    if acceptance.accepted:
        return 200
    reasons = {refused.reason for refused in acceptance.refused}
    if RefusalReason.RATE_LIMITED in reasons:
        return status_of(RefusalReason.RATE_LIMITED)
    return status_of(acceptance.refused[0].reason)
