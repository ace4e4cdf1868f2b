"""Columns that follow from others: worked out once for each distinct value, not for each row.

A row's columns depend on that row alone: the same rows in other batches give the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from exporter.channels import choose_channel
from exporter.distinct import find_distinct
from exporter.referrers import judge_referrer
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
_CACHED_ADDRESSES: Final = 4_096  # of pages, and of referrers: some 8 MB of usual ones
_MAX_CACHED_CHARS: Final = 500
_MAX_HOST_CHARS: Final = 253  # RFC 1035's, as text

# A version is the named browser's own, a type the given id's: alone it may belong to another one.
_BELONGS_TO: Final = {
    "browser_version": "browser",
    "os_version": "os",
    "click_id_type": "click_id",
}

Derived = dict[str, str | None]


def derive_from_url(url: str) -> Derived:
    """What an address tells: `host`, `path`, `utm_…`, `click_id`, `click_id_type`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return {}
    derived: Derived = {"host": _host(parts), "path": parts.path or "/"}
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
        return {"referrer_domain": _host(urlsplit(referrer))}
    except ValueError:
        return {}


def _host(parts: SplitResult) -> str | None:
    host = (parts.hostname or "").rstrip(".")
    return host if 0 < len(host) <= _MAX_HOST_CHARS else None


def _remembering(derive: Callable[[str], Derived]) -> Callable[[str], Derived]:
    remembered = lru_cache(maxsize=_CACHED_ADDRESSES)(derive)

    def look_up(text: str) -> Derived:
        return (remembered if len(text) <= _MAX_CACHED_CHARS else derive)(text)

    return look_up


def derive_from_user_agent(user_agent: str) -> Derived:
    """`browser`, `os`, their versions and `device_type`."""
    return read_user_agent(user_agent)._asdict()


_SOURCES: Final[tuple[tuple[str, tuple[str, ...], Callable[[str], Derived]], ...]] = (
    ("url", ("host", "path", *_UTM, "click_id", "click_id_type"), _remembering(derive_from_url)),
    ("referrer", ("referrer_domain",), _remembering(derive_from_referrer)),
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
    return _derive_arrivals(batch)


# What an arrival follows from, beside whether it is a page view that nobody referred.
_ARRIVAL_FROM: Final = (
    "site_id",
    "host",
    "referrer_domain",
    "referrer_type",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "click_id_type",
)
_ARRIVAL: Final = ("referrer_type", "referrer_source", "channel")
_CACHED_ARRIVALS: Final = 4_096


@lru_cache(maxsize=_CACHED_ARRIVALS)
def derive_arrival(
    site_id: str | None,
    host: str | None,
    referrer_domain: str | None,
    referrer_type: str | None,
    utm_source: str | None,
    utm_medium: str | None,
    utm_campaign: str | None,
    click_id_type: str | None,
    *,
    is_unreferred: bool,
) -> tuple[str | None, str | None, str | None]:
    """`referrer_type`, `referrer_source`, `channel`."""
    source = None
    if referrer_domain:
        place = judge_referrer(referrer_domain, host, site_id)
        referrer_type, source = referrer_type or place.type, place.source
    elif is_unreferred:
        referrer_type = referrer_type or "direct"
    channel = choose_channel(
        utm_source=utm_source,
        utm_medium=utm_medium,
        utm_campaign=utm_campaign,
        click_id_type=click_id_type,
        referrer_type=referrer_type,
    )
    return referrer_type, source, channel


def _derive_arrivals(batch: pa.RecordBatch) -> pa.RecordBatch:
    is_unreferred = _is_unreferred(batch)
    columns = [batch.column(name) for name in _ARRIVAL_FROM]
    firsts, codes = find_distinct([is_unreferred, *columns])
    rows, indices = pa.array(firsts), pa.array(codes)
    flags, *told = (column.take(rows).to_pylist() for column in (is_unreferred, *columns))
    found = [
        derive_arrival(*values, is_unreferred=flag)
        for flag, *values in zip(flags, *told, strict=True)
    ]
    for name, values in zip(_ARRIVAL, zip(*found, strict=True), strict=False):
        if any(values):
            batch = _fill(batch, name, pc.take(pa.array(values, pa.string()), indices))
    return batch


def _is_unreferred(batch: pa.RecordBatch) -> pa.Array:
    """Page views that came without a referrer: only of them is its absence known."""
    referrer = batch.column("referrer")
    is_view = pc.and_(
        pc.equal(batch.column("event_type"), "page_view"), batch.column("url").is_valid()
    )
    is_empty = pc.or_kleene(referrer.is_null(), pc.equal(pc.binary_length(referrer), 0))
    return pc.and_(is_view, is_empty)


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
