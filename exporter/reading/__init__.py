"""A bucket's other end: a verified copy in a folder, and DataFrames out of it.

from exporter.reading import pull, read_events

pull("acme-events", "data")
visits = read_events("data", site_id="shop.example", columns=["visitor_id", "received_at"])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from exporter.reading.problems import BucketDamaged, PullError
from exporter.reading.pull import Progress, Pulled, pull

if TYPE_CHECKING:
    from exporter.reading.frames import open_events, read_events, read_table

__all__ = [
    "BucketDamaged",
    "Progress",
    "PullError",
    "Pulled",
    "open_events",
    "pull",
    "read_events",
    "read_table",
]


def __getattr__(name: str) -> Any:
    """Frames when they are asked for: pandas takes 40 MB, and the exporter reads buckets, too."""
    if name in ("open_events", "read_events", "read_table"):
        return getattr(import_module("exporter.reading.frames"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
