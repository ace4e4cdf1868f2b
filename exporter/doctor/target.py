"""A sink as its examination sees it: the same address, keys and options, and shorter waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

from exporter.settings import ExporterSettings
from exporter.sinks.open import Sink, open_sinks, options_of
from exporter.sinks.s3 import ObjectOptions, connect_s3

SinkName = Literal["client", "metering"]

_CONNECT_SECONDS = 5
_READ_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Target:
    """What the steps need of a sink."""

    sink: Sink
    address: str
    """A bucket's name, or file:///a/folder."""
    client: Any
    """boto3's; None for a folder."""
    options: ObjectOptions
    setting: str
    """What the names of its settings begin with: CLIENT_S3."""

    @property
    def probe_key(self) -> str:
        """Where test objects stand: always the same, so that they do not multiply."""
        return f"{self.sink.prefix}/_sluice/probe/object"


def targets_of(settings: ExporterSettings) -> list[Target]:
    """Both sinks; raises ValueError or BotoCoreError for an address that is none."""
    return [_target(settings, sink) for sink in open_sinks(settings)]


def _target(settings: ExporterSettings, sink: Sink) -> Target:
    side = cast(SinkName, sink.name)
    address: str = getattr(settings, f"{side}_s3_bucket")

    def of(name: str) -> Any:
        return getattr(settings, f"{side}_s3_{name}")

    client = None
    if not address.startswith("file:"):
        client = connect_s3(
            region=of("region"),
            endpoint_url=of("endpoint_url"),
            access_key_id=of("access_key_id"),
            secret_access_key=of("secret_access_key"),
            role_arn=of("role_arn"),
            external_id=of("external_id"),
            connect_seconds=_CONNECT_SECONDS,
            read_seconds=_READ_SECONDS,
            attempts=1,
        )
    return Target(
        sink=sink,
        address=address,
        client=client,
        options=options_of(settings, side),
        setting=f"{side.upper()}_S3",
    )
