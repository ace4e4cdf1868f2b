"""What entities that every Snowplow tracker may attach say for columns of ours.

They fill what no parameter says: mobile trackers have no `sid`, and tell their session in an
entity. Whatever they hold stays in `properties.contexts` besides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from api.collector.dialects.fitting import Properties, Wire, read_size
from api.collector.dialects.self_describing import SchemaName
from core.event import MAX_NAME_CHARS

_SNOWPLOW: Final = "com.snowplowanalytics.snowplow"
_MOBILE: Final = "com.snowplowanalytics.mobile"
_MAX_INT32: Final = 2**31 - 1

PAGE_VIEW_ID: Final = "page_view_id"
"""The property that a page's events share."""


def apply_entity(
    name: SchemaName, data: dict[str, Any], wire: Wire, properties: Properties
) -> None:
    """Fill in the columns that an entity has a value for."""
    if (apply := _APPLY.get((name.vendor, name.name))) is not None:
        apply(data, wire, properties)


def _web_page(data: dict[str, Any], _: Wire, properties: Properties) -> None:
    if _is_name(page_view := data.get("id")):
        properties.setdefault(PAGE_VIEW_ID, page_view)


def _client_session(data: dict[str, Any], wire: Wire, _: Properties) -> None:
    _fill(wire, "visitorId", data.get("userId"))
    _fill(wire, "sessionId", data.get("sessionId"))
    index = data.get("sessionIndex")
    if isinstance(index, int) and not isinstance(index, bool) and 0 <= index <= _MAX_INT32:
        wire["sessionIndex"] = index


def _browser(data: dict[str, Any], wire: Wire, _: Properties) -> None:
    _fill(wire, "language", data.get("browserLanguage"))
    if size := read_size(data.get("resolution")):
        wire["screenWidth"], wire["screenHeight"] = size
    if size := read_size(data.get("viewport")):
        wire["viewportWidth"], wire["viewportHeight"] = size


def _mobile(data: dict[str, Any], wire: Wire, _: Properties) -> None:
    _fill(wire, "os", data.get("osType"))
    _fill(wire, "osVersion", data.get("osVersion"))


def _application(data: dict[str, Any], wire: Wire, _: Properties) -> None:
    _fill(wire, "appVersion", data.get("version"))


def _fill(wire: Wire, field: str, value: object) -> None:
    if _is_name(value):
        wire[field] = value


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARS


_APPLY: Final[dict[tuple[str, str], Callable[[dict[str, Any], Wire, Properties], None]]] = {
    (_SNOWPLOW, "web_page"): _web_page,
    (_SNOWPLOW, "client_session"): _client_session,
    (_SNOWPLOW, "browser_context"): _browser,
    (_SNOWPLOW, "mobile_context"): _mobile,
    (_SNOWPLOW, "application"): _application,
    (_MOBILE, "application"): _application,
}
