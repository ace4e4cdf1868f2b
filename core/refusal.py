"""Why an event was not accepted."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as dataclass_field
from enum import StrEnum
from typing import Final


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
    INVALID_ENCODING = "invalid_encoding"
    """The body is not what its Content-Encoding says, or a part of it is missing."""
    TIMEOUT = "timeout"
    """The body did not arrive in time."""
    STRING_TOO_LONG = "string_too_long"
    """A text in the properties is longer than the limit."""
    PLAN_VIOLATION = "plan_violation"
    """It contradicts the client's tracking plan, which is enforced."""
    SITE_REFUSED = "site_refused"
    """The site is not one that this stack takes events for."""
    SITE_QUARANTINED = "site_quarantined"
    """The site is new and waits for somebody to approve it; its events are kept until then."""
    WRITE_KEY_REFUSED = "write_key_refused"
    """The write key is missing or not one of ours."""
    RATE_LIMITED = "rate_limited"
    """More than the sender, or the site, may send."""
    DO_NOT_TRACK = "do_not_track"
    """The browser says `DNT: 1` or `Sec-GPC: 1`."""
    NO_CONSENT = "no_consent"
    """The visitor has not consented."""
    BOT = "bot"
    """A program sent it, and such events are dropped by setting."""
    SUPPRESSED = "suppressed"
    """The visitor or user was erased and stays so."""
    UNSTORABLE = "unstorable"
    """PostgreSQL refused the row although every check let it pass."""
    COLLECTOR_ERROR = "collector_error"
    """A mistake of the collector's own; kept, for a release that has mended it."""


POLICY_REASONS: Final = frozenset(
    {
        RefusalReason.WRITE_KEY_REFUSED,
        RefusalReason.RATE_LIMITED,
        RefusalReason.DO_NOT_TRACK,
        RefusalReason.NO_CONSENT,
        RefusalReason.BOT,
        RefusalReason.SUPPRESSED,
        RefusalReason.SITE_REFUSED,
    }
)
"""Refusals that nothing is wrong with: counted, never kept as dead letters."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One event, or one whole request (`index` is None), that was not accepted."""

    reason: RefusalReason
    message: str
    field: str | None = None
    index: int | None = None
    event_type: str = ""
    """As far as it could be read."""
    retry_after_seconds: float = dataclass_field(default=0.0, compare=False, repr=False)
    """When the same may come again, where that is all that is wrong."""
    payload: bytes | None = dataclass_field(default=None, compare=False, repr=False)
    """What was sent, to be kept as a dead letter."""
    site_id: str = dataclass_field(default="", compare=False)
    """The event's own, as far as it is known; whether it can be believed is for others to judge."""
