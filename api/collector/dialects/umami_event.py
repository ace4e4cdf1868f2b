"""One `{type, payload}` of Umami's as an event."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urljoin

import msgspec

from api.collector.decode import json_type
from api.collector.dialects.dialect import Headers
from api.collector.dialects.fitting import (
    Properties,
    Wire,
    fit_event,
    host_of,
    id_text,
    keep,
    read_number,
    read_size,
)
from core.event import Event
from core.refusal import RefusalReason, Refused

_PAGE_VIEW: Final = "page_view"
_FIELDS: Final = {
    "title": "title",
    "language": "language",
    "userAgent": "userAgent",
    "browser": "browser",
    "os": "os",
    "device": "deviceType",
}
_NAMED: Final[Mapping[str, Mapping[str, str]]] = {
    # An event is called by its name; an error's name is its own, and it alone has an id.
    "event": _FIELDS | {"name": "eventType"},
    "error": _FIELDS | {"eventId": "eventId"},
    "identify": _FIELDS,
    "performance": _FIELDS,
    "engagement": _FIELDS,
}
_ADDRESSES: Final = ("url", "referrer")
_READ_APART: Final = frozenset({"hostname", "screen", "data", "ip", "id", "timestamp", *_ADDRESSES})
_NAMES: Final = {field: name for name, field in _FIELDS.items()} | {
    "eventType": "name",
    "eventId": "eventId",
    "siteId": "hostname",
    "occurredAt": "timestamp",
    "userId": "id",
}
_NO_ESCAPE: Final = re.compile(r"%(?![0-9a-fA-F]{2})")

_encode: Final = msgspec.json.Encoder().encode


class ReadEvent(NamedTuple):
    """The event, and the visitor's whole address as a server that forwards it tells it."""

    event: Event | Refused
    ip: str | None = None


def read_event(item: object, headers: Headers) -> ReadEvent:
    """Read one `{type, payload}`."""
    if not isinstance(item, dict):
        return ReadEvent(_invalid(None, f"expected an object, got {json_type(item)}"))
    payload = item.get("payload")
    event = _read(item.get("type"), payload, headers)
    if not isinstance(payload, dict):
        return ReadEvent(event)
    if isinstance(event, Refused):
        name = payload.get("name")
        sent = item | {"payload": {k: v for k, v in payload.items() if k != "ip"}}
        event = replace(
            event,
            field=f"payload.{event.field}" if event.field != "type" else "type",
            event_type=name if isinstance(name, str) else "",
            payload=_encode(sent),
        )
    ip = payload.get("ip")
    return ReadEvent(event, ip if isinstance(ip, str) and ip else None)


def _read(kind: object, payload: object, headers: Headers) -> Event | Refused:
    if not isinstance(kind, str) or kind not in _NAMED:
        return _invalid("type", f"expected one of {', '.join(_NAMED)}")
    if not isinstance(payload, dict):
        return _invalid("payload", f"expected an object, got {json_type(payload)}")
    data = payload.get("data")
    if data is not None and not isinstance(data, dict):
        return _invalid("data", f"expected an object, got {json_type(data)}")
    wire: Wire = {"eventType": _PAGE_VIEW if kind == "event" else kind}
    properties: Properties = dict(data or {})
    named = _NAMED[kind]
    for name, value in payload.items():
        if value is None or value == "" or name in _READ_APART:
            continue
        if field := named.get(name):
            wire[field] = value
        else:
            keep(properties, name, value)
    _read_moment_user_and_screen(payload, wire, properties)
    _read_addresses(payload, wire, headers)
    if isinstance(title := wire.get("title"), str):
        wire["title"] = _decode_component(title)
    return fit_event(wire, properties, names=_NAMES)


def _read_moment_user_and_screen(
    payload: dict[str, Any], wire: Wire, properties: Properties
) -> None:
    if (moment := payload.get("timestamp")) not in (None, ""):
        wire["occurredAt"] = read_number(moment)  # seconds; of an error milliseconds
    if (user := payload.get("id")) not in (None, ""):
        wire["userId"] = id_text(user)
    screen = payload.get("screen")
    if size := read_size(screen):
        wire["screenWidth"], wire["screenHeight"] = size
    elif screen:
        keep(properties, "screen", screen)


def _read_addresses(payload: dict[str, Any], wire: Wire, headers: Headers) -> None:
    """Complete what older scripts, and same-origin referrers, leave out of an address."""
    hostname = payload.get("hostname") or None
    base = _base(hostname, headers)
    for name in _ADDRESSES:
        if (value := payload.get(name)) not in (None, ""):
            wire[name] = _complete(value, base)
    if hostname is not None:
        wire["siteId"] = hostname
    elif host := host_of(wire.get("url")):
        wire["siteId"] = host


def _base(hostname: object, headers: Headers) -> str | None:
    """The page's origin: as the browser tells it, if it is the host's, else by https as Umami."""
    origin = headers.get(b"origin", b"").decode("latin-1")
    if hostname is None or host_of(origin) == hostname:
        return origin if host_of(origin) else None
    return f"https://{hostname}" if isinstance(hostname, str) else None


def _complete(address: object, base: str | None) -> object:
    if base is None or not isinstance(address, str) or not address.startswith("/"):
        return address
    try:
        return urljoin(base, address)
    except ValueError:
        return address


def _decode_component(text: str) -> str:
    """Older scripts encode the title; like Umami, decode it where it can be all of it."""
    if "%" not in text or _NO_ESCAPE.search(text):
        return text
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def _invalid(field: str | None, message: str) -> Refused:
    return Refused(RefusalReason.INVALID_EVENT, message, field=field)
