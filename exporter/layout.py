"""How a sink's events are laid out: in which formats, and how their files are written.

Each format has a dataset, and so a folder, of its own, always the same one: a reader such as
Athena takes every file of a folder, and a setting that changes must not mix formats in one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, get_args

import pyarrow as pa

from core.keys import DEFAULT_TEMPLATE, EVENT_DATASETS, Template, template_problem
from exporter.arrow_schema import FILE_SCHEMA
from exporter.promote import Promotion

EventFormat = Literal["parquet", "csv", "json"]
JsonCompression = Literal["gzip", "zstd"]
CutBy = Literal["received_at", "occurred_at"]

FORMATS: Final[tuple[EventFormat, ...]] = get_args(EventFormat)
_DATASET_OF: Final = {form: dataset for dataset, form in EVENT_DATASETS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What decides the bytes of a segment's files, beside its rows."""

    formats: tuple[EventFormat, ...] = ("parquet",)
    row_group_rows: int = 32_768
    json_compression: JsonCompression = "gzip"
    promotions: tuple[Promotion, ...] = ()
    template: Template = DEFAULT_TEMPLATE
    cut_by: CutBy = "received_at"
    lateness: timedelta = timedelta(0)
    """Where rows are cut by `occurred_at`: how long before `received_at` it may lie."""

    @property
    def keys_tell_hours(self) -> bool:
        """Whether a file holds the rows of one hour of receipt, and its key says which."""
        return self.cut_by == "received_at" and "hour" in self.template

    @property
    def schema(self) -> pa.Schema:
        """The columns of a file: those of the contract, and behind them the promoted ones."""
        return pa.schema([*FILE_SCHEMA, *(p.field for p in self.promotions)], FILE_SCHEMA.metadata)

    def file_format(self, form: EventFormat) -> str:
        """What a file's name ends with."""
        if form == "json":
            return "json.gz" if self.json_compression == "gzip" else "json.zst"
        return "csv.gz" if form == "csv" else form


def parse_formats(text: str) -> tuple[EventFormat, ...]:
    """`parquet,csv` in the order of `FORMATS`; raises ValueError for anything else."""
    named = [name.strip() for name in text.split(",")]
    unknown = [name for name in named if name not in FORMATS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no format: {', '.join(FORMATS)}")
    if len(set(named)) != len(named):
        raise ValueError("a format stands there twice")
    return tuple(form for form in FORMATS if form in named)


def parse_template(text: str) -> Template:
    """`site_id/year/month/day`; raises ValueError for what no key can be built by."""
    template = tuple(name.strip() for name in text.strip("/").split("/"))
    problem = template_problem(template)
    if problem is not None:
        raise ValueError(problem)
    return template


def dataset_of(form: EventFormat) -> str:
    """The dataset that holds the events in a format."""
    return _DATASET_OF[form]


def formats_among(datasets: Iterable[str]) -> tuple[EventFormat, ...]:
    """The formats whose datasets are among some."""
    wanted = set(datasets)
    return tuple(form for form in FORMATS if dataset_of(form) in wanted)
