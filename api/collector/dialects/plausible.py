"""Plausible's Events API: what its scripts, its npm package and servers post to `/api/event`.

https://plausible.io/docs/events-api describes the request by its long names; the short ones are
read from the tracker's source, and what is answered from Plausible's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from api.collector.decode import json_type, load_value
from api.collector.dialects.dialect import DecodedBody, Headers, IntakeRequest, Reply
from api.collector.dialects.fitting import Properties, Wire, fit_event, host_of, keep
from api.collector.dialects.tracker_openapi import PLAUSIBLE_OPENAPI
from api.collector.write_keys import find_write_key
from core.event import Event
from core.refusal import RefusalReason, Refused

if TYPE_CHECKING:
    from api.collector.acceptance import Acceptance, Limits

_DONE: Final = Reply(202, b"ok", b"text/plain; charset=utf-8")
_DROPPED: Final = _DONE._replace(headers=((b"x-plausible-dropped", b"1"),))

_FIELDS: Final = {
    "eventType": ("n", "name"),
    "url": ("u", "url"),
    "referrer": ("r", "referrer"),
    "viewportWidth": ("w", "screen_width"),  # `window.innerWidth`, whatever it is called
}
_DOMAIN: Final = ("d", "domain")
_PROPS: Final = ("m", "meta", "p", "props")
_HASH_MODE: Final = ("h", "hashMode")
_PROPERTIES: Final = {
    "i": "interactive",
    "interactive": "interactive",
    "$": "revenue",
    "revenue": "revenue",
    "e": "engagement_time",
    "sd": "scroll_depth",
    "v": "tracker_version",
}
_READ_APART: Final = frozenset(
    {name for names in _FIELDS.values() for name in names} | {*_DOMAIN, *_PROPS, *_HASH_MODE}
)
# A page view is called the same whoever sends it.
_EVENT_TYPES: Final = {"pageview": "page_view"}

_encode: Final = msgspec.json.Encoder().encode


class PlausibleDialect:
    """`/api/event`."""

    name = "plausible"
    routes: Mapping[str, frozenset[str]] = {"/api/event": frozenset({"POST"})}
    cookieless = True
    openapi: Mapping[str, Any] = PLAUSIBLE_OPENAPI

    def decode(self, request: IntakeRequest, *, limits: Limits) -> DecodedBody | Refused:  # noqa: ARG002
        """One event; JSON, whatever the body is called."""
        body = load_value(request.body)
        if isinstance(body, Refused):
            return body
        if not isinstance(body, dict):
            return _invalid(None, f"expected an object, got {json_type(body)}")
        decoded = DecodedBody([_read_event(body)], write_key=find_write_key(request.headers))
        if ip := _find_ip(request.headers):
            decoded.ips = {0: ip}
        return decoded

    def reply(self, request: IntakeRequest, acceptance: Acceptance) -> Reply:  # noqa: ARG002
        """202 `ok`; a header says so when the event was left out and nothing is wrong with it."""
        if not acceptance.refused:
            return _DONE
        if acceptance.status == 200:
            return _DROPPED
        refused = acceptance.refused[0]
        return _errors(acceptance.status, refused.field or "request", refused.message)

    def fail(self, request: IntakeRequest, status: int, reason: str, message: str) -> Reply:  # noqa: ARG002
        """The same form."""
        return _errors(status, "request", message)


def _errors(status: int, field: str, message: str) -> Reply:
    return Reply(status, _encode({"errors": {field: [message]}}))


def _read_event(body: dict[str, Any]) -> Event | Refused:
    event = _read(body)
    if not isinstance(event, Refused):
        return event
    _, name = _first(body, _FIELDS["eventType"])
    return replace(event, event_type=name if isinstance(name, str) else "", payload=_encode(body))


def _read(body: dict[str, Any]) -> Event | Refused:
    wire: Wire = {}
    names: dict[str, str] = {"eventType": "name"}
    for field, spellings in _FIELDS.items():
        name, value = _first(body, spellings)
        if name is not None:
            wire[field], names[field] = value, name
    if isinstance(kind := wire.get("eventType"), str):
        wire["eventType"] = _EVENT_TYPES.get(kind, kind)
    props = _read_props(body)
    if isinstance(props, Refused):
        return props
    for name, value in body.items():
        if name not in _READ_APART and value is not None:
            keep(props, _PROPERTIES.get(name, name), _unwrap(name, value))
    names["siteId"] = _read_site(body, wire, props)
    if _first(body, _HASH_MODE)[1] and (path := _path_with_fragment(wire.get("url"))):
        wire["path"] = path
    return fit_event(wire, props, names=names)


def _first(body: dict[str, Any], names: tuple[str, ...]) -> tuple[str | None, Any]:
    """The first of a field's names that says something, and what it says."""
    for name in names:
        if (value := body.get(name)) not in (None, ""):
            return name, value
    return None, None


def _read_props(body: dict[str, Any]) -> Properties | Refused:
    """An object, or its JSON, as older scripts write it."""
    name, value = _first(body, _PROPS)
    if name is None:
        return {}
    if isinstance(value, str):
        value = load_value(value.encode())
    if isinstance(value, Refused):
        return replace(value, field=name)
    if not isinstance(value, dict):
        return _invalid(name, f"expected an object, got {json_type(value)}")
    return dict(value)


def _unwrap(name: str, value: object) -> object:
    """Revenue is an object, or its JSON."""
    if name not in ("$", "revenue") or not isinstance(value, str):
        return value
    revenue = load_value(value.encode())
    return value if isinstance(revenue, Refused) else revenue


def _read_site(body: dict[str, Any], wire: Wire, props: Properties) -> str:
    """The domain, else the address's host; returns the name of what told it.

    A list of domains is one event of the first: what happened once is delivered, and billed, once.
    """
    name, domain = _first(body, _DOMAIN)
    if not isinstance(domain, str):
        if name is not None:
            wire["siteId"] = domain  # refused by its type
        elif host := host_of(wire.get("url")):
            wire["siteId"] = host
        return name or _DOMAIN[1]
    domains = [part for text in domain.split(",") if (part := text.strip())]
    if domains:
        wire["siteId"] = domains[0]
    if len(domains) > 1:
        keep(props, "domains", domains)
    return name or _DOMAIN[1]


def _path_with_fragment(url: object) -> str | None:
    """In hash mode the fragment is part of the page's path."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        return None
    return f"{parts.path or '/'}#{parts.fragment}" if parts and parts.fragment else None


def _find_ip(headers: Headers) -> str | None:
    """The visitor's address as a server tells it that forwards events, in Plausible's order."""
    for name in (b"x-plausible-ip", b"x-forwarded-for"):
        if value := headers.get(name):
            return value.partition(b",")[0].strip().decode("latin-1") or None
    return None


def _invalid(field: str | None, message: str) -> Refused:
    return Refused(RefusalReason.INVALID_EVENT, message, field=field)
