"""The exporter's settings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from core.keys import DEFAULT_TEMPLATE
from core.settings import setting
from exporter.alerts.settings import AlertSettings, alert_problems
from exporter.layout import CutBy, JsonCompression, parse_formats, parse_template
from exporter.promote import parse_promotions
from exporter.schedule import Schedule

_TAG_NAME = re.compile(r"[\w +\-.:/@]{1,128}")
_TAG_VALUE = re.compile(r"[\w +\-=.:/@]{0,256}")

Encryption = Literal["AES256", "aws:kms"]
StorageClass = Literal["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"]
"""Those that are read at once: an export reads back what it wrote."""


@dataclass(frozen=True, kw_only=True)
class ExporterSettings(AlertSettings):
    """What the exporter reads. A bucket is an S3 bucket's name, or `file:///a/folder`."""

    export_interval: Schedule = setting(
        "When segments are sealed and delivered: an interval, aligned to the clock, or five fields "
        "of cron in UTC.",
        default=Schedule.parse("1h"),
    )
    target_object_bytes: int = setting(
        "Size of an object at which a segment is sealed before its time.",
        default=200_000_000,
        at_least=1_000,
    )
    segment_max_rows: int = setting(
        "Rows after which a segment is sealed before its time.", default=2_000_000, at_least=1
    )
    buffer_retention: timedelta = setting(
        "How long an exported segment stays in the buffer.", default=timedelta(hours=6), at_least=0
    )
    dedup_window: timedelta = setting(
        "How long an event's id is remembered, to drop a repeat.",
        default=timedelta(hours=72),
        at_least=0,
    )
    dead_letter_retention: timedelta = setting(
        "How long a refused event is kept, to be looked into and replayed.",
        default=timedelta(days=30),
        at_least=0,
    )
    max_dead_letters: int = setting(
        "Refused events that are kept; of more the oldest go.", default=100_000, at_least=0
    )
    row_group_rows: int = setting("Rows in a Parquet row group.", default=32_768, at_least=1_000)
    json_compression: JsonCompression = setting(
        "How JSON files are compressed: gzip or zstd.", default="gzip"
    )
    partition_template: str = setting(
        "Folders of the events: site_id, year, month, day, and at will hour and type.",
        default="/".join(DEFAULT_TEMPLATE),
    )
    partition_by: CutBy = setting(
        "Which time the folders are of: received_at or occurred_at.", default="received_at"
    )
    lateness: timedelta = setting(
        "Cut by occurred_at, an event that came later than this goes by received_at.",
        default=timedelta(hours=72),
        at_least=0,
    )
    warn_files_per_day: int = setting(
        "Files a day from which on the log warns that the partitions are too small.",
        default=10_000,
        at_least=1,
    )
    promote: str | None = setting(
        "Properties that become columns: properties.price:double,properties.plan:string as plan.",
        default=None,
    )
    signing_key_dir: Path = setting(
        "Folder of the keys that sign receipts; the first is made at the first start. Back it up.",
        default=Path("keys"),
    )
    retry_first: timedelta = setting(
        "Wait after a delivery's first failure; doubled with each, up to RETRY_LONGEST.",
        default=timedelta(seconds=30),
        at_least=1,
    )
    retry_longest: timedelta = setting(
        "The longest wait between two attempts.", default=timedelta(minutes=2), at_least=1
    )
    probe_interval: timedelta = setting(
        "How often a sink that has stopped is tried again.",
        default=timedelta(minutes=5),
        at_least=1,
    )
    staging_dir: Path | None = setting(
        "Folder for files on their way; the system's temporary folder when empty.", default=None
    )
    client_s3_bucket: str = setting("The client's bucket: a name, or file:///a/folder.")
    client_prefix: str = setting("Keys in the client's bucket begin with it.", default="analytics")
    client_s3_region: str | None = setting("Its region.", default=None)
    client_s3_endpoint_url: str | None = setting("For MinIO, R2 and the like.", default=None)
    client_s3_access_key_id: str | None = setting(
        "Empty: the machine's own role.", default=None, secret=True
    )
    client_s3_secret_access_key: str | None = setting("Its secret.", default=None, secret=True)
    client_s3_role_arn: str | None = setting(
        "A role to take before anything is written, with the keys or the machine's own.",
        default=None,
    )
    client_s3_external_id: str | None = setting(
        "What the role's owner asks for, so that nobody else can have us take it.", default=None
    )
    client_s3_encryption: Encryption | None = setting(
        "How objects are encrypted; as the bucket does by itself when empty.", default=None
    )
    client_s3_kms_key_id: str | None = setting(
        "The key for aws:kms; the account's own when empty.", default=None
    )
    client_s3_storage_class: StorageClass | None = setting(
        "Of datasets; STANDARD when empty, as manifests and receipts always are.", default=None
    )
    client_s3_tags: str | None = setting(
        "Tags of every object: team=data,env=production.", default=None
    )
    client_formats: str = setting(
        "In which formats the events go there: parquet, csv, json, or several with commas between.",
        default="parquet",
    )
    metering_s3_bucket: str = setting("The vendor's bucket: a name, or file:///a/folder.")
    metering_prefix: str | None = setting(
        "Keys in the vendor's bucket begin with it; clients/<CLIENT_ID> when empty.", default=None
    )
    metering_s3_region: str | None = setting("Its region.", default=None)
    metering_s3_endpoint_url: str | None = setting("For MinIO, R2 and the like.", default=None)
    metering_s3_access_key_id: str | None = setting(
        "Empty: the machine's own role.", default=None, secret=True
    )
    metering_s3_secret_access_key: str | None = setting("Its secret.", default=None, secret=True)
    metering_s3_role_arn: str | None = setting(
        "A role to take before anything is written, with the keys or the machine's own.",
        default=None,
    )
    metering_s3_external_id: str | None = setting(
        "What the role's owner asks for, so that nobody else can have us take it.", default=None
    )
    metering_s3_encryption: Encryption | None = setting(
        "How objects are encrypted; as the bucket does by itself when empty.", default=None
    )
    metering_s3_kms_key_id: str | None = setting(
        "The key for aws:kms; the account's own when empty.", default=None
    )
    metering_s3_storage_class: StorageClass | None = setting(
        "Of datasets; STANDARD when empty, as manifests and receipts always are.", default=None
    )
    metering_s3_tags: str | None = setting(
        "Tags of every object: team=data,env=production.", default=None
    )
    metering_mode: Literal["usage", "backup"] = setting(
        "backup also copies the events to the vendor's bucket.", default="backup"
    )
    metering_formats: str = setting(
        "In which formats the backup is kept; parquet has to be one.", default="parquet"
    )

    def __post_init__(self) -> None:
        """Raises ValueError for settings that contradict each other."""
        problems = alert_problems(self)
        for side in ("client", "metering"):
            key = getattr(self, f"{side}_s3_access_key_id")
            secret = getattr(self, f"{side}_s3_secret_access_key")
            if bool(key) != bool(secret):
                problems.append(
                    f"{side.upper()}_S3_ACCESS_KEY_ID and {side.upper()}_S3_SECRET_ACCESS_KEY "
                    "go together: set both, or neither for the machine's own role."
                )
            if getattr(self, f"{side}_prefix") and not _is_prefix(getattr(self, f"{side}_prefix")):
                problems.append(
                    f"{side.upper()}_PREFIX must be path segments of letters, digits, - and _."
                )
            upper = side.upper()
            if getattr(self, f"{side}_s3_external_id") and not getattr(self, f"{side}_s3_role_arn"):
                problems.append(f"{upper}_S3_EXTERNAL_ID is for {upper}_S3_ROLE_ARN: set both.")
            if (
                getattr(self, f"{side}_s3_kms_key_id")
                and getattr(self, f"{side}_s3_encryption") != "aws:kms"
            ):
                problems.append(f"{upper}_S3_KMS_KEY_ID is for {upper}_S3_ENCRYPTION=aws:kms.")
            try:
                parse_tags(getattr(self, f"{side}_s3_tags"))
            except ValueError as exc:
                problems.append(f"{upper}_S3_TAGS: {exc}")
            try:
                formats = parse_formats(getattr(self, f"{side}_formats"))
            except ValueError as exc:
                problems.append(f"{upper}_FORMATS: {exc}")
            else:
                if side == "metering" and "parquet" not in formats:
                    problems.append(
                        "METERING_FORMATS has to name parquet: what is exported again is read"
                        " from there."
                    )
            address = getattr(self, f"{side}_s3_bucket")
            if address.startswith("file:") and not address.startswith("file:///"):
                problems.append(
                    f"{side.upper()}_S3_BUCKET={address}: a folder is written file:///a/folder."
                )
        try:
            parse_template(self.partition_template)
        except ValueError as exc:
            problems.append(f"PARTITION_TEMPLATE: {exc}")
        try:
            parse_promotions(self.promote)
        except ValueError as exc:
            problems.append(f"PROMOTE: {exc}")
        if self.client_s3_bucket and (
            self.client_s3_bucket.rstrip("/") == self.metering_s3_bucket.rstrip("/")
        ):
            problems.append("CLIENT_S3_BUCKET and METERING_S3_BUCKET must be two buckets.")
        if problems:
            raise ValueError("\n".join(problems))


def parse_tags(text: str | None) -> dict[str, str]:
    """`a=1,b=2` by name; raises ValueError for anything that S3 takes for no tags."""
    tags: dict[str, str] = {}
    for tag in (text or "").split(",") if text else ():
        name, equals, value = (part.strip() for part in tag.partition("="))
        if not (equals and _TAG_NAME.fullmatch(name) and _TAG_VALUE.fullmatch(value)):
            raise ValueError(f"{tag!r} is no tag: letters, digits, spaces and + - = . _ : / @")
        if name in tags:
            raise ValueError(f"{name!r} stands there twice")
        tags[name] = value
    if len(tags) > 10:
        raise ValueError("S3 takes ten tags at most")
    return tags


def _is_prefix(value: str) -> bool:
    return all(
        part and part.replace("-", "a").replace("_", "a").isalnum() for part in value.split("/")
    )
