"""How the settings lay out the events in a sink."""

from __future__ import annotations

from exporter.layout import Layout, formats_among, parse_template
from exporter.promote import parse_promotions
from exporter.settings import ExporterSettings
from exporter.sinks.open import Sink


def layout_of(sink: Sink, settings: ExporterSettings) -> Layout:
    """The backup has no promoted columns: all that they say is in `properties`, to be promoted
    again when it is exported again."""
    return Layout(
        formats=formats_among(sink.datasets),
        row_group_rows=settings.row_group_rows,
        json_compression=settings.json_compression,
        promotions=parse_promotions(settings.promote) if sink.name == "client" else (),
        template=parse_template(settings.partition_template),
        cut_by=settings.partition_by,
        lateness=settings.lateness,
    )
