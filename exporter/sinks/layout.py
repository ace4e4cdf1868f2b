"""How the settings lay out the events in a sink."""

from __future__ import annotations

from dataclasses import replace

from exporter.layout import Layout, formats_among, parse_template
from exporter.promote import parse_promotions
from exporter.settings import ExporterSettings
from exporter.sinks.open import Sink


def layout_of(sink: Sink, settings: ExporterSettings) -> Layout:
    """The client's bucket is laid out as the client wishes; the backup plainly, always.

    It has no promoted columns: all that they say is in `properties`, to be promoted again when it
    is exported again.
    """
    plain = Layout(
        formats=formats_among(sink.datasets),
        row_group_rows=settings.row_group_rows,
        json_compression=settings.json_compression,
    )
    if sink.name != "client":
        return plain
    return replace(
        plain,
        promotions=parse_promotions(settings.promote),
        template=parse_template(settings.partition_template),
        cut_by=settings.partition_by,
        lateness=settings.lateness,
    )
