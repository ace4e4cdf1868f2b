"""From a body's bytes to events: strict and fast first, forgiving and slow where that fails.

The strict pass decodes the whole envelope into typed structs. What it cannot read (other names
for a field, fields outside the contract, a poison event among good ones) is decoded event by
event, so that each event answers for itself alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import msgspec

from api.collector.json_text import load_json
from core.event import ALIASES, MAX_NAME_CHARS, Event, wire_fields
from core.refusal import RefusalReason, Refused
from database.letter import MAX_LETTERS

Decoded = Event | Refused
Rename = Callable[[dict[str, Any]], dict[str, Any]]
"""Gives a decoded object the contract's names; must not raise, whatever stands in it."""


class _Envelope(Event, kw_only=True):
    """A request body: one event, or a batch with what its events share."""

    event_type: str = "batch"
    events: list[Event] | None = None


_encode: Final = msgspec.json.Encoder().encode
_decode_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_decode_raw_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_raw_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_event: Final = msgspec.json.Decoder(Event).decode

_NOT_SHARED: Final = frozenset({"event_id", "event_type", "event_version"})
_SHARED_FIELDS: Final = tuple(name for name in Event.__struct_fields__ if name not in _NOT_SHARED)
COLUMN_BY_NAME: Final = (
    {wire: name for name, wire in wire_fields().items()}
    | {name: name for name in wire_fields()}
    | ALIASES
)
"""What a client may call a field: its wire name, its column's, or one that a seed uses."""
_TYPE_NAMES: Final = frozenset({"eventType", "event_type"})
_ID_FIELDS: Final = frozenset({"event_id", "user_id", "company_id", "visitor_id", "session_id"})


def decode_body(
    body: bytes, *, max_events: int, max_shared_bytes: int, rename: Rename | None = None
) -> list[Decoded] | Refused:
    """Decode a request body into its events, in order; never raises.

    A Refused in the list stands for one event, a bare Refused for the whole request. With
    `rename`, nothing is expected to have the contract's names before it has been through that.
    """
    if rename is not None:
        return _decode_forgiving(
            body, max_events=max_events, max_shared_bytes=max_shared_bytes, rename=rename
        )
    if b'"events"' not in body:  # one event: as an envelope it would be decoded twice
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _check_single(_decode_event(body))
    try:
        envelope = _decode_envelope(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_forgiving(body, max_events=max_events, max_shared_bytes=max_shared_bytes)
    if envelope.events is None:
        return _check_single(_decode_one(body))
    if refused := _check_length(envelope.events, max_events):
        return refused
    if refused := _check_shared(envelope, max_shared_bytes):
        return refused
    _inherit(envelope, envelope.events)
    return list[Decoded](envelope.events)


def _check_single(event: Decoded) -> list[Decoded] | Refused:
    if isinstance(event, Event) and event.event_type == "batch":
        return Refused(
            RefusalReason.EMPTY_BATCH,
            "a batch carries its events in `events`; a single event has an `eventType` of its own",
            field="events",
        )
    return [event]


def _check_length(events: list[Any], max_events: int) -> Refused | None:
    if not events:
        return Refused(RefusalReason.EMPTY_BATCH, "`events` is empty", field="events")
    if len(events) > max_events:
        return Refused(
            RefusalReason.TOO_LARGE,
            f"{len(events):,} events in one request; the limit is {max_events:,}: split the batch",
            field="events",
        )
    return None


def _check_shared(envelope: Event, max_shared_bytes: int) -> Refused | None:
    """Refuse shared properties that no event could hold, before each event gets a copy."""
    if envelope.properties and len(_encode(envelope.properties)) > max_shared_bytes:
        return Refused(
            RefusalReason.TOO_LARGE,
            f"the properties that all events share are larger than {max_shared_bytes:,} bytes",
            field="properties",
        )
    return None


def _inherit(envelope: Event, events: list[Event]) -> None:
    """Give each event what the envelope says and the event does not."""
    shared = [
        (name, value)
        for name in _SHARED_FIELDS
        if (value := getattr(envelope, name)) is not None and name != "properties"
    ]
    for event in events:
        for name, value in shared:
            if getattr(event, name) is None:
                setattr(event, name, value)
        if envelope.properties:
            event.properties = envelope.properties | (event.properties or {})


def _decode_forgiving(
    body: bytes, *, max_events: int, max_shared_bytes: int, rename: Rename | None = None
) -> list[Decoded] | Refused:
    """Take the body apart first, then decode each event alone."""
    split = split_body(body)
    if isinstance(split, Refused):
        return split
    sent_fields, raw_events = split
    if raw_events is None:
        return _check_single(_decode_one(body, rename))
    if refused := _check_length(raw_events, max_events):
        return refused
    shared = sent_fields if rename is None else rename(sent_fields)
    envelope = event_from_fields({"eventType": "batch"} | shared)
    if isinstance(envelope, Refused):
        return envelope
    if refused := _check_shared(envelope, max_shared_bytes):
        return refused
    decoded = [_decode_one(raw, rename) for raw in raw_events]
    _inherit(envelope, [event for event in decoded if isinstance(event, Event)])
    enclose_refused(decoded, raw_events, sent_fields)
    return decoded


def enclose_refused(
    decoded: list[Decoded],
    raw_events: Sequence[bytes],
    sent_fields: Mapping[str, Any],
    *,
    member: str | None = "events",
) -> None:
    """Give each refused event, in place, what was sent of it: a body with nothing else in it.

    `sent_fields` are what stood beside the array `member` of the body; None for a bare array.
    """
    refused = [place for place, event in enumerate(decoded) if isinstance(event, Refused)]
    if not refused:
        return
    head, tail = b"[", b"]"
    if member is not None:
        shared = {name: v for name, v in sent_fields.items() if name not in _TYPE_NAMES}
        head = _encode(shared | {member: []})[:-2]
        tail = b"]}"
    for place in refused[:MAX_LETTERS]:
        event = decoded[place]
        assert isinstance(event, Refused)
        decoded[place] = replace(event, payload=b"".join((head, raw_events[place], tail)))


def split_body(
    body: bytes, *, member: str = "events"
) -> tuple[dict[str, Any], list[bytes] | None] | Refused:
    """The envelope's own fields, and the bytes of each event of its array `member`.

    None for the events when there is no such array: the body is one event, or not JSON at all.
    """
    try:
        if body.lstrip()[:1] == b"[":
            return {}, [bytes(raw) for raw in _decode_raw_list(body)]
        fields = _decode_raw_fields(body)
        if member not in fields:
            return {}, None
        events = [bytes(raw) for raw in _decode_raw_list(bytes(fields.pop(member)))]
        return {name: load_json(bytes(raw)) for name, raw in fields.items()}, events
    except msgspec.ValidationError as exc:
        return Refused(
            RefusalReason.INVALID_EVENT,
            f"the body is an event, or a batch with an array `{member}`: {exc}",
            field=member,
        )
    except (ValueError, RecursionError):  # DecodeError and UnicodeDecodeError are ValueErrors
        return _split_by_scanning(body, member)


# An unclosed string is one token too: were it none, each quote in it would be tried in turn.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{},]', re.DOTALL)
_ARRAY_BEGINS: Final = re.compile(rb"\s*:\s*\[")


def _split_by_scanning(
    body: bytes, member: str
) -> tuple[dict[str, Any], list[bytes] | None] | Refused:
    """Cut a batch's events apart without recursion and without judging what is in them.

    For the rare body whose syntax a decoder refuses as a whole because of one event: nested too
    deep, or half of a surrogate pair.
    """
    cuts = list(_element_bounds(body, b'"%s"' % member.encode()))
    if not cuts:
        return {}, None  # one event, or not JSON at all: decoding it says which
    start, end = cuts[0][0], cuts[-1][1]
    events = [body[a:b].strip() for a, b in cuts]
    if events == [b""]:
        events = []
    rest = body[:start] + body[end:]
    try:
        fields = load_json(rest)
    except RecursionError:
        return Refused(RefusalReason.TOO_DEEP, "nested deeper than any event may be")
    except ValueError as exc:
        return Refused(RefusalReason.INVALID_JSON, f"the body is not JSON: {exc}")
    if isinstance(fields, list):
        return {}, events
    fields.pop(member, None)
    return fields, events


def _element_bounds(body: bytes, name: bytes) -> Iterator[tuple[int, int]]:
    """Where each element of the array of that name begins and ends; nothing if there is none."""
    array_depth = 1 if body.lstrip()[:1] == b"[" else 0
    depth = 0
    start = -1
    for token in _TOKEN.finditer(body):
        match token[0]:
            case b"{" | b"[":
                depth += 1
                if depth == array_depth and start < 0:
                    start = token.end()
            case b"}" | b"]":
                if depth == array_depth and start >= 0:
                    yield start, token.start()
                    return
                depth -= 1
            case b",":
                if depth == array_depth and start >= 0:
                    yield start, token.start()
                    start = token.end()
            case _ if token[0] == name and depth == 1 and array_depth == 0:
                if _ARRAY_BEGINS.match(body, token.end()):
                    array_depth = 2
            case _:
                pass


def _decode_one(raw: bytes, rename: Rename | None = None) -> Decoded:
    """Decode one event's bytes, by the contract or by any of the names that stand for it."""
    if rename is not None:
        return _decode_one_forgiving(raw, rename)
    try:
        event = _decode_event(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_one_forgiving(raw)
    return event


def _decode_one_forgiving(raw: bytes, rename: Rename | None = None) -> Decoded:
    fields = load_value(raw)
    if isinstance(fields, Refused):
        return fields
    if rename is not None and isinstance(fields, dict):
        fields = rename(fields)
    return event_from_fields(fields)


def load_value(raw: bytes) -> Any | Refused:
    """What a JSON text says, or what is wrong with it."""
    try:
        return load_json(raw)
    except RecursionError:
        return Refused(RefusalReason.TOO_DEEP, "nested deeper than any event may be")
    except UnicodeDecodeError as exc:
        return Refused(RefusalReason.INVALID_JSON, f"not UTF-8: {exc.reason} at byte {exc.start}")
    except ValueError as exc:
        return Refused(RefusalReason.INVALID_JSON, f"not JSON: {exc}")


def event_from_fields(fields: Any) -> Decoded:
    """An event from a decoded object: names are normalised, unknown fields kept as properties."""
    if not isinstance(fields, dict):
        return Refused(RefusalReason.INVALID_EVENT, f"expected an object, got {json_type(fields)}")
    known: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    for name, value in fields.items():
        column = COLUMN_BY_NAME.get(name)
        if column is None:
            unknown[name] = value
        elif column == "properties" and isinstance(value, dict):
            properties |= value
        elif value is not None and known.get(column) is None:
            known[column] = str(value) if _is_number_for_id(column, value) else value
    if unknown or properties:
        known.setdefault("properties", unknown | properties)
    wire = {_WIRE_BY_COLUMN[column]: value for column, value in known.items()}
    try:
        return msgspec.convert(wire, Event)
    except msgspec.ValidationError as exc:
        event_type = known.get("event_type")
        readable = event_type[:MAX_NAME_CHARS] if isinstance(event_type, str) else ""
        return replace(refuse_invalid(exc), event_type=readable)


_WIRE_BY_COLUMN: Final = wire_fields()
_JSON_TYPES: Final = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    type(None): "null",
}


def json_type(value: object) -> str:
    """A value's type in JSON's words, for a message to a person."""
    return _JSON_TYPES.get(type(value), "a number")


def _is_number_for_id(column: str, value: object) -> bool:
    return column in _ID_FIELDS and isinstance(value, int) and not isinstance(value, bool)


_FIELD: Final = re.compile(r" - at `\$\.?(?P<field>[^`]*)`$")


def refuse_invalid(exc: msgspec.ValidationError) -> Refused:
    """Say which field is wrong and what was expected, from msgspec's own words."""
    message = str(exc)
    match = _FIELD.search(message)
    field = match["field"] if match else None
    if match:
        message = message[: match.start()]
    if field is None and "missing required field" in message:
        field = message.rpartition("field ")[2].strip("`")
    if field in ("occurredAt", "sentAt"):
        reason = RefusalReason.INVALID_TIME
    elif "length <=" in message:
        reason = RefusalReason.TOO_LONG
    else:
        reason = RefusalReason.INVALID_EVENT
    return Refused(reason, message, field=field or None)
