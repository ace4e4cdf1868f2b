"""Say in a bucket what stands there: a README, each dataset's columns, DDL for each engine.

These objects describe and commit nothing, so they are overwritten whenever they would say
something else. They are put only below a prefix that is ours already: the first delivery claims
it (delivery.py). A crash in between leaves some of them; the next start puts the rest. What
describes a version of the schema stands under its number, and stays when another one comes.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.event import SCHEMA_VERSION
from core.keys import readme_key, schema_key
from core.manifest import Owner
from exporter.readme import write_readme
from exporter.schemas.datasets import describe_datasets
from exporter.schemas.ddl import ENGINES, file_name, write_ddl
from exporter.schemas.location import Location
from exporter.schemas.schema_object import write_schema
from exporter.settings import ExporterSettings
from exporter.sinks.layout import layout_of
from exporter.sinks.open import Sink
from exporter.sweep import is_ours


def location_of(sink: Sink, settings: ExporterSettings) -> Location:
    """Where a sink's bucket is."""
    return Location(
        getattr(settings, f"{sink.name}_s3_bucket"),
        sink.prefix,
        getattr(settings, f"{sink.name}_s3_region"),
        getattr(settings, f"{sink.name}_s3_endpoint_url"),
    )


def describe_bucket(sink: Sink, owner: Owner, settings: ExporterSettings) -> bool:
    """Put what is not there, or not as it should be; False while the prefix is not ours."""
    if not is_ours(sink, owner):
        return False
    for key, body in descriptions(sink, settings):
        if sink.bucket.get(key) != body:
            sink.bucket.put(key, body)
    return True


def descriptions(sink: Sink, settings: ExporterSettings) -> Iterator[tuple[str, bytes]]:
    """Each object's key and bytes; they say how this sink's events are laid out."""
    location = location_of(sink, settings)
    layout = layout_of(sink, settings)
    described = describe_datasets(layout.schema, template=layout.template, cut_by=layout.cut_by)
    datasets = [d for d in described.values() if d.name in sink.datasets]
    for dataset in datasets:
        yield (
            schema_key(sink.prefix, SCHEMA_VERSION, f"{dataset.name}.json"),
            write_schema(dataset),
        )
    in_parquet = [d for d in datasets if d.format == "parquet"]
    for engine in ENGINES:
        yield (
            schema_key(sink.prefix, SCHEMA_VERSION, file_name(engine)),
            write_ddl(engine, in_parquet, location).encode(),
        )
    yield readme_key(sink.prefix), write_readme(settings.client_id, datasets, location).encode()
