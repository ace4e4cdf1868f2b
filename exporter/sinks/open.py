"""Open the buckets that the settings name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from exporter.settings import ExporterSettings
from exporter.sinks.directory import DirectoryBucket
from exporter.sinks.s3 import S3Bucket, connect_s3
from exporter.sinks.sink import Bucket


@dataclass(frozen=True, slots=True)
class Sink:
    """A bucket to deliver to, and what goes there."""

    name: str
    bucket: Bucket
    prefix: str
    datasets: frozenset[str]


def open_sinks(settings: ExporterSettings) -> list[Sink]:
    """The client's sink and the vendor's; nothing is asked of either yet."""
    events = frozenset({"events", "identities"})
    metering = frozenset({"usage"}) | (events if settings.metering_mode == "backup" else set())
    return [
        Sink(
            "client",
            _open_bucket(settings, "client"),
            settings.client_prefix,
            events,
        ),
        Sink(
            "metering",
            _open_bucket(settings, "metering"),
            settings.metering_prefix or f"clients/{settings.client_id}",
            metering,
        ),
    ]


def _open_bucket(settings: ExporterSettings, side: str) -> Bucket:
    address: str = getattr(settings, f"{side}_s3_bucket")
    if address.startswith("file:"):
        return DirectoryBucket(Path(unquote(urlsplit(address).path)))
    client = connect_s3(
        region=getattr(settings, f"{side}_s3_region"),
        endpoint_url=getattr(settings, f"{side}_s3_endpoint_url"),
        access_key_id=getattr(settings, f"{side}_s3_access_key_id"),
        secret_access_key=getattr(settings, f"{side}_s3_secret_access_key"),
    )
    return S3Bucket(client, address)
