"""Build and parse every object key. No other module knows how a bucket is laid out.

`{prefix}/events/site_id=…/year=…/month=…/day=…/hour=…/{segment}-{part}.{format}` is hive-style,
cut by `received_at` in UTC (`events_csv/`, `events_json/` likewise, each format in a folder of its
own), or as a template has it: without hours, in another order, with `type=…`.
`{prefix}/identities/year=…/month=…/day=…/{segment}-{part}.{format}` holds a segment's identity
links, `failed/` and `sites/` likewise what was refused and the sites that changed;
`replay/site_id=…/year=…/month=…/day=…/session_id=…/{segment}-{part}.{format}` what was recorded of
a session, and `replay_index/` says what stands where; `{prefix}/_sluice/…` describes the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

_OBJECT = re.compile(
    r"(?P<prefix>.+)/(?P<dataset>[a-z_]+)/(?P<folders>(?:[a-z_]+=[^/]*/)+)"
    r"(?P<segment>\d{12,})-(?P<part>\d{4,})\.(?P<format>[a-z0-9.]+)"
)
_IDENTITIES = re.compile(
    r"(?P<prefix>.+)/identities/year=(?P<year>\d{4})/month=(?P<month>\d{2})/day=(?P<day>\d{2})"
    r"/(?P<segment>\d{12,})-(?P<part>\d{4,})\.(?P<format>[a-z0-9.]+)"
)


_USAGE = re.compile(
    r"(?P<prefix>.+)/usage/year=(?P<year>\d{4})/month=(?P<month>\d{2})/day=(?P<day>\d{2})"
    r"/(?P<segment>\d{12,})\.(?P<format>[a-z0-9.]+)"
)
_DAY = re.compile(
    r"(?P<prefix>.+)/(?P<dataset>failed|sites|replay_index)/year=(?P<year>\d{4})/month=(?P<month>\d{2})"
    r"/day=(?P<day>\d{2})/(?P<segment>\d{12,})-(?P<part>\d{4,})\.(?P<format>[a-z0-9.]+)"
)
_RECORDING = re.compile(
    r"(?P<prefix>.+)/replay/site_id=(?P<site>[^/]+)/year=(?P<year>\d{4})/month=(?P<month>\d{2})"
    r"/day=(?P<day>\d{2})/session_id=(?P<session>[A-Za-z0-9_.~-]+)"
    r"/(?P<segment>\d{12,})-(?P<part>\d{4,})\.(?P<format>[a-z0-9.]+)"
)
_STATEMENT = re.compile(r".+/_sluice/keys/(\d{4})\.json")
_DOCUMENT = re.compile(r".+/_sluice/(?:manifests|receipts)/(\d{12,})\.json")


MAX_SITE_ID_BYTES: Final = 200
"""Of a site id as it stands in a key. A folder's name ends at 255 bytes, an S3 key at 1,024."""


HIVE_NULL: Final = "__HIVE_DEFAULT_PARTITION__"
"""The folder name that readers take for null: no site may have it."""

EVENT_DATASETS: Final = {"events": "parquet", "events_csv": "csv", "events_json": "json"}
"""The datasets that hold the events, each all of them, and the format that each has them in."""

Template = tuple[str, ...]
DEFAULT_TEMPLATE: Final[Template] = ("site_id", "year", "month", "day", "hour")
"""The folders of the events, outermost first."""

_PARTS_OF_TIME: Final = ("year", "month", "day", "hour")
_NEEDED: Final = ("site_id", "year", "month", "day")
_VOCABULARY: Final = (*DEFAULT_TEMPLATE, "type")

OTHER_TYPE: Final = "(other)"
"""Where events stand whose type is too long for a folder's name."""
MAX_TYPE_BYTES: Final = 100

UNKNOWN_SITE: Final = "(unknown)"
"""What refusals are counted under when they name a site that is not known: no site may have it."""


@lru_cache(maxsize=100)
def template_problem(template: Template) -> str | None:
    """What is wrong with a template; None for one that keys can be built by.

    Site and day are always there: what is billed, by site and day, is held against keys.
    """
    unknown = [name for name in template if name not in _VOCABULARY]
    if unknown:
        return f"{unknown[0]!r} is no part of a key: {', '.join(_VOCABULARY)}"
    if len(set(template)) != len(template):
        return "a part stands there twice"
    missing = [name for name in _NEEDED if name not in template]
    if missing:
        return f"{missing[0]} is missing: a key names site, year, month and day"
    times = [name for name in template if name in _PARTS_OF_TIME]
    if times != [name for name in _PARTS_OF_TIME if name in times]:
        return "a year comes before its months, a month before its days, a day before its hours"
    return None


@lru_cache(maxsize=10_000)
def encode_site_id(site_id: str) -> str:
    """A site id as one folder's name, percent-encoded as Hive and Spark do it.

    "." and ".." cannot climb: "site_id=" stands before them.
    """
    return quote(site_id, safe="")


@lru_cache(maxsize=10_000)
def type_of_folder(event_type: str) -> str:
    """The `type` that an event's key has: its own, or `OTHER_TYPE` where no folder can have it."""
    if event_type == HIVE_NULL or len(quote(event_type, safe="")) > MAX_TYPE_BYTES:
        return OTHER_TYPE
    return event_type


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """The folder that an event's file stands in: a site's hour, or as the template has it."""

    site_id: str
    hour: datetime
    """Start of the hour, UTC; of the day where the template has no hours."""
    type: str = ""
    """As `type_of_folder` has it; empty where the template has no types."""


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """One file of a dataset, taken apart."""

    dataset: str
    partition: Partition
    segment_id: int
    part: int
    format: str
    template: Template = DEFAULT_TEMPLATE

    def under(self, prefix: str) -> str:
        """The whole key, as it stands in the bucket."""
        hour = self.partition.hour.astimezone(UTC)
        values = {
            "site_id": encode_site_id(self.partition.site_id),
            "year": f"{hour:%Y}",
            "month": f"{hour:%m}",
            "day": f"{hour:%d}",
            "hour": f"{hour:%H}",
            "type": quote(self.partition.type, safe=""),
        }
        folders = "/".join(f"{name}={values[name]}" for name in self.template)
        file = f"{self.segment_id:012d}-{self.part:04d}.{self.format}"
        return f"{prefix}/{self.dataset}/{folders}/{file}"


@dataclass(frozen=True, slots=True)
class UsageKey:
    """A segment's usage records."""

    day: datetime
    segment_id: int
    dataset: str = "usage"
    format: str = "parquet"

    def under(self, prefix: str) -> str:
        """The whole key, as it stands in the metering bucket."""
        day = self.day.astimezone(UTC)
        return (
            f"{prefix}/usage/year={day:%Y}/month={day:%m}/day={day:%d}"
            f"/{self.segment_id:012d}.{self.format}"
        )


@dataclass(frozen=True, slots=True)
class IdentitiesKey:
    """A segment's identity links."""

    day: datetime
    """Midnight UTC of the day on which the segment was opened."""
    segment_id: int
    part: int = 0
    dataset: str = "identities"
    format: str = "parquet"

    def under(self, prefix: str) -> str:
        """The whole key, as it stands in the bucket."""
        day = self.day.astimezone(UTC)
        return (
            f"{prefix}/identities/year={day:%Y}/month={day:%m}/day={day:%d}"
            f"/{self.segment_id:012d}-{self.part:04d}.{self.format}"
        )


def identities_key(opened_at: datetime, segment_id: int) -> IdentitiesKey:
    """Where the identity links of a segment stand."""
    day = opened_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return IdentitiesKey(day, segment_id)


@dataclass(frozen=True, slots=True)
class DayKey:
    """A segment's file of a dataset that is cut by days only: `failed`, `sites`, `replay_index`."""

    dataset: str
    day: datetime
    """Midnight UTC of the day on which the segment was opened."""
    segment_id: int
    part: int = 0
    format: str = "parquet"

    def under(self, prefix: str) -> str:
        """The whole key, as it stands in the bucket."""
        day = self.day.astimezone(UTC)
        return (
            f"{prefix}/{self.dataset}/year={day:%Y}/month={day:%m}/day={day:%d}"
            f"/{self.segment_id:012d}-{self.part:04d}.{self.format}"
        )


def day_key(dataset: str, opened_at: datetime, segment_id: int) -> DayKey:
    """Where a segment's file of such a dataset stands."""
    day = opened_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return DayKey(dataset, day, segment_id)


def parse_day_key(key: str) -> DayKey | None:
    """The inverse of `DayKey.under`, whatever the prefix; None for any other key."""
    match = _DAY.fullmatch(key)
    if match is None:
        return None
    try:
        day = datetime(int(match["year"]), int(match["month"]), int(match["day"]), tzinfo=UTC)
    except ValueError:
        return None
    return DayKey(
        dataset=match["dataset"],
        day=day,
        segment_id=int(match["segment"]),
        part=int(match["part"]),
        format=match["format"],
    )


@dataclass(frozen=True, slots=True)
class RecordingKey:
    """What was recorded of a session while a segment was open."""

    site_id: str
    session_id: str
    """Of letters, digits and `_ . ~ -`: intake takes no other."""
    day: datetime
    """Midnight UTC of the day on which the segment was opened."""
    segment_id: int
    part: int = 0
    dataset: str = "replay"
    format: str = "ndjson.gz"

    def under(self, prefix: str) -> str:
        """The whole key, as it stands in the bucket."""
        day = self.day.astimezone(UTC)
        return (
            f"{prefix}/replay/site_id={encode_site_id(self.site_id)}"
            f"/year={day:%Y}/month={day:%m}/day={day:%d}/session_id={self.session_id}"
            f"/{self.segment_id:012d}-{self.part:04d}.{self.format}"
        )


def recording_key(
    site_id: str, session_id: str, opened_at: datetime, segment_id: int
) -> RecordingKey:
    """Where a session's recordings of a segment stand."""
    day = opened_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return RecordingKey(site_id, session_id, day, segment_id)


def parse_recording_key(key: str) -> RecordingKey | None:
    """The inverse of `RecordingKey.under`, whatever the prefix; None for any other key."""
    match = _RECORDING.fullmatch(key)
    if match is None:
        return None
    try:
        day = datetime(int(match["year"]), int(match["month"]), int(match["day"]), tzinfo=UTC)
    except ValueError:
        return None
    parsed = RecordingKey(
        site_id=unquote(match["site"]),
        session_id=match["session"],
        day=day,
        segment_id=int(match["segment"]),
        part=int(match["part"]),
        format=match["format"],
    )
    return parsed if parsed.under(match["prefix"]) == key else None


def parse_identities_key(key: str) -> IdentitiesKey | None:
    """The inverse of `IdentitiesKey.under`, whatever the prefix; None for any other key."""
    match = _IDENTITIES.fullmatch(key)
    if match is None:
        return None
    year, month, day_of_month = (int(match[n]) for n in ("year", "month", "day"))
    try:
        day = datetime(year, month, day_of_month, tzinfo=UTC)
    except ValueError:
        return None
    return IdentitiesKey(
        day=day,
        segment_id=int(match["segment"]),
        part=int(match["part"]),
        format=match["format"],
    )


def parse_usage_key(key: str) -> UsageKey | None:
    """The inverse of `UsageKey.under`, whatever the prefix; None for any other key."""
    match = _USAGE.fullmatch(key)
    if match is None:
        return None
    try:
        day = datetime(int(match["year"]), int(match["month"]), int(match["day"]), tzinfo=UTC)
    except ValueError:
        return None
    return UsageKey(day, int(match["segment"]), format=match["format"])


def parse_object_key(key: str) -> ObjectKey | None:
    """The inverse of `ObjectKey.under`, whatever the prefix; None for any other key."""
    match = _OBJECT.fullmatch(key)
    if match is None:
        return None
    folders = [folder.partition("=") for folder in match["folders"].rstrip("/").split("/")]
    template, values = tuple(name for name, _, _ in folders), {n: v for n, _, v in folders}
    if template_problem(template) is not None:
        return None
    try:
        year, month, day, hour = (int(values.get(name, "0")) for name in _PARTS_OF_TIME)
        start = datetime(year, month, day, hour, tzinfo=UTC)
    except ValueError:
        return None
    parsed = ObjectKey(
        dataset=match["dataset"],
        partition=Partition(unquote(values["site_id"]), start, unquote(values.get("type", ""))),
        segment_id=int(match["segment"]),
        part=int(match["part"]),
        format=match["format"],
        template=template,
    )
    return parsed if parsed.under(match["prefix"]) == key else None


def partition_values(key: str) -> dict[str, str]:
    """What a key's folders say of the rows: `site_id`, `year` and so on, by name."""
    pairs = (folder.partition("=") for folder in key.split("/")[:-1] if "=" in folder)
    return {name: unquote(value) for name, _, value in pairs}


def manifest_key(prefix: str, segment_id: int) -> str:
    """Where a segment's manifest stands: written last, it commits the segment's objects."""
    return f"{manifests_prefix(prefix)}{segment_id:012d}.json"


def prefix_of(manifest: str) -> str:
    """What the key of a manifest, and all others beside it, begin with."""
    return manifest.rpartition("/_sluice/manifests/")[0]


def receipt_key(prefix: str, segment_id: int) -> str:
    """Where a segment's signed receipt stands."""
    return f"{receipts_prefix(prefix)}{segment_id:012d}.json"


def receipts_prefix(prefix: str) -> str:
    """What the keys of all receipts begin with."""
    return f"{prefix}/_sluice/receipts/"


def manifests_prefix(prefix: str) -> str:
    """What the keys of all manifests begin with."""
    return f"{prefix}/_sluice/manifests/"


def key_statement_key(prefix: str, number: int) -> str:
    """Where a stack announces one of the keys that sign its receipts."""
    return f"{key_statements_prefix(prefix)}{number:04d}.json"


def key_statements_prefix(prefix: str) -> str:
    """What the keys of all such statements begin with."""
    return f"{prefix}/_sluice/keys/"


def number_of_statement(key: str) -> int | None:
    """The number of the key that is announced under a key; None for any other."""
    match = _STATEMENT.fullmatch(key)
    return int(match[1]) if match else None


def segment_of(key: str) -> int | None:
    """The segment whose manifest or receipt stands under a key; None for any other."""
    match = _DOCUMENT.fullmatch(key)
    return int(match[1]) if match else None


def schema_key(prefix: str, schema_version: int, name: str) -> str:
    """Where what describes the datasets of a schema's version stands."""
    return f"{prefix}/_sluice/schema/v{schema_version}/{name}"


def readme_key(prefix: str) -> str:
    """What whoever opens the bucket sees beside the folders.

    Hive, Spark, Trino and Athena take a name that begins with `_` for none of a table's files.
    """
    return f"{prefix}/_README.md"


def owner_key(prefix: str) -> str:
    """Where the stack that writes below a prefix has put its name."""
    return f"{prefix}/_sluice/owner.json"


def watermark_key(prefix: str) -> str:
    """Where a reader learns how far delivery has come."""
    return f"{prefix}/_sluice/watermark.json"
