"""Open the buckets that the settings name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from exporter.layout import dataset_of, parse_formats
from exporter.settings import ExporterSettings, parse_tags
from exporter.sinks.directory import DirectoryBucket
from exporter.sinks.s3 import ObjectOptions, S3Bucket, connect_s3
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
    # Sites are what is billed by: no visitor's data, and the vendor's in any mode.
    metering = frozenset({"usage", "sites"})
    if settings.metering_mode == "backup":
        metering |= _events_in(settings.metering_formats)
    return [
        Sink(
            "client",
            _open_side(settings, "client"),
            settings.client_prefix,
            _events_in(settings.client_formats),
        ),
        Sink(
            "metering",
            _open_side(settings, "metering"),
            settings.metering_prefix or f"clients/{settings.client_id}",
            metering,
        ),
    ]


def _events_in(formats: str) -> frozenset[str]:
    """The datasets that hold what visitors sent, and what is said of who they are."""
    others = {"identities", "failed", "sites", "replay", "replay_index"}
    return frozenset({*others, *map(dataset_of, parse_formats(formats))})


def open_bucket(
    address: str,
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    role_arn: str | None = None,
    external_id: str | None = None,
    options: ObjectOptions | None = None,
) -> Bucket:
    """A bucket by its name on S3, or a folder by `file:///a/folder`; nothing is asked of it yet."""
    if address.startswith("file:"):
        return DirectoryBucket(Path(unquote(urlsplit(address).path)))
    client = connect_s3(
        region=region,
        endpoint_url=endpoint_url,
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
        role_arn=role_arn,
        external_id=external_id,
    )
    return S3Bucket(client, address, options or ObjectOptions())


def _open_side(settings: ExporterSettings, side: str) -> Bucket:
    return open_bucket(
        getattr(settings, f"{side}_s3_bucket"),
        region=getattr(settings, f"{side}_s3_region"),
        endpoint_url=getattr(settings, f"{side}_s3_endpoint_url"),
        access_key_id=getattr(settings, f"{side}_s3_access_key_id"),
        secret_access_key=getattr(settings, f"{side}_s3_secret_access_key"),
        role_arn=getattr(settings, f"{side}_s3_role_arn"),
        external_id=getattr(settings, f"{side}_s3_external_id"),
        options=options_of(settings, side),
    )


def options_of(settings: ExporterSettings, side: str) -> ObjectOptions:
    """How one side's objects are stored."""
    return ObjectOptions(
        encryption=getattr(settings, f"{side}_s3_encryption"),
        kms_key_id=getattr(settings, f"{side}_s3_kms_key_id"),
        storage_class=getattr(settings, f"{side}_s3_storage_class"),
        tags=parse_tags(getattr(settings, f"{side}_s3_tags")),
    )
