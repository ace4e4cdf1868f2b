"""Every dataset that is delivered, in the order in which they are described."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import pyarrow as pa

from core.event import COLUMNS
from core.keys import DEFAULT_TEMPLATE, EVENT_DATASETS, OTHER_TYPE, Template
from exporter.arrow_schema import FILE_SCHEMA, IDENTITIES_SCHEMA, USAGE_SCHEMA
from exporter.failed import FAILED
from exporter.layout import CutBy
from exporter.recordings import CHUNK_COLUMNS, CHUNK_MEANING, INDEX_MEANING, INDEX_SCHEMA
from exporter.schemas.dataset import Dataset, DatasetColumn, columns_of
from exporter.segment_dataset import SegmentDataset
from exporter.sites import SITES

_NEVER_NULL: Final = frozenset(
    {
        "received_at",
        "event_id",
        "event_type",
        "event_version",
        "occurred_at",
        "is_bot",
        "schema_version",
    }
)
_FILE_FORMATS: Final = {"parquet": "parquet", "csv": "csv.gz", "json": "json.gz or json.zst"}


def _part_of_time(name: str, meaning: str) -> DatasetColumn:
    return DatasetColumn(name, "int32", meaning, nullable=False)


_SITE: Final = DatasetColumn(
    "site_id", "string", next(c.meaning for c in COLUMNS if c.name == "site_id"), nullable=False
)
_TYPE: Final = DatasetColumn(
    "type", "string", f"`event_type`; `{OTHER_TYPE}` where it is too long.", nullable=False
)
_SESSION: Final = DatasetColumn(
    "session_id", "string", "The session that was recorded.", nullable=False
)
_OPENED: Final = (
    _part_of_time("year", "Of the moment at which the segment was opened, in UTC."),
    _part_of_time("month", "Likewise; two digits in the key."),
    _part_of_time("day", "Likewise."),
)


def _events(schema: pa.Schema, template: Template, cut_by: CutBy) -> Dataset:
    in_key = {
        "site_id": _SITE,
        "year": _part_of_time("year", f"Of `{cut_by}`, in UTC."),
        "month": _part_of_time("month", "Likewise; two digits in the key."),
        "day": _part_of_time("day", "Likewise."),
        "hour": _part_of_time("hour", "Likewise."),
        "type": _TYPE,
    }
    return Dataset(
        "events",
        "Every accepted event, once.",
        columns_of(schema, never_null=_NEVER_NULL),
        tuple(in_key[name] for name in template),
    )


def _by_segment(dataset: SegmentDataset) -> Dataset:
    return Dataset(dataset.name, dataset.meaning, columns_of(dataset.schema), _OPENED)


def describe_datasets(
    event_schema: pa.Schema = FILE_SCHEMA,
    *,
    template: Template = DEFAULT_TEMPLATE,
    cut_by: CutBy = "received_at",
) -> dict[str, Dataset]:
    """By name, the events' other formats included."""
    events = _events(event_schema, template, cut_by)
    described = [
        events,
        *(
            replace(events, name=name, format=_FILE_FORMATS[form])
            for name, form in EVENT_DATASETS.items()
            if form != "parquet"
        ),
        Dataset(
            "identities",
            "Which user a visitor said to be: a set, use it with DISTINCT.",
            columns_of(IDENTITIES_SCHEMA, never_null=frozenset(IDENTITIES_SCHEMA.names)),
            _OPENED,
        ),
        _by_segment(FAILED),
        _by_segment(SITES),
        Dataset(
            "usage",
            "What the writers counted, by site, hour, type and outcome; in the vendor's bucket.",
            columns_of(USAGE_SCHEMA, never_null=frozenset(USAGE_SCHEMA.names)),
            _OPENED,
        ),
        # Last: where nothing is recorded there is no file, and DuckDB makes no view of none.
        Dataset("replay_index", INDEX_MEANING, columns_of(INDEX_SCHEMA), _OPENED),
        Dataset(
            "replay",
            CHUNK_MEANING,
            columns_of(CHUNK_COLUMNS),
            (_SITE, *_OPENED, _SESSION),
            "ndjson.gz",
        ),
    ]
    return {dataset.name: dataset for dataset in described}


def parquet_datasets(
    names: Iterable[str] | None = None,
    *,
    event_schema: pa.Schema = FILE_SCHEMA,
    template: Template = DEFAULT_TEMPLATE,
) -> list[Dataset]:
    """Those that an engine's DDL is written for, all but `usage` unless they are named."""
    described = describe_datasets(event_schema, template=template)
    wanted = set(names) if names is not None else set(described) - {"usage"}
    return [d for d in described.values() if d.name in wanted and d.format == "parquet"]
