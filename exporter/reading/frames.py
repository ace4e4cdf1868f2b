"""DataFrames and tables out of a pulled folder, with the types of the contract."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

from core.keys import EVENT_DATASETS, partition_values
from exporter.arrow_schema import IDENTITIES_SCHEMA, ROW_SCHEMA, USAGE_SCHEMA
from exporter.reading.problems import PullError
from exporter.reading.state import PulledObject, reading_state

_SITE: Final = pa.schema([pa.field("site_id", pa.string())])
_KNOWN: Final = {"events": ROW_SCHEMA, "identities": IDENTITIES_SCHEMA, "usage": USAGE_SCHEMA}
_TIME: Final = "received_at"
# Arrow's nulls would turn whole numbers into floats, and truth values into objects.
_PANDAS_TYPES: Final = {
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}


def read_events(
    folder: Path | str,
    *,
    site_id: str | Iterable[str] | None = None,
    from_: datetime | None = None,
    to: datetime | None = None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Events received in [from, to), a row each.

    Whole numbers and truth values are pandas' nullable ones, texts `str`, times in UTC to the
    microsecond. `columns` saves memory. Raises PullError.
    """
    table = read_table(folder, site_id=site_id, from_=from_, to=to, columns=columns)
    return to_pandas(table)


def read_table(
    folder: Path | str,
    *,
    dataset: str = "events",
    site_id: str | Iterable[str] | None = None,
    from_: datetime | None = None,
    to: datetime | None = None,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """`read_events` as an Arrow table, of any dataset.

    Where a dataset has no `received_at`, the window is that of the segments. Raises PullError.
    """
    found = open_events(folder, dataset=dataset, site_id=site_id, from_=from_, to=to)
    return found.to_table(columns=list(columns) if columns is not None else None)


def open_events(
    folder: Path | str,
    *,
    dataset: str = "events",
    site_id: str | Iterable[str] | None = None,
    from_: datetime | None = None,
    to: datetime | None = None,
) -> ds.Dataset:
    """The same as an Arrow dataset, of which nothing is read yet: for what memory cannot hold.

    `to_batches()` gives it in pieces; DuckDB and Polars query it. Columns that older files lack
    are null there. Raises PullError.
    """
    folder = Path(folder)
    if EVENT_DATASETS.get(dataset, "parquet") != "parquet" or dataset == "replay":
        raise PullError(f"{dataset} is no Parquet: docs/formats.md says what reads it.")
    sites = {site_id} if isinstance(site_id, str) else None if site_id is None else set(site_id)
    with reading_state(folder) as state:
        files = [
            found
            for found in state.objects(dataset, from_=from_, to=to)
            if sites is None or partition_values(found.path).get("site_id") in (None, *sites)
        ]
    _check_there(folder, files)
    schema = _KNOWN.get(dataset, pa.schema([]))
    if not files:
        return ds.dataset(schema.empty_table())
    factory = ds.FileSystemDatasetFactory(
        fs.LocalFileSystem(),
        [(folder.absolute() / found.path).as_posix() for found in files],
        ds.ParquetFileFormat(),
        ds.FileSystemFactoryOptions(
            partition_base_dir=folder.absolute().as_posix(),
            partitioning=ds.partitioning(_SITE, flavor="hive"),
        ),
    )
    inspected = factory.inspect(promote_options="permissive")
    opened = factory.finish(_in_order(inspected, schema))
    condition = _rows(opened, sites, from_, to)
    return opened if condition is None else opened.filter(condition)


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """A table as pandas has it, with nulls that leave the types as they are."""
    return table.to_pandas(types_mapper=_PANDAS_TYPES.get)


def _rows(
    opened: ds.Dataset, sites: set[str] | None, from_: datetime | None, to: datetime | None
) -> ds.Expression | None:
    conditions = []
    if sites is not None and "site_id" in opened.schema.names:
        conditions.append(ds.field("site_id").isin(sorted(sites)))
    if _TIME in opened.schema.names:
        kind = opened.schema.field(_TIME).type
        if from_ is not None:
            conditions.append(ds.field(_TIME) >= pa.scalar(from_, kind))
        if to is not None:
            conditions.append(ds.field(_TIME) < pa.scalar(to, kind))
    if not conditions:
        return None
    whole = conditions[0]
    for condition in conditions[1:]:
        whole = whole & condition
    return whole


def _in_order(inspected: pa.Schema, known: pa.Schema) -> pa.Schema:
    """The contract's columns first, in its order, then what else the files have."""
    more = [field for field in inspected if field.name not in known.names]
    named = [f if f.name not in inspected.names else inspected.field(f.name) for f in known]
    return pa.schema([*named, *more]).remove_metadata()


def _check_there(folder: Path, files: list[PulledObject]) -> None:
    gone = [f.path for f in files if not (folder / f.path).is_file()]
    if gone:
        raise PullError(
            f"{len(gone)} of {len(files)} files were taken out of the folder, {gone[0]} first."
            " Pull into a new folder."
        )
