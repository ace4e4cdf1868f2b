"""Sluice's own dialect: `POST /collect`, one event, a batch, or an array of events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from api.collector.answer import encode_answer, encode_failure
from api.collector.decode import decode_body
from api.collector.dialects.dialect import DecodedBody, IntakeRequest, Reply
from core.refusal import RefusalReason, Refused

if TYPE_CHECKING:
    from api.collector.acceptance import Acceptance, Limits

_READ_TYPES: Final = frozenset(
    {b"", b"application/json", b"text/plain", b"application/x-www-form-urlencoded"}
)


class NativeDialect:
    """`/collect`."""

    name = ""
    routes: Mapping[str, frozenset[str]] = {"/collect": frozenset({"POST"})}
    cookieless = False

    def decode(self, request: IntakeRequest, *, limits: Limits) -> DecodedBody | Refused:
        """Decode a JSON body, whatever it is called."""
        content_type = request.headers.get(b"content-type", b"")
        if content_type not in _READ_TYPES and (
            content_type.partition(b";")[0].strip().lower() not in _READ_TYPES
        ):
            return Refused(
                RefusalReason.UNSUPPORTED_TYPE,
                "send JSON as application/json or text/plain",
                field="Content-Type",
            )
        decoded = decode_body(
            request.body,
            max_events=limits.max_batch_events,
            max_shared_bytes=limits.max_event_bytes,
        )
        return decoded if isinstance(decoded, Refused) else DecodedBody(decoded)

    def reply(self, request: IntakeRequest, acceptance: Acceptance) -> Reply:  # noqa: ARG002
        """Counts, and each event that was not accepted."""
        return Reply(acceptance.status, encode_answer(acceptance))

    def fail(self, request: IntakeRequest, status: int, reason: str, message: str) -> Reply:  # noqa: ARG002
        """The same form, without counts."""
        return Reply(status, encode_failure(reason, message))
