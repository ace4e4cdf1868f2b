"""One event of the Snowplow tracker protocol as ours.

What the contract has a field for goes there; the rest is kept in the properties, under the name
that Snowplow gives its column.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from api.collector.decode import json_type
from api.collector.dialects.fitting import (
    Properties,
    Wire,
    fit_event,
    host_of,
    id_text,
    keep,
    read_integer,
    read_number,
    read_size,
)
from api.collector.dialects.self_describing import read_envelope, read_self_describing
from api.collector.dialects.snowplow_columns import (
    COLUMNS,
    EVENT_TYPES,
    FIELDS,
    IDS,
    SIZE_FIELDS,
    VISITORS,
)
from api.collector.dialects.snowplow_entities import apply_entity
from core.event import Event
from core.refusal import RefusalReason, Refused

_SELF_DESCRIBING: Final = "ue"
_TIMES: Final = {"dtm": "dvce_created_tstamp", "stm": "dvce_sent_tstamp", "ttm": "true_tstamp"}
# Read elsewhere, or no part of the event: `ip` is the visitor's whole address, kept nowhere.
_READ_APART: Final = frozenset(
    {"e", "ip", "ue_px", "ue_pr", "cx", "co", "ds", "vid", *_TIMES, *VISITORS}
)
_NAMES: Final = {field: param for param, field in FIELDS.items()} | {
    "sessionIndex": "vid",
    "siteId": "aid",
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def read_event(params: object) -> Event | Refused:
    """Read one event's parameters, as decoded from JSON or from a query string."""
    if not isinstance(params, dict):
        return _invalid(None, f"expected an object, got {json_type(params)}")
    wire: Wire = {}
    properties: Properties = {}
    for step in (_read_type, _read_times, _read_entities):
        if refused := step(params, wire, properties):
            return refused
    names = _read_visitor(params, wire, properties)
    _read_parameters(params, wire, properties)
    _read_index_and_document(params, wire, properties)
    if host := host_of(wire.get("url")):
        wire["siteId"] = host
    elif isinstance(app := wire.get("app"), str):
        wire["siteId"] = app
    return fit_event(wire, properties, names=names)


def _read_type(params: dict[str, Any], wire: Wire, properties: Properties) -> Refused | None:
    kind = params.get("e")
    if kind == _SELF_DESCRIBING:
        return _read_self_described(params, wire, properties)
    if not isinstance(kind, str) or kind not in EVENT_TYPES:
        return _invalid("e", f"expected one of {', '.join([*EVENT_TYPES, _SELF_DESCRIBING])}")
    wire["eventType"] = EVENT_TYPES[kind]
    return None


def _read_self_described(
    params: dict[str, Any], wire: Wire, properties: Properties
) -> Refused | None:
    found = read_envelope(params, "ue_px", "ue_pr")
    if found is None:
        return _invalid("ue_pr", "a self-describing event needs ue_px or ue_pr")
    field, inner = found
    event = inner if isinstance(inner, Refused) else read_self_describing(inner, f"{field}.data")
    if isinstance(event, Refused):
        return event
    if not isinstance(event.data, dict):
        return _invalid(f"{field}.data.data", f"expected an object, got {json_type(event.data)}")
    wire["eventType"] = event.name.name
    if event.name.model:
        wire["eventVersion"] = event.name.model
    properties |= event.data
    keep(properties, "_schema", event.schema)
    return None


def _read_times(params: dict[str, Any], wire: Wire, properties: Properties) -> Refused | None:
    """`ttm` is true because the application says so: no clock's skew is taken from it."""
    told: dict[str, datetime] = {}
    for name in _TIMES:
        if (value := params.get(name)) in (None, ""):
            continue
        instant = _instant(value)
        if instant is None:
            return Refused(RefusalReason.INVALID_TIME, "expected Unix milliseconds", field=name)
        told[name] = instant
    if "ttm" not in told:
        wire["occurredAt"], wire["sentAt"] = told.get("dtm"), told.get("stm")
        return None
    wire["occurredAt"] = told.pop("ttm")
    for name in told:
        keep(properties, _TIMES[name], read_number(params[name]))
    return None


def _instant(value: object) -> datetime | None:
    """Always milliseconds here, however small the number."""
    number = read_number(value)
    if not isinstance(number, int | float) or isinstance(number, bool):
        return None
    try:
        return _EPOCH + timedelta(milliseconds=number)
    except OverflowError:
        return None


def _read_entities(params: dict[str, Any], wire: Wire, properties: Properties) -> Refused | None:
    """The contexts, all of them as they are; columns that known ones have a value for."""
    found = read_envelope(params, "cx", "co")
    if found is None:
        return None
    field, entities = found
    if isinstance(entities, Refused):
        return entities
    if not isinstance(entities, list):
        return _invalid(f"{field}.data", f"expected an array, got {json_type(entities)}")
    for place, value in enumerate(entities):
        entity = read_self_describing(value, f"{field}.data[{place}]")
        if isinstance(entity, Refused):
            return entity
        if isinstance(entity.data, dict):
            apply_entity(entity.name, entity.data, wire, properties)
    keep(properties, "contexts", entities)
    return None


def _read_visitor(params: dict[str, Any], wire: Wire, properties: Properties) -> Mapping[str, str]:
    """Who it is; returns the sender's names for the fields, this one's included."""
    told = [(name, params[name]) for name in VISITORS if params.get(name)]
    if not told:
        return _NAMES
    (name, visitor), *others = told
    wire["visitorId"] = id_text(visitor)
    for other, value in others:
        if value != visitor:
            keep(properties, COLUMNS[other].name, value)
    return _NAMES | {"visitorId": name}


def _read_parameters(params: dict[str, Any], wire: Wire, properties: Properties) -> None:
    for name, value in params.items():
        if value is None or value == "":
            continue
        if field := FIELDS.get(name):
            wire[field] = id_text(value) if name in IDS else value
        elif name in SIZE_FIELDS and (size := read_size(value)):
            wire |= zip(SIZE_FIELDS[name], size, strict=True)
        elif name in _READ_APART:
            continue
        elif column := COLUMNS.get(name):
            keep(properties, column.name, column.read(value))
        else:
            keep(properties, name, value)


def _read_index_and_document(params: dict[str, Any], wire: Wire, properties: Properties) -> None:
    if (index := params.get("vid")) not in (None, ""):
        wire["sessionIndex"] = read_integer(index)
    document = params.get("ds")
    if size := read_size(document):
        keep(properties, "doc_width", size[0])
        keep(properties, "doc_height", size[1])
    elif document:
        keep(properties, "ds", document)


def _invalid(field: str | None, message: str) -> Refused:
    return Refused(RefusalReason.INVALID_EVENT, message, field=field)
