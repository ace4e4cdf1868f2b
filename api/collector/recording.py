"""Accept or refuse a chunk of a recording: pure, no clock, no I/O.

It goes the way of an event as far as the two have it in common: consent, suppressions, site, bots.
What a page showed is redacted like everything else, although the recorder masks it already.
"""

from __future__ import annotations

import math
import re
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct

from api.collector.acceptance import Policy, RequestFacts
from api.collector.consent import honour_consent, require_consent
from api.collector.redaction import Redactor
from api.collector.sender_steps import flag_bot
from api.collector.sites import new_site
from api.collector.steps import Draft, check_site, place_in_time, refuse_suppressed
from core.event import MAX_NAME_CHARS, MAX_URL_CHARS, Consent, Event, Instant
from core.refusal import RefusalReason, Refused
from database.recording_intake import Chunk

MAX_SEQUENCE: Final = 9_999
MAX_EVENTS: Final = 20_000
_STEPS: Final = frozenset(
    {honour_consent, require_consent, refuse_suppressed, check_site, flag_bot}
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_YEAR, _LAST_YEAR = 2000, 2100
_PACKING: Final = 6
_NOT_AN_ID: Final = re.compile(r"[^A-Za-z0-9_.~-]")

# They name folders and files in a bucket, and are a key of the database.
RecordingId = Annotated[str, Meta(min_length=1, max_length=64)]
_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS)]

_encode: Final = msgspec.json.Encoder().encode


class Envelope(Struct, rename="camel", kw_only=True, gc=False):
    """A request's body."""

    site_id: _Name | None = None
    visitor_id: _Name
    """Whose it is: a recording has to be erasable."""
    user_id: _Name | None = None
    session_id: RecordingId
    recording_id: RecordingId | None = None
    """One page's; the session's own id when absent."""
    sequence: Annotated[int, Meta(ge=0, le=MAX_SEQUENCE)]
    sent_at: Instant | None = None
    consent: Consent | None = None
    consent_policy: _Name | None = None
    url: Annotated[str, Meta(max_length=MAX_URL_CHARS)] | None = None
    events: Annotated[list[Raw], Meta(min_length=1, max_length=MAX_EVENTS)]
    """As rrweb records them, in its own words."""


class _RecordedEvent(Struct, gc=False):
    """What is read of one of rrweb's events."""

    type: Annotated[int, Meta(ge=0, le=100)]
    timestamp: float


@dataclass(frozen=True, slots=True)
class Judged:
    """An envelope that may be stored, and its chunk without a body."""

    envelope: Envelope
    chunk: Chunk
    event: Event
    """What of it is like an event."""


_decode: Final = msgspec.json.Decoder(Envelope).decode
_decode_event: Final = msgspec.json.Decoder(_RecordedEvent).decode
_decode_any: Final = msgspec.json.Decoder().decode


def decode_envelope(body: bytes) -> Envelope | Refused:
    """Read a body; nothing in it is believed yet."""
    try:
        envelope = _decode(body)
    except msgspec.ValidationError as exc:
        message, _, path = str(exc).partition(" - at `$.")
        return Refused(RefusalReason.INVALID_EVENT, message, field=path.rstrip("`") or None)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        return Refused(RefusalReason.INVALID_JSON, f"the body is no JSON: {exc}")
    except RecursionError:
        return Refused(RefusalReason.TOO_DEEP, "nested deeper than can be read", field="events")
    for field, value in (
        ("sessionId", envelope.session_id),
        ("recordingId", envelope.recording_id or "-"),
    ):
        if _NOT_AN_ID.search(value) or not value.strip("."):
            message = "expected letters, digits, and _ . ~ -: it names an object in the bucket"
            return Refused(RefusalReason.INVALID_EVENT, message, field=field)
    if "\0" in f"{envelope.visitor_id}{envelope.user_id}":
        return Refused(RefusalReason.NUL_CHARACTER, "text holds U+0000", field="visitorId")
    return envelope


def judge_envelope(envelope: Envelope, *, facts: RequestFacts, policy: Policy) -> Judged | Refused:
    """Whether it may be stored under a policy; never raises for what a client sent."""
    event = Event(
        event_type="recording",
        sent_at=envelope.sent_at,
        site_id=envelope.site_id,
        visitor_id=envelope.visitor_id,
        user_id=envelope.user_id,
        session_id=envelope.session_id,
        consent=envelope.consent,
        consent_policy=envelope.consent_policy,
        url=envelope.url,
    )
    draft = Draft(event, 0, facts, policy)
    for step in policy.steps:
        if step in _STEPS and (refused := step(draft)):
            return replace(refused, site_id=event.site_id or facts.fallback_site_id)
    times = _find_times(envelope)
    if isinstance(times, Refused):
        return times
    placed = [_place(moment, draft) for moment in times]
    if isinstance(placed[0], Refused) or isinstance(placed[1], Refused):
        return Refused(RefusalReason.INVALID_TIME, "expected a time", field="sentAt")
    site_id = draft.site_id
    note_as = policy.rules.sites.judge(site_id).note_as
    new = new_site(site_id, note_as, dialect="recording", url=envelope.url) if note_as else None
    return Judged(
        envelope,
        Chunk(
            site_id=site_id,
            visitor_id=envelope.visitor_id,
            user_id=envelope.user_id,
            session_id=envelope.session_id,
            recording_id=envelope.recording_id or envelope.session_id,
            sequence=envelope.sequence,
            started_at=placed[0],
            ended_at=placed[1],
            events=len(envelope.events),
            body=b"",
            new_site=new,
        ),
        event,
    )


def pack_chunk(judged: Judged, redactor: Redactor | None) -> Chunk | Refused:
    """The chunk with its line, redacted and gzipped; takes long for a large one."""
    envelope, chunk, about = judged.envelope, judged.chunk, judged.event
    redactions = 0
    if redactor is not None:
        redactions += redactor.redact_event(about, site_id=chunk.site_id)
        chunk = replace(chunk, visitor_id=about.visitor_id or "", user_id=about.user_id)
    events: list[dict[str, Any]] = []
    for index, raw in enumerate(envelope.events):
        written = _write_event(raw, redactor, chunk.site_id)
        if isinstance(written, Refused):
            return replace(written, field=f"events[{index}]")
        events.append(written[0])
        redactions += written[1]
    line = _encode(
        {
            "siteId": chunk.site_id,
            "visitorId": chunk.visitor_id,
            "userId": chunk.user_id,
            "sessionId": chunk.session_id,
            "recordingId": chunk.recording_id,
            "sequence": chunk.sequence,
            "startedAt": chunk.started_at,
            "endedAt": chunk.ended_at,
            "url": about.url,
            "consent": envelope.consent,
            "redactions": redactions,
            "events": events,
        }
    )
    # One member, without a name or a time: the same chunk gives the same bytes.
    packer = zlib.compressobj(_PACKING, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return replace(chunk, body=packer.compress(line + b"\n") + packer.flush())


def _write_event(
    raw: Raw, redactor: Redactor | None, site_id: str
) -> tuple[dict[str, Any], int] | Refused:
    """An event as it is stored, and how much of it was redacted.

    Read and written anew, whatever is in it: a line of the file must be one line, in UTF-8, and
    say each name once.
    """
    try:
        event: dict[str, Any] = _decode_any(raw)
        # Not its time and kind, which are numbers that a player needs; they alone look suspect.
        kind = {name: event.pop(name) for name in ("type", "timestamp")}
        content = _encode(event)
        if b"\\u0000" in content:
            return Refused(RefusalReason.NUL_CHARACTER, "text holds U+0000")
        found = 0
        if redactor is not None and redactor.suspects(content):
            event, found = redactor.redact_value(event, site_id=site_id)
    except RecursionError:
        return Refused(RefusalReason.TOO_DEEP, "nested deeper than can be read")
    except (msgspec.MsgspecError, ValueError, OverflowError) as exc:
        return Refused(RefusalReason.INVALID_EVENT, f"no event of rrweb's: {exc}")
    return kind | event, found


def _find_times(envelope: Envelope) -> tuple[datetime, datetime] | Refused:
    """When the first and the last of its events happened, by the browser's clock."""
    first = last = None
    for index, raw in enumerate(envelope.events):
        try:
            timestamp = _decode_event(raw).timestamp
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            message = f"no event of rrweb's: {exc}"
            return Refused(RefusalReason.INVALID_EVENT, message, field=f"events[{index}]")
        first = timestamp if first is None else min(first, timestamp)
        last = timestamp if last is None else max(last, timestamp)
    assert first is not None and last is not None, "there is at least one"
    times = [_read_time(first), _read_time(last)]
    if times[0] is None or times[1] is None:
        message = f"expected Unix milliseconds between the years {_FIRST_YEAR} and {_LAST_YEAR}"
        return Refused(RefusalReason.INVALID_TIME, message, field="events.timestamp")
    return times[0], times[1]


def _read_time(milliseconds: float) -> datetime | None:
    if not math.isfinite(milliseconds) or abs(milliseconds) > 1e15:
        return None
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment if _FIRST_YEAR <= moment.year < _LAST_YEAR else None


def _place(moment: datetime, draft: Draft) -> Any:
    """A moment by the server's clock, as an event's is placed in time."""
    draft.event.occurred_at = moment
    if refused := place_in_time(draft):
        return refused
    return _EPOCH + timedelta(microseconds=draft.occurred_at_us)
