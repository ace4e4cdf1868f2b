"""`sluice schema`: ready DDL for an engine."""

from __future__ import annotations

import argparse

from core.keys import DEFAULT_TEMPLATE
from exporter.layout import Layout, parse_template
from exporter.promote import parse_promotions
from exporter.schemas.datasets import describe_datasets, parquet_datasets
from exporter.schemas.ddl import ENGINES, write_ddl
from exporter.schemas.location import Location


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("--engine", required=True, choices=ENGINES)
    parser.add_argument(
        "--bucket", required=True, help="the bucket's name, or file:///a/folder; it is not asked"
    )
    parser.add_argument("--prefix", default="analytics", help="clients/CLIENT_ID for the vendor's")
    parser.add_argument("--region")
    parser.add_argument("--endpoint-url", help="for MinIO, R2 and the like")
    parser.add_argument("--promote", help="promoted columns, as in the stack's PROMOTE")
    parser.add_argument(
        "--template",
        default="/".join(DEFAULT_TEMPLATE),
        help="folders of the events, as in the stack's PARTITION_TEMPLATE",
    )
    parser.add_argument(
        "--dataset",
        action="append",
        choices=[d.name for d in describe_datasets().values() if d.format == "parquet"],
        help="can be given more than once; all that a client's bucket has when absent",
    )


def run(arguments: argparse.Namespace) -> str | None:
    """Print it; says what PROMOTE or PARTITION_TEMPLATE would not take."""
    try:
        print_schema(arguments)
    except ValueError as exc:
        return str(exc)
    return None


def print_schema(arguments: argparse.Namespace) -> None:
    """Print it; raises ValueError for what PROMOTE or PARTITION_TEMPLATE would not take."""
    layout = Layout(promotions=parse_promotions(arguments.promote))
    datasets = parquet_datasets(
        arguments.dataset,
        event_schema=layout.schema,
        template=parse_template(arguments.template),
    )
    location = Location(
        arguments.bucket, arguments.prefix.strip("/"), arguments.region, arguments.endpoint_url
    )
    print(write_ddl(arguments.engine, datasets, location), end="")
