"""A bucket's other end: a verified copy in a folder, and DataFrames out of it.

from exporter.reading import pull, read_events

pull("acme-events", "data")
visits = read_events("data", site_id="shop.example", columns=["visitor_id", "received_at"])
"""

from exporter.reading.frames import open_events, read_events, read_table
from exporter.reading.problems import BucketDamaged, PullError
from exporter.reading.pull import Progress, Pulled, pull

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
