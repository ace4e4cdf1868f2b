"""Why an event was not accepted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RefusalReason(StrEnum):
    """The typed reason, as it stands in the answer, the ledger and the docs."""

    INVALID_JSON = "invalid_json"
    """The body, or one event in it, is not JSON."""
    INVALID_EVENT = "invalid_event"
    """A field has the wrong type or is missing."""
    INVALID_TIME = "invalid_time"
    """A time that no clock can tell."""
    TOO_LONG = "too_long"
    """A field is longer than the contract allows."""
    TOO_LARGE = "too_large"
    """The event, the batch or the body is larger than the limit."""
    TOO_DEEP = "too_deep"
    """Nested deeper than the limit."""
    NUL_CHARACTER = "nul_character"
    """Text with U+0000, which no PostgreSQL text can hold."""
    EMPTY_BATCH = "empty_batch"
    """A batch without events."""
    UNSUPPORTED_TYPE = "unsupported_content_type"
    """A content type or encoding that the collector does not read."""
    UNSTORABLE = "unstorable"
    """PostgreSQL refused the row although every check let it pass."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One event, or one whole request (`index` is None), that was not accepted."""

    reason: RefusalReason
    message: str
    field: str | None = None
    index: int | None = None
