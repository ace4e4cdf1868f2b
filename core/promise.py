"""How old an event may become before it stands in the buckets: one definition for all who ask."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

# A sealed segment needs some time to be delivered; the promise is the interval and this much.
DELIVERY_ALLOWANCE: Final = timedelta(minutes=2)


def promised_age(config: Mapping[str, Any]) -> timedelta | None:
    """By what the exporter says of its settings; None when it does not say."""
    seconds = config.get("export_interval_seconds")
    return timedelta(seconds=float(seconds)) + DELIVERY_ALLOWANCE if seconds else None


EXPORTER_SILENCE: Final = timedelta(seconds=30)
"""After this long without its heartbeat, the exporter is taken to be gone."""
