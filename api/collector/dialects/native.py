"""Sluice's own dialect: `POST /collect`, one event, a batch, or an array of events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from api.collector.answer import encode_answer, encode_failure
from api.collector.contract import NATIVE_OPENAPI
from api.collector.dialects.dialect import DecodedBody, IntakeRequest, Reply
from api.collector.dialects.json_body import decode_json

if TYPE_CHECKING:
    from api.collector.acceptance import Acceptance, Limits
    from core.refusal import Refused


class NativeDialect:
    """`/collect`."""

    name = ""
    routes: Mapping[str, frozenset[str]] = {"/collect": frozenset({"POST"})}
    cookieless = False
    openapi: Mapping[str, Any] = NATIVE_OPENAPI

    def decode(self, request: IntakeRequest, *, limits: Limits) -> DecodedBody | Refused:
        """The events of a JSON body."""
        return decode_json(request, limits=limits)

    def reply(self, request: IntakeRequest, acceptance: Acceptance) -> Reply:  # noqa: ARG002
        """Counts, and each event that was not accepted."""
        return Reply(acceptance.status, encode_answer(acceptance))

    def fail(self, request: IntakeRequest, status: int, reason: str, message: str) -> Reply:  # noqa: ARG002
        """The same form, without counts."""
        return Reply(status, encode_failure(reason, message))
