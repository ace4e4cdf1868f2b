"""The event contract: the one definition from which every schema and table is derived.

`Event` is what travels on the wire (camelCase); `ServerFacts` is what the server adds to it: both
together are what the buffer keeps as `payload`. `DerivedFacts` is what the export adds. `COLUMNS`
is the delivered row: one snake_case column for each field, in the order in which files carry them.

`sluice contract` derives the JSON Schema, the TypeScript types, the Arrow schema and the
table in the docs from here; CI fails when one of them is stale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

SCHEMA_VERSION: Final = 1
"""Bumped by a breaking change only; adding an optional field is not one."""

MAX_NAME_CHARS: Final = 200
MAX_TEXT_CHARS: Final = 1_000
MAX_URL_CHARS: Final = 8_000


def _name(meaning: str, *examples: str) -> Meta:
    return Meta(
        description=meaning, examples=list(examples), min_length=1, max_length=MAX_NAME_CHARS
    )


def _text(meaning: str, *examples: str, limit: int = MAX_TEXT_CHARS) -> Meta:
    return Meta(description=meaning, examples=list(examples), max_length=limit)


def _count(meaning: str, *examples: int, limit: int = 2**31 - 1) -> Meta:
    return Meta(description=meaning, examples=list(examples), ge=0, le=limit)


def _any(meaning: str, *examples: object) -> Meta:
    return Meta(description=meaning, examples=list(examples))


Instant = datetime | int | float
"""ISO 8601 with an offset (UTC when there is none), or a Unix time in milliseconds or seconds."""

Consent = Literal["granted", "denied", "pending", "unknown"]


class Event(
    Struct,
    rename="camel",
    forbid_unknown_fields=True,
    omit_defaults=True,
    kw_only=True,
    gc=False,
):
    """One thing that happened, as a client sends it. Only `eventType` is required."""

    event_id: (
        Annotated[
            str,
            _name(
                "Makes a retry idempotent: the same id is delivered once. A UUIDv7 made at "
                "capture; ULIDs and other strings are kept as given. Made by the server when "
                "absent.",
                "019aa1b2-7c1e-7a50-9d3e-3f1b8c2a4d5e",
            ),
        ]
        | None
    ) = None
    event_type: Annotated[str, _name("What kind of thing happened.", "page_view", "click")]
    event_version: Annotated[
        int, Meta(description="Version of this type's properties.", examples=[1], ge=1, le=32_767)
    ] = 1
    occurred_at: Annotated[
        Instant | None,
        _any(
            "When it happened. On the wire the client's clock; in the column corrected for the "
            "clock's skew, as told by `sentAt`. The time of receipt when absent.",
            "2026-11-21T10:15:30.123Z",
            1795256130123,
        ),
    ] = None
    sent_at: Annotated[
        Instant | None,
        _any(
            "When the request was sent, by the same clock as `occurredAt`.",
            "2026-11-21T10:15:31.000Z",
        ),
    ] = None
    site_id: (
        Annotated[
            str,
            _name(
                "The site it happened on; Origin's, Referer's or Host's when absent.",
                "shop.example",
            ),
        ]
        | None
    ) = None
    source: (
        Annotated[str, _name("What sent it.", "web", "server", "mobile_app", "wordpress")] | None
    ) = None
    app: Annotated[str, _name("The application within the site.", "portal")] | None = None
    app_version: Annotated[str, _name("Its version.", "1.4.2")] | None = None
    session_id: (
        Annotated[
            str,
            _name(
                "One visit: renewed after 30 minutes of inactivity.",
                "019aa1b2-7c1e-7a50-9d3e-000000000001",
            ),
        ]
        | None
    ) = None
    session_index: Annotated[int, _count("The visitor's how-manieth session.", 3)] | None = None
    visitor_id: (
        Annotated[
            str,
            _name(
                "One browser: random, first-party, no fingerprint.",
                "5f0c7d1e-9d52-4a53-8f0a-7f8f7f1f4c11",
            ),
        ]
        | None
    ) = None
    user_id: (
        Annotated[str, _name("Who is signed in, in the client's own terms.", "u_123")] | None
    ) = None
    company_id: Annotated[str, _name("The signed-in user's organisation.", "456")] | None = None
    event_category: Annotated[str, _name("The object's group.", "product")] | None = None
    event_action: Annotated[str, _name("What was done to it.", "click")] | None = None
    event_label: Annotated[str, _text("Which one.", "Nissan")] | None = None
    url: (
        Annotated[
            str,
            _text(
                "The page's full address.",
                "https://shop.example/p/7?utm_source=news",
                limit=MAX_URL_CHARS,
            ),
        ]
        | None
    ) = None
    path: (
        Annotated[
            str, _text("The address's path; from `url` when absent.", "/p/7", limit=MAX_URL_CHARS)
        ]
        | None
    ) = None
    title: Annotated[str, _text("The page's title.", "Red shoes")] | None = None
    referrer: (
        Annotated[
            str,
            _text("The address that led here.", "https://www.google.com/", limit=MAX_URL_CHARS),
        ]
        | None
    ) = None
    referrer_domain: (
        Annotated[str, _text("Its host; from `referrer` when absent.", "www.google.com")] | None
    ) = None
    referrer_type: (
        Annotated[
            str,
            _name(
                "What kind of place it is; from `referrer` when absent.",
                "search",
                "social",
                "internal",
                "direct",
            ),
        ]
        | None
    ) = None
    utm_source: Annotated[str, _text("Campaign source; from `url` when absent.", "news")] | None = (
        None
    )
    utm_medium: Annotated[str, _text("Campaign medium; likewise.", "email")] | None = None
    utm_campaign: Annotated[str, _text("Campaign name; likewise.", "autumn")] | None = None
    utm_term: Annotated[str, _text("Campaign term; likewise.", "shoes")] | None = None
    utm_content: Annotated[str, _text("Campaign variant; likewise.", "top-banner")] | None = None
    click_id: (
        Annotated[str, _text("The advertiser's click id; from `url` when absent.", "EAIaIQobChMI")]
        | None
    ) = None
    click_id_type: (
        Annotated[str, _name("The parameter it came in.", "gclid", "fbclid", "msclkid")] | None
    ) = None
    user_agent: (
        Annotated[
            str, _text("The browser's own name; the request's header when absent.", "Mozilla/5.0 …")
        ]
        | None
    ) = None
    browser: (
        Annotated[str, _name("Browser family; from `userAgent` when absent.", "Firefox")] | None
    ) = None
    browser_version: Annotated[str, _name("Browser version; likewise.", "147.0")] | None = None
    os: Annotated[str, _name("Operating system family; likewise.", "macOS")] | None = None
    os_version: (
        Annotated[str, _name("Operating system version; likewise, where it is told.", "26.1")]
        | None
    ) = None
    device_type: (
        Annotated[
            str,
            _name(
                "Kind of device; likewise, and bot where `is_bot`.", "desktop", "mobile", "tablet"
            ),
        ]
        | None
    ) = None
    screen_width: Annotated[int, _count("Screen width in CSS pixels.", 1920)] | None = None
    screen_height: Annotated[int, _count("Screen height in CSS pixels.", 1080)] | None = None
    viewport_width: Annotated[int, _count("Viewport width in CSS pixels.", 1280)] | None = None
    viewport_height: Annotated[int, _count("Viewport height in CSS pixels.", 720)] | None = None
    language: Annotated[str, _name("The browser's first language (BCP 47).", "de-CH")] | None = None
    timezone: Annotated[str, _name("IANA time zone.", "Europe/Zurich")] | None = None
    country: Annotated[str, _name("ISO 3166-1 alpha-2.", "CH")] | None = None
    region: Annotated[str, _name("ISO 3166-2 subdivision.", "ZH")] | None = None
    consent: Annotated[
        Consent | None, _any("The visitor's consent when it happened.", "granted")
    ] = None
    consent_policy: (
        Annotated[str, _name("Version of the policy consented to.", "2026-05")] | None
    ) = None
    properties: Annotated[
        dict[str, Any] | None,
        _any("Everything particular to this type; JSON text in the files.", {"price": 12.5}),
    ] = None


class ServerFacts(Struct, rename="camel", omit_defaults=True, kw_only=True, gc=False):
    """What the server adds to an event; the contract gives a client no way to say it.

    Sent by a client, a field of one of these names lands in `properties`.
    """

    ip: (
        Annotated[
            str,
            _text("The sender's address, cut to /24 or /48 before the first write.", "203.0.113.0"),
        ]
        | None
    ) = None
    dialect: (
        Annotated[
            str,
            _name("The protocol that it came in; Sluice's own when absent.", "segment"),
        ]
        | None
    ) = None
    is_bot: Annotated[bool, _any("Whether a program rather than a person.", True)] = False
    bot_reason: (
        Annotated[str, _name("What told so.", "crawler:Googlebot", "headless:HeadlessChrome")]
        | None
    ) = None
    redactions: (
        Annotated[int, _count("How many values were redacted before the event was stored.", 1)]
        | None
    ) = None
    plan_violation: (
        Annotated[
            str,
            _text(
                "What of it contradicts the tracking plan; empty when nothing does.",
                "price: value is less than the minimum of 0",
            ),
        ]
        | None
    ) = None


class DerivedFacts(Struct, rename="camel", kw_only=True, gc=False):
    """What the export derives from an event's other fields; the buffer does not hold it.

    Sent by a client, a field of one of these names lands in `properties`.
    """

    host: Annotated[str, _text("The page's host, as `url` says it.", "shop.example")] | None = None
    referrer_source: (
        Annotated[
            str,
            _text("What sent the visitor, by name, or by its registrable domain.", "google"),
        ]
        | None
    ) = None
    channel: (
        Annotated[
            str,
            _name("Which channel brought the visitor.", "organic_search", "email", "direct"),
        ]
        | None
    ) = None
    session_entry_path: (
        Annotated[
            str,
            _text(
                "The path on which the session began, on the rows from its first event on, where"
                " that is in the same segment.",
                "/p/7",
                limit=500,
            ),
        ]
        | None
    ) = None
    is_entry: (
        Annotated[
            bool, _any("Whether it is the event that began its session; null is unknown.", True)
        ]
        | None
    ) = None


class Origin(StrEnum):
    """Who fills a column."""

    CLIENT = "client"
    SERVER = "server"
    EXPORT = "export"
    PARTITION = "partition"


class ColumnType(StrEnum):
    """A column's type, in Arrow's words."""

    STRING = "string"
    INT32 = "int32"
    BOOLEAN = "bool"
    TIMESTAMP = "timestamp[us, UTC]"
    JSON = "string (JSON)"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a delivered row."""

    name: str
    wire_name: str | None
    """As a client says it; None where only the server fills it."""
    payload_name: str | None
    """As the buffer's `payload` holds it; None where it does not."""
    type: ColumnType
    origin: Origin
    meaning: str
    example: str
    limit: str


def wire_fields() -> dict[str, str]:
    """Wire name by column name, in contract order."""
    return {f.name: f.encode_name for f in msgspec.structs.fields(Event)}


def _columns() -> Iterator[Column]:
    yield Column(
        "received_at",
        None,
        None,
        ColumnType.TIMESTAMP,
        Origin.SERVER,
        "When the server made it durable, by the server's clock. Cuts the partitions.",
        "2026-11-21T10:15:31.204Z",
        "",
    )
    for field in msgspec.structs.fields(Event):
        yield _column(field, Origin.PARTITION if field.name == "site_id" else Origin.CLIENT)
        if field.name == "occurred_at":
            yield Column(
                "device_occurred_at",
                None,
                "occurredAt",
                ColumnType.TIMESTAMP,
                Origin.SERVER,
                "`occurredAt` as the client's clock told it.",
                "2026-11-21T10:15:30.123Z",
                "",
            )
    for field in msgspec.structs.fields(ServerFacts):
        yield _column(field, Origin.SERVER)
    yield Column(
        "schema_version",
        None,
        None,
        ColumnType.INT32,
        Origin.SERVER,
        "Version of this contract.",
        str(SCHEMA_VERSION),
        "",
    )
    for field in msgspec.structs.fields(DerivedFacts):
        yield _column(field, Origin.EXPORT)


def _column(field: msgspec.structs.FieldInfo, origin: Origin) -> Column:
    annotated = next(t for t in (field.type, *get_args(field.type)) if hasattr(t, "__metadata__"))
    base, meta = get_args(annotated)
    assert isinstance(meta, Meta) and meta.examples is not None and meta.description is not None
    kinds = set(get_args(base) or (base,)) - {type(None)}
    if datetime in kinds:
        kind = ColumnType.TIMESTAMP
    elif kinds == {int}:
        kind = ColumnType.INT32
    elif kinds == {bool}:
        kind = ColumnType.BOOLEAN
    elif any("dict" in str(k) for k in kinds):
        kind = ColumnType.JSON
    else:
        kind = ColumnType.STRING
    choices = [choice for kind in kinds for choice in get_args(kind) if isinstance(choice, str)]
    if meta.max_length is not None:
        limit = f"{meta.max_length:,} characters"
    elif meta.le is not None:
        limit = f"{meta.ge} to {meta.le:,}"
    elif choices:
        limit = "one of " + ", ".join(choices)
    else:
        limit = ""
    return Column(
        field.name,
        field.encode_name if origin in (Origin.CLIENT, Origin.PARTITION) else None,
        field.encode_name if origin is not Origin.EXPORT else None,
        kind,
        origin,
        meta.description,
        msgspec.json.encode(meta.examples[0]).decode(),
        limit,
    )


COLUMNS: Final[tuple[Column, ...]] = tuple(_columns())
"""The delivered row. `site_id` is a partition column: it stands in the key, not in the file."""

FILE_COLUMNS: Final[tuple[Column, ...]] = tuple(
    c for c in COLUMNS if c.origin is not Origin.PARTITION
)

ALIASES: Final[dict[str, str]] = {
    "timestamp": "occurred_at",
    "eventData": "properties",
    "event_data": "properties",
    "pageUrl": "url",
    "page_url": "url",
    "pagePath": "path",
    "page_path": "path",
    "pageTitle": "title",
    "page_title": "title",
    "countryCode": "country",
    "country_code": "country",
}
"""Other names the seeds use for a field, beside its snake_case name."""
