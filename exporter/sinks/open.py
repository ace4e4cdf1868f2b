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
            _open_side(settings, "client"),
            settings.client_prefix,
            events,
        ),
        Sink(
            "metering",
            _open_side(settings, "metering"),
            settings.metering_prefix or f"clients/{settings.client_id}",
            metering,
        ),
    ]


def open_bucket(
    address: str,
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
) -> Bucket:
    """A bucket by its name on S3, or a folder by `file:///a/folder`; nothing is asked of it yet."""
    if address.startswith("file:"):
        return DirectoryBucket(Path(unquote(urlsplit(address).path)))
    client = connect_s3(
        region=region,
        endpoint_url=endpoint_url,
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
    )
    return S3Bucket(client, address)


def _open_side(settings: ExporterSettings, side: str) -> Bucket:
    return open_bucket(
        getattr(settings, f"{side}_s3_bucket"),
        region=getattr(settings, f"{side}_s3_region"),
        endpoint_url=getattr(settings, f"{side}_s3_endpoint_url"),
        access_key_id=getattr(settings, f"{side}_s3_access_key_id"),
        secret_access_key=getattr(settings, f"{side}_s3_secret_access_key"),
    )
