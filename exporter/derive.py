"""Columns that follow from others: worked out once for each distinct value, not for each row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa
import pyarrow.compute as pc

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


_SOURCES: Final[tuple[tuple[str, tuple[str, ...], Callable[[str], Derived]], ...]] = (
    ("url", ("path", *_UTM, "click_id", "click_id_type"), derive_from_url),
    ("referrer", ("referrer_domain",), derive_from_referrer),
)


def derive_columns(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Fill the nulls of every derived column; what a client sent itself is kept."""
    for source, targets, derive in _SOURCES:
        encoded = batch.column(source).dictionary_encode()
        found = [derive(value) for value in encoded.dictionary.to_pylist()]
        for target in targets:
            given = batch.column(target)
            if not given.null_count or not any(target in one for one in found):
                continue
            values = pa.array([one.get(target) for one in found], pa.string())
            derived = pc.take(values, encoded.indices)
            position = batch.schema.get_field_index(target)
            batch = batch.set_column(
                position, batch.schema.field(position), pc.coalesce(given, derived)
            )
    return batch
