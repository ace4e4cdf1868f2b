"""From a Segment request's bytes to its calls: whole where that is possible, else one by one."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from api.collector.decode import enclose_refused, json_type, load_value, split_body
from api.collector.dialects.dialect import DecodedBody
from api.collector.dialects.segment_message import Shared, read_message
from core.event import Event
from core.refusal import RefusalReason, Refused

if TYPE_CHECKING:
    from api.collector.acceptance import Limits

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode
# In text, since what is to be kept of a call may not be JSON.
_PRIVATE: Final = re.compile(
    rb'("(?:ip|writeKey)"\s*:\s*)(?:"(?:[^"\\]|\\.)*+"?|\[[^\]]*+\]?)', re.DOTALL
)


def decode_call(body: bytes, *, kind: str, key: str | None) -> DecodedBody:
    """The event of a body that is one call of this kind."""
    message = load_value(body)
    decoded = _read([message], kind, Shared(), key)
    (event,) = decoded.events
    if isinstance(event, Refused):
        decoded.events[0] = _with_letter(event, body)
    return decoded


def decode_batch(body: bytes, *, key: str | None, limits: Limits) -> DecodedBody | Refused:
    """The events of a body with an array `batch`, each for itself."""
    envelope = _open_batch(body)
    if isinstance(envelope, Refused):
        return _with_letter(envelope, body)
    messages = envelope.fields.get("batch")
    shared = _check_length(messages, limits) or _read_shared(envelope.fields, limits)
    if isinstance(shared, Refused):
        return _with_letter(shared, body)
    assert isinstance(messages, list)
    decoded = _read(messages, None, shared, key or _text(envelope.fields.get("writeKey")))
    if any(isinstance(event, Refused) for event in decoded.events):
        _keep_refused(decoded.events, envelope)
    return decoded


class _Envelope(NamedTuple):
    """A batch, taken apart."""

    fields: dict[str, Any]
    """Among them `batch`; a Refused in it stands for a message that cannot be read."""
    raw_messages: list[bytes] | None = None
    """Where the body could not be read whole."""


def _open_batch(body: bytes) -> _Envelope | Refused:
    """The envelope; where the body cannot be read whole, each message that can be."""
    try:
        fields = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        split = split_body(body, member="batch")
        if isinstance(split, Refused):
            return split
        fields, raw_messages = split
        if raw_messages is not None and body.lstrip()[:1] != b"[":
            messages = [load_value(raw) for raw in raw_messages]
            return _Envelope(fields | {"batch": messages}, raw_messages)
        fields = load_value(body)  # says what is wrong with it
    if isinstance(fields, dict):
        return _Envelope(fields)
    if isinstance(fields, Refused):
        return fields
    return _no_batch(fields)


def _no_batch(found: object) -> Refused:
    return Refused(
        RefusalReason.INVALID_EVENT,
        f"expected an object with an array `batch`, got {json_type(found)}",
        field="batch",
    )


def _check_length(messages: object, limits: Limits) -> Refused | None:
    if not isinstance(messages, list):
        return _no_batch(messages)
    if not messages:
        return Refused(RefusalReason.EMPTY_BATCH, "`batch` is empty", field="batch")
    if len(messages) > limits.max_batch_events:
        return Refused(
            RefusalReason.TOO_LARGE,
            f"{len(messages):,} messages in one request; the limit is "
            f"{limits.max_batch_events:,}: split the batch",
            field="batch",
        )
    return None


def _read_shared(envelope: dict[str, Any], limits: Limits) -> Shared | Refused:
    """What the batch says once for all; refused when it is more than any event could hold."""
    context = envelope.get("context") or {}
    if not isinstance(context, dict):
        return Refused(
            RefusalReason.INVALID_EVENT,
            f"expected an object, got {json_type(context)}",
            field="context",
        )
    shared = Shared(context, envelope.get("integrations"), envelope.get("sentAt"))
    if context or shared.integrations:
        size = len(_encode((context, shared.integrations)))
        if size > limits.max_event_bytes:
            return Refused(
                RefusalReason.TOO_LARGE,
                f"what all messages share is larger than {limits.max_event_bytes:,} bytes",
                field="context",
            )
    return shared


def _read(messages: list[Any], kind: str | None, shared: Shared, key: str | None) -> DecodedBody:
    decoded = DecodedBody([], write_key=key)
    ips: dict[int, str] = {}
    for place, message in enumerate(messages):
        if isinstance(message, Refused):
            decoded.events.append(message)
            continue
        event, ip = read_message(message, kind, shared)
        decoded.events.append(event)
        if ip is not None:
            ips[place] = ip
    if ips:
        decoded.ips = ips
    if decoded.write_key is None and isinstance(messages[0], dict):
        decoded.write_key = _text(messages[0].get("writeKey"))
    return decoded


def _keep_refused(events: list[Event | Refused], envelope: _Envelope) -> None:
    """Give each refused call what was sent of it: a batch with nothing else in it."""
    fields = dict(envelope.fields)
    messages = fields.pop("batch")
    raw_messages = envelope.raw_messages or [
        _encode(message) if isinstance(event, Refused) else b""
        for message, event in zip(messages, events, strict=True)
    ]
    enclose_refused(events, raw_messages, fields, member="batch")
    for place, event in enumerate(events):
        if isinstance(event, Refused) and event.payload is not None:
            events[place] = _with_letter(event, event.payload)


def _with_letter(refused: Refused, sent: bytes) -> Refused:
    """With what was sent, but for the credential and the visitor's whole address."""
    return replace(refused, payload=_PRIVATE.sub(rb'\1""', sent))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
