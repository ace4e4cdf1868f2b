"""One call of the Segment spec (https://segment.com/docs/connections/spec/common/) as an event.

What the contract has a field for goes there, everything else is kept in `properties`: beside the
call's own properties what stands at its top (`traits`, `previousId`, `integrations`, …), and
`context` with what is left of it. An event's type, its time and its ids must be right; of what
fits its field, what is longer than the contract allows is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import msgspec

from api.collector.decode import json_type, refuse_invalid
from api.collector.dialects.segment_context import (
    PAGE_FIELDS,
    SENDERS_NAMES,
    Wire,
    read_context,
)
from api.collector.dialects.segment_properties import keep_rest
from core.event import MAX_NAME_CHARS, MAX_TEXT_CHARS, MAX_URL_CHARS, Event
from core.refusal import RefusalReason, Refused

_EVENT_TYPES: Final = {
    "track": "",  # the call's own `event`
    "page": "page_view",
    "screen": "screen_view",
    "identify": "identify",
    "group": "group",
    "alias": "alias",
}
KINDS: Final = tuple(_EVENT_TYPES)

_PAGE_LIMITS: Final = {
    "url": MAX_URL_CHARS,
    "path": MAX_URL_CHARS,
    "title": MAX_TEXT_CHARS,
    "referrer": MAX_URL_CHARS,
}
_FIELD_NAMES: Final = {
    **SENDERS_NAMES,
    "eventType": "event",
    "eventId": "messageId",
    "visitorId": "anonymousId",
    "userId": "userId",
    "companyId": "groupId",
    "source": "channel",
}
_HOST: Final = re.compile(r"https?://(?:[^/?#@]*@)?(\[[^\]/?#]*\]|[^/?#:]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Shared:
    """What a batch says once for all its messages."""

    context: dict[str, Any] = field(default_factory=dict)
    integrations: object = None
    sent_at: object = None


class ReadMessage(NamedTuple):
    """The event, and the visitor's whole address as the server that forwards it tells it.

    The address is empty where none is to be known.
    """

    event: Event | Refused
    ip: str | None = None


def read_message(message: object, kind: str | None, shared: Shared) -> ReadMessage:
    """Read one call; `kind` is what its path says it is, None where it says so itself."""
    if not isinstance(message, dict):
        return ReadMessage(_invalid(None, f"expected an object, got {json_type(message)}"))
    if kind is None:
        kind = message.get("type")
    event: Event | Refused
    if isinstance(kind, str) and kind in _EVENT_TYPES:
        event = _read_call(message, kind, shared)
    else:
        event = _invalid("type", f"expected one of {', '.join(KINDS)}")
    if isinstance(event, Refused):
        return ReadMessage(replace(event, event_type=_name_of(message, kind)))
    return ReadMessage(event, _find_ip(message, shared))


def _read_call(message: dict[str, Any], kind: str, shared: Shared) -> Event | Refused:
    for name in ("context", "properties", "traits"):
        # PHP writes an empty object as [].
        if (value := message.get(name)) and not isinstance(value, dict):
            return _invalid(name, f"expected an object, got {json_type(value)}")
    if kind == "track" and not message.get("event"):
        return _invalid("event", "a track call names its event")
    own_time = "timestamp" if message.get("timestamp") else "originalTimestamp"
    wire = _read_ids(message, kind)
    wire["eventType"] = _EVENT_TYPES[kind] or message["event"]
    wire["occurredAt"] = message.get(own_time) or None
    # The batch's own is the later of the two: it is said when the request leaves.
    wire["sentAt"] = shared.sent_at or message.get("sentAt") or None
    rest = read_context(shared.context | (message.get("context") or {}), wire)
    properties = dict(message.get("properties") or {})
    if kind == "page":
        _read_page(properties, wire)
    if "siteId" not in wire and "url" in wire:
        wire["siteId"] = _host(wire["url"])
    integrations = message.get("integrations") or shared.integrations
    keep_rest(message, kind, own_time, context=rest, integrations=integrations, into=properties)
    return _convert(wire, properties, own_time)


def _read_ids(message: dict[str, Any], kind: str) -> Wire:
    wire = {
        "eventId": _id(message.get("messageId")),
        "visitorId": _id(message.get("anonymousId")),
        "userId": _id(message.get("userId")),
    }
    if kind == "alias" and wire["visitorId"] is None:
        wire["visitorId"] = _id(message.get("previousId"))
    if company := _id(message.get("groupId")):
        wire["companyId"] = company
    if source := message.get("channel"):
        wire["source"] = source
    return wire


def _id(value: Any) -> Any:
    """Ids are often numbers in an application's own code; 0 may be one, an empty text is none."""
    return str(value) if type(value) is int else value or None


def _read_page(properties: dict[str, Any], wire: Wire) -> None:
    """Servers tell the page in the call's properties alone; they stay there as well."""
    for name, limit in _PAGE_LIMITS.items():
        value = PAGE_FIELDS[name].fit(properties.get(name))
        if name not in wire and isinstance(value, str) and len(value) <= limit:
            wire[name] = value


def _host(url: str) -> str | None:
    found = _HOST.match(url)
    if found is None:
        return None
    host = found[1].strip("[]").lower()
    return host if 0 < len(host) <= MAX_NAME_CHARS and host.isprintable() else None


def _convert(wire: Wire, properties: dict[str, Any], own_time: str) -> Event | Refused:
    try:
        event = msgspec.convert(wire, Event)
    except msgspec.ValidationError as exc:
        refused = refuse_invalid(exc)
        names = _FIELD_NAMES | {"occurredAt": own_time}
        return replace(refused, field=names.get(refused.field or "", refused.field))
    event.properties = properties or None
    return event


def _find_ip(message: dict[str, Any], shared: Shared) -> str | None:
    """Empty for 0.0.0.0, which is how a sender of theirs asks that none be known."""
    context = message.get("context") or {}
    ip = context.get("ip") or shared.context.get("ip")
    if not isinstance(ip, str) or not ip:
        return None
    return "" if ip == "0.0.0.0" else ip  # noqa: S104 - nothing is bound


def _name_of(message: dict[str, Any], kind: object) -> str:
    """The type that the event would have, as far as it can be read."""
    name = _EVENT_TYPES.get(kind) if isinstance(kind, str) else None
    name = name or message.get("event")
    return name[:MAX_NAME_CHARS] if isinstance(name, str) else ""


def _invalid(name: str | None, message: str) -> Refused:
    return Refused(RefusalReason.INVALID_EVENT, message, field=name)
