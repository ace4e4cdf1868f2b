"""Warn of partitions that are too small, before a reader has to open a hundred thousand files."""

from __future__ import annotations

import logging

from sqlalchemy import Connection

from database.file_counts import FileCount, count_files
from exporter.layout import parse_formats, parse_template
from exporter.settings import ExporterSettings

log = logging.getLogger("sluice.exporter")

_FEWEST_HOURS = 1.0  # of less a day cannot be told


def watch_files(connection: Connection, settings: ExporterSettings) -> int | None:
    """The files that PARTITION_TEMPLATE makes of the last day in the client's bucket; warns if
    they are too many. None while too little is known."""
    template = parse_template(settings.partition_template)
    formats = len(parse_formats(settings.client_formats))
    counted = count_files(connection, has_hour="hour" in template, has_type="type" in template)
    files = files_a_day(counted, formats=formats)
    if files is not None and files >= settings.warn_files_per_day:
        log.warning(
            "the partitions are too small: leave out hour or type in PARTITION_TEMPLATE, or raise"
            " EXPORT_INTERVAL",
            extra={
                "template": "/".join(template),
                "files_per_day": files,
                "events_per_file": counted.events // max(counted.files, 1),
                "counted_hours": round(counted.hours, 1),
            },
        )
    return files


def files_a_day(counted: FileCount, *, formats: int) -> int | None:
    """As many as it would be in a day at the rate of the hours that were counted."""
    if counted.hours < _FEWEST_HOURS:
        return None
    return round(counted.files * formats * 24 / min(counted.hours, 24))
