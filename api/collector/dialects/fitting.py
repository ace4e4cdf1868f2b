"""An event out of what another protocol says, with nothing of it lost.

A value that does not fit its field (a title of 2,000 characters, a width in words) stays in the
properties, under its sender's name: these senders let an application write anything, and one odd
value is no reason to lose an event. What an event cannot be without, its type, its time and its
ids, must be right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from api.collector.decode import refuse_invalid
from core.event import MAX_NAME_CHARS, Event
from core.refusal import Refused

Wire = dict[str, Any]
"""An event's fields by the contract's names on the wire."""
Properties = dict[str, Any]

_MUST_FIT: Final = frozenset(
    {"eventId", "eventType", "occurredAt", "sentAt", "siteId", "visitorId", "userId", "sessionId"}
)
_INTEGER: Final = re.compile(r"-?[0-9]{1,15}")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_SIZE: Final = re.compile(r"([0-9]{1,9})[xX]([0-9]{1,9})")
_HOST: Final = re.compile(
    rf"https?://(?:[^/?#@]*@)?([\w.-]{{1,{MAX_NAME_CHARS}}}|\[[0-9a-f:.]{{2,45}}\])(?=[:/?#]|$)",
    re.IGNORECASE,
)


def fit_event(wire: Wire, properties: Properties, *, names: Mapping[str, str]) -> Event | Refused:
    """The event of these fields; `names` gives the sender's name for a field that has another."""
    while True:
        try:
            event = msgspec.convert(wire, Event)
        except msgspec.ValidationError as exc:
            refused = refuse_invalid(exc)
            field = refused.field or ""
            sender_name = names.get(field, field)
            if field in _MUST_FIT or field not in wire:
                return replace(refused, field=sender_name or None)
            keep(properties, sender_name, wire.pop(field))
        else:
            event.properties = properties or None
            return event


def keep(properties: Properties, name: str, value: object) -> None:
    """Add a property; where there is one of its name already, under a name with `_` before it."""
    while name in properties:
        name = f"_{name}"
    properties[name] = value


def id_text(value: object) -> object:
    """An id as text; as it is where it is no id, to be refused."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def read_integer(value: Any) -> Any:
    """The whole number that a text says; anything else as it is."""
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else value


def read_number(value: Any) -> Any:
    """The number that a text says; anything else as it is."""
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        return value
    return float(value) if "." in value else int(value)


def read_size(value: object) -> tuple[int, int] | None:
    """Width and height of a text like `1920x1080`."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    return (int(match[1]), int(match[2])) if match else None


def host_of(url: object) -> str | None:
    """The host of a page's address, in lower case; None where a site cannot be told by it."""
    match = _HOST.match(url) if isinstance(url, str) else None
    return match[1].strip("[]").lower() if match else None
