"""Ready DDL for an engine, derived from the datasets' columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, get_args

from exporter.schemas import athena, bigquery, clickhouse, duckdb, glue, snowflake, spark
from exporter.schemas.dataset import Dataset
from exporter.schemas.location import Location

Engine = Literal["athena", "glue", "snowflake", "bigquery", "clickhouse", "duckdb", "spark"]
ENGINES: Final[tuple[Engine, ...]] = get_args(Engine)

_TABLES: Final[dict[Engine, Callable[[Dataset, Location], str]]] = {
    "athena": athena.write_table,
    "snowflake": snowflake.write_table,
    "bigquery": bigquery.write_table,
    "clickhouse": clickhouse.write_view,
    "duckdb": duckdb.write_view,
    "spark": spark.write_table,
}
_HEADS: Final[dict[Engine, Callable[[Location], str]]] = {
    "athena": athena.write_head,
    "snowflake": snowflake.write_head,
    "duckdb": duckdb.write_head,
    "spark": spark.write_head,
}
_ENCODED: Final = (
    "-- site_id is percent-encoded as in the key (`b%2Fc` for `b/c`): a name of letters, digits, . "
    "_ - ~\n-- stands there as it is.\n"
)
_NOTES: Final[dict[Engine, str]] = {
    "athena": "-- Each query of events names a site and a time, WHERE site_id = '…' AND year = …"
    " AND month = …:\n-- Athena works the folders out from them.\n" + _ENCODED,
    "snowflake": _ENCODED,
    "bigquery": _ENCODED,
    "spark": "-- Spark decodes a site_id byte by byte: of one with letters beyond ASCII take\n"
    "-- decode(encode(site_id, 'ISO-8859-1'), 'UTF-8').\n",
}


def file_name(engine: Engine) -> str:
    """What an engine's DDL is called in a bucket."""
    return f"{engine}.json" if engine == "glue" else f"{engine}.sql"


def write_ddl(engine: Engine, datasets: Sequence[Dataset], location: Location) -> str:
    """Everything that an engine has to be told to read these datasets."""
    if engine == "glue":
        return glue.write_tables(datasets, location)
    head = [_HEADS[engine](location)] if engine in _HEADS else []
    parts = [
        f"-- Sluice's datasets for {engine}: derived, do not edit.\n" + _NOTES.get(engine, ""),
        *filter(None, head),
        *(f"-- {d.meaning}\n{_TABLES[engine](d, location)}" for d in datasets),
    ]
    return "\n".join(parts)
