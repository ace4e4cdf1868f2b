"""A Segment call's `context`: into the contract's fields where there is one, the rest as it is.

These SDKs let an application write anything there. A value that does not fit its field's type
stays where its sender put it: one odd value in the context is no reason to lose an event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

Wire = dict[str, Any]
"""An event's fields under their wire names."""


def _fit_text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _fit_count(value: object) -> int | None:
    """A number of pixels; some browsers tell whole ones as 412.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < 2**31 else None


def _fit_number_or_text(value: object) -> str | None:
    return str(value) if type(value) is int else _fit_text(value)


def _fit_zone(value: object) -> str | None:
    """RudderStack's browser SDK says GMT+0100, which is an offset and no zone."""
    text = _fit_text(value)
    return text if text and ("/" in text or text in ("UTC", "GMT")) else None


def _fit_referrer(value: object) -> str | None:
    """RudderStack's browser SDK says $direct where there was none."""
    return None if value == "$direct" else _fit_text(value)


class _Field(NamedTuple):
    wire: str
    fit: Callable[[object], object]


def _texts(**wire_by_name: str) -> dict[str, _Field]:
    return {name: _Field(wire, _fit_text) for name, wire in wire_by_name.items()}


def _counts(**wire_by_name: str) -> dict[str, _Field]:
    return {name: _Field(wire, _fit_count) for name, wire in wire_by_name.items()}


_FIELDS: Final[Mapping[str, _Field]] = {
    **_texts(userAgent="userAgent", locale="language", siteId="siteId", groupId="companyId"),
    "timezone": _Field("timezone", _fit_zone),
    # RudderStack's browser SDK counts its sessions in milliseconds.
    "sessionId": _Field("sessionId", _fit_number_or_text),
}
PAGE_FIELDS: Final[Mapping[str, _Field]] = {
    **_texts(url="url", path="path", title="title", referring_domain="referrerDomain"),
    "referrer": _Field("referrer", _fit_referrer),
}
_GROUPS: Final[Mapping[str, Mapping[str, _Field]]] = {
    "page": PAGE_FIELDS,
    "campaign": _texts(
        source="utmSource",
        medium="utmMedium",
        name="utmCampaign",
        term="utmTerm",
        content="utmContent",
    ),
    "app": _texts(name="app", version="appVersion"),
    "os": _texts(name="os", version="osVersion"),
    "device": _texts(type="deviceType"),
    "screen": _counts(
        width="screenWidth",
        height="screenHeight",
        innerWidth="viewportWidth",
        innerHeight="viewportHeight",
    ),
}
SENDERS_NAMES: Final[Mapping[str, str]] = {
    wire: f"context.{name}" for name, (wire, _) in _FIELDS.items()
} | {
    wire: f"context.{group}.{name}"
    for group, fields in _GROUPS.items()
    for name, (wire, _) in fields.items()
}
"""What the sender calls a field, by the wire's name for it."""


def read_context(context: Mapping[str, Any], wire: Wire) -> dict[str, Any]:
    """Fill the fields that `wire` does not have yet; returns what else the context says.

    The address in `ip` is in neither: it goes no further than the geo lookup.
    """
    rest: dict[str, Any] = {}
    for name, value in context.items():
        if name == "ip":
            continue
        if isinstance(value, dict) and (fields := _GROUPS.get(name)):
            if name == "app" and _is_library(value, context):
                fields = {}
            if left := _read_group(value, fields, wire):
                rest[name] = left
        elif not _filled(_FIELDS.get(name), value, wire) and says_something(value):
            rest[name] = value
    if (consent := _read_consent(context.get("consent"))) is not None:
        wire["consent"] = consent
    _forget_search(rest, wire)
    return rest


def says_something(value: object) -> bool:
    """Whether there is anything to keep; 0 and false are something."""
    return bool(value) or value == 0


def _is_library(app: dict[str, Any], context: Mapping[str, Any]) -> bool:
    """RudderStack's browser SDK gives itself out as the application."""
    library = context.get("library")
    return isinstance(library, dict) and "name" in app and app["name"] == library.get("name")


def _read_group(group: dict[str, Any], fields: Mapping[str, _Field], wire: Wire) -> dict[str, Any]:
    return {
        name: value
        for name, value in group.items()
        if not _filled(fields.get(name), value, wire) and says_something(value)
    }


def _filled(field: _Field | None, value: object, wire: Wire) -> bool:
    """Whether the value has its place in a field of the event now."""
    if field is None:
        return False
    fitting = field.fit(value)
    return fitting is not None and wire.setdefault(field.wire, fitting) == fitting


def _read_consent(consent: object) -> str | None:
    """Whether analytics are consented to, as far as the categories' names tell.

    https://segment.com/docs/privacy/consent-management/consent-in-segment-connections/
    """
    preferences = consent.get("categoryPreferences") if isinstance(consent, dict) else None
    if not isinstance(preferences, dict) or not preferences:
        return None
    for name, granted in preferences.items():
        if name.lower() == "analytics" and isinstance(granted, bool):
            return "granted" if granted else "denied"
    return "denied" if all(granted is False for granted in preferences.values()) else None


def _forget_search(rest: dict[str, Any], wire: Wire) -> None:
    """The address holds its own query string."""
    page = rest.get("page")
    if isinstance(page, dict) and isinstance(search := page.get("search"), str):
        if search in wire.get("url", ""):
            del page["search"]
        if not page:
            del rest["page"]
