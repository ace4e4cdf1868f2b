"""Snowplow's parameters by the columns that they fill: ours, or its own, kept in the properties.

https://docs.snowplow.io/docs/fundamentals/canonical-event/ lists them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from api.collector.dialects.fitting import read_integer, read_number

EVENT_TYPES: Final = {
    "pv": "page_view",
    "pp": "page_ping",
    "se": "struct",
    "tr": "transaction",
    "ti": "transaction_item",
}
"""By parameter `e`; a self-describing event (`ue`) is called as its schema is."""

FIELDS: Final = {
    "eid": "eventId",
    "uid": "userId",
    "sid": "sessionId",
    "aid": "app",
    "p": "source",
    "url": "url",
    "page": "title",
    "refr": "referrer",
    "ua": "userAgent",
    "lang": "language",
    "tz": "timezone",
    "se_ca": "eventCategory",
    "se_ac": "eventAction",
    "se_la": "eventLabel",
}
IDS: Final = frozenset({"eid", "uid", "sid"})
SIZE_FIELDS: Final = {
    "res": ("screenWidth", "screenHeight"),
    "vp": ("viewportWidth", "viewportHeight"),
}
VISITORS: Final = ("duid", "tnuid", "nuid")
"""The first that is there tells the visitor."""


def _flag(value: Any) -> Any:
    return {"1": True, "0": False}.get(value, value) if isinstance(value, str) else value


def _as_it_is(value: Any) -> Any:
    return value


class Column(NamedTuple):
    """A column of Snowplow's, and how its text is read."""

    name: str
    read: Callable[[Any], Any] = _as_it_is


COLUMNS: Final = {
    "tv": Column("tracker_version"),
    "tna": Column("tracker_name"),
    "tnuid": Column("network_userid"),
    "nuid": Column("network_userid"),
    "fp": Column("user_fingerprint"),
    "tid": Column("txn_id", read_integer),
    "cs": Column("doc_charset"),
    "cd": Column("br_colordepth"),
    "cookie": Column("br_cookies", _flag),
    "se_pr": Column("se_property"),
    "se_va": Column("se_value", read_number),
    "pp_mix": Column("pp_xoffset_min", read_integer),
    "pp_max": Column("pp_xoffset_max", read_integer),
    "pp_miy": Column("pp_yoffset_min", read_integer),
    "pp_may": Column("pp_yoffset_max", read_integer),
    "tr_id": Column("tr_orderid"),
    "tr_af": Column("tr_affiliation"),
    "tr_tt": Column("tr_total", read_number),
    "tr_tx": Column("tr_tax", read_number),
    "tr_sh": Column("tr_shipping", read_number),
    "tr_ci": Column("tr_city"),
    "tr_st": Column("tr_state"),
    "tr_co": Column("tr_country"),
    "tr_cu": Column("tr_currency"),
    "ti_id": Column("ti_orderid"),
    "ti_sk": Column("ti_sku"),
    "ti_nm": Column("ti_name"),
    "ti_ca": Column("ti_category"),
    "ti_pr": Column("ti_price", read_number),
    "ti_qu": Column("ti_quantity", read_integer),
    "ti_cu": Column("ti_currency"),
}
"""By parameter; one that stands nowhere here is kept under its own name."""
