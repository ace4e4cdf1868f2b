"""Columns that follow from others: worked out once for each distinct value, not for each row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from exporter.user_agents import Agent, read_user_agent

_CLICK_IDS: Final = (
    "gclid",
    "gbraid",
    "wbraid",
    "dclid",
    "fbclid",
    "msclkid",
    "ttclid",
    "twclid",
    "li_fat_id",
)
_UTM: Final = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
_MAX_DERIVED_CHARS: Final = 1_000
_MAX_PARAMETERS: Final = 200

# A version is the named browser's own, a type the given id's: alone it may belong to another one.
_BELONGS_TO: Final = {
    "browser_version": "browser",
    "os_version": "os",
    "click_id_type": "click_id",
}

Derived = dict[str, str | None]


def derive_from_url(url: str) -> Derived:
    """`path`, the `utm_…` parameters, `click_id` and `click_id_type` of a page's address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return {}
    derived: Derived = {"path": parts.path or "/"}
    parameters = _parameters(parts.query)
    for name in _UTM:
        derived[name] = (parameters.get(name) or "")[:_MAX_DERIVED_CHARS] or None
    for name in _CLICK_IDS:
        if parameters.get(name):
            derived["click_id"] = parameters[name][:_MAX_DERIVED_CHARS]
            derived["click_id_type"] = name
            break
    return derived


def _parameters(query: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, max_num_fields=_MAX_PARAMETERS))
    except ValueError:  # more of them than any campaign has
        return {}


def derive_from_referrer(referrer: str) -> Derived:
    """`referrer_domain`: the host of the address that led to the page."""
    try:
        host = urlsplit(referrer).hostname
    except ValueError:
        return {}
    return {"referrer_domain": host}


def derive_from_user_agent(user_agent: str) -> Derived:
    """`browser`, `os`, their versions and `device_type`."""
    return read_user_agent(user_agent)._asdict()


_SOURCES: Final[tuple[tuple[str, tuple[str, ...], Callable[[str], Derived]], ...]] = (
    ("url", ("path", *_UTM, "click_id", "click_id_type"), derive_from_url),
    ("referrer", ("referrer_domain",), derive_from_referrer),
    ("user_agent", Agent._fields, derive_from_user_agent),
)


def derive_columns(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Fill the nulls of every derived column; what a client sent itself is kept."""
    given = batch
    batch = _mark_bots(batch)
    for source, targets, derive in _SOURCES:
        missing = [target for target in targets if batch.column(target).null_count]
        if not missing:
            continue
        encoded = batch.column(source).dictionary_encode()
        found = [derive(value) for value in encoded.dictionary.to_pylist()]
        for target in missing:
            values = [one.get(target) for one in found]
            if not any(values):
                continue
            derived = pc.take(pa.array(values, pa.string()), encoded.indices)
            owner = given.column(_BELONGS_TO.get(target, target))
            if owner.null_count < len(owner):
                derived = pc.if_else(owner.is_null(), derived, None)
            batch = _fill(batch, target, derived)
    return batch


def _mark_bots(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A bot's `device_type` is bot, whatever browser it says that it is."""
    is_bot = batch.column("is_bot")
    if not is_bot.true_count:
        return batch
    return _fill(batch, "device_type", pc.if_else(is_bot, pa.scalar("bot"), None))


def _fill(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    position = batch.schema.get_field_index(name)
    given = batch.column(position)
    if given.null_count < len(given):
        values = pc.coalesce(given, values)
    return batch.set_column(position, batch.schema.field(position), values)
