"""A bucket on S3, or on anything that speaks its protocol."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import boto3
import botocore.session
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.credentials import DeferredRefreshableCredentials, create_assume_role_refresher
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

from exporter.sinks.sink import ObjectDigest, SinkRefused, SinkUnavailable, digest_chunks

_PART_BYTES = 32 << 20
_CHUNK_BYTES = 1 << 20
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_TAKEN = frozenset({"PreconditionFailed", "412"})
NAMES_ALONE: Final = "A bucket is given by its name alone, a folder as file:///a/folder."
_PERMANENT = {
    "NoSuchBucket": "The bucket does not exist: create it, or correct its name.",
    "AccessDenied": "Access denied: compare the role's policy with docs/buckets.md.",
    "AllAccessDisabled": "The bucket's owner has disabled access to it.",
    "InvalidAccessKeyId": "The access key is unknown: replace it in the settings.",
    "SignatureDoesNotMatch": "The secret key does not fit the access key: replace both.",
    "KeyTooLongError": "The object's key is too long: shorten the prefix.",
    "ExpiredToken": "The credentials have expired: renew them.",
    "InvalidToken": "The session token is not valid: renew it.",
    "PermanentRedirect": "The bucket is in another region: set the right one.",
    "AuthorizationHeaderMalformed": "The bucket is in another region: set the right one.",
    "IllegalLocationConstraintException": "The bucket is in another region: set the right one.",
    "NotImplemented": "The server lacks what Sluice needs, such as conditional puts: take another.",
    "KMS.DisabledException": "The bucket's KMS key is disabled: enable it.",
    "KMS.NotFoundException": "The bucket's KMS key does not exist.",
    "KMS.AccessDeniedException": "The role may not use the bucket's KMS key: grant it.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectOptions:
    """How objects are stored; no ACL, ever: the bucket's policy says who may read."""

    encryption: str | None = None
    """AES256 or aws:kms; as the bucket does by itself when None."""
    kms_key_id: str | None = None
    storage_class: str | None = None
    """Of files. Small objects (manifests, receipts) are read often, and stay as they are."""
    tags: Mapping[str, str] = field(default_factory=dict)

    def arguments(self, *, is_file: bool) -> dict[str, str]:
        """For a put, in S3's words."""
        named = {
            "ServerSideEncryption": self.encryption,
            "SSEKMSKeyId": self.kms_key_id,
            "StorageClass": self.storage_class if is_file else None,
            "Tagging": urlencode(self.tags),
        }
        return {name: value for name, value in named.items() if value}


class S3Bucket:
    """Objects in one bucket."""

    def __init__(self, client: Any, bucket: str, options: ObjectOptions = ObjectOptions()) -> None:
        self._client = client
        self._bucket = bucket
        self._options = options
        self._transfer = TransferConfig(
            multipart_threshold=_PART_BYTES, multipart_chunksize=_PART_BYTES, max_concurrency=4
        )

    def put_file(self, key: str, path: Path, *, sha256: str) -> None:
        """Upload, in parts when it is large; S3 checks each part's checksum as it takes it in."""
        with _translated(key):
            self._client.upload_file(
                str(path),
                self._bucket,
                key,
                ExtraArgs={
                    "ChecksumAlgorithm": "SHA256",
                    "Metadata": {"sha256": sha256},
                    **self._options.arguments(is_file=True),
                },
                Config=self._transfer,
            )

    def put(self, key: str, body: bytes) -> None:
        """One request."""
        with _translated(key):
            self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ChecksumAlgorithm="SHA256",
                **self._options.arguments(is_file=False),
            )

    def put_if_absent(self, key: str, body: bytes) -> bool:
        """A conditional put: `If-None-Match: *`."""
        with _translated(key):
            try:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=body,
                    ChecksumAlgorithm="SHA256",
                    IfNoneMatch="*",
                    **self._options.arguments(is_file=False),
                )
            except ClientError as exc:
                if _code(exc) in _TAKEN:
                    return False
                raise
            return True

    def get(self, key: str) -> bytes | None:
        """The whole object."""
        with _translated(key):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=key)
            except ClientError as exc:
                if _code(exc) in _MISSING:
                    return None
                raise
            return bytes(answer["Body"].read())

    def read_back(
        self, key: str, hand_to: Callable[[bytes], object] | None = None
    ) -> ObjectDigest | None:
        """Download and digest: what S3 has, not what it says that it has."""
        chunks = self.read_chunks(key)
        return None if chunks is None else digest_chunks(chunks, hand_to)

    def read_chunks(self, key: str) -> Generator[bytes] | None:
        """One request, read as it is asked for; what is done with a piece raises as it does."""
        with _translated(key):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=key)
            except ClientError as exc:
                if _code(exc) in _MISSING:
                    return None
                raise
        return _chunks_of(answer["Body"], key)

    def list_keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Page through the listing."""
        with _translated(prefix):
            pages = self._client.get_paginator("list_objects_v2")
            begin = {"StartAfter": after} if after else {}
            for page in pages.paginate(Bucket=self._bucket, Prefix=prefix, **begin):
                for found in page.get("Contents", ()):
                    yield found["Key"]

    def list_folders(self, prefix: str) -> Iterator[str]:
        """S3 rolls up what has the same folder."""
        with _translated(prefix):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=f"{prefix}/", Delimiter="/"):
                for found in page.get("CommonPrefixes", ()):
                    yield found["Prefix"][len(prefix) + 1 : -1]

    def delete(self, key: str) -> None:
        """S3 does not mind when there is none."""
        with _translated(key):
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def abort_uploads(self, prefix: str, *, before: datetime) -> int:
        """Parts of uploads that were never finished are stored, and billed, until somebody does."""
        aborted = 0
        with _translated(prefix):
            pages = self._client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
                for upload in page.get("Uploads", ()):
                    if upload["Initiated"] < before:
                        self._client.abort_multipart_upload(
                            Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                        )
                        aborted += 1
        return aborted


def connect_s3(
    *,
    region: str | None,
    endpoint_url: str | None,
    access_key_id: str | None,
    secret_access_key: str | None,
    role_arn: str | None = None,
    external_id: str | None = None,
    connect_seconds: float = 10,
    read_seconds: float = 60,
    attempts: int = 3,
) -> Any:
    """A boto3 client with bounded waits; without keys, the machine's own role is used.

    With `role_arn` that role is taken first, and taken again before it expires. Proxies are those
    of the environment (`HTTPS_PROXY`), a bucket in another region is followed there.
    """
    session = boto3.Session(
        region_name=region,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
    )
    if role_arn is not None:
        session = _take_role(session, role_arn, external_id=external_id, endpoint_url=endpoint_url)
    return session.client(
        "s3",
        region_name=region,
        endpoint_url=endpoint_url,
        config=Config(
            connect_timeout=connect_seconds,
            read_timeout=read_seconds,
            retries={"mode": "standard", "max_attempts": attempts},
            max_pool_connections=8,
            # Bucket names in the host fail on most servers that are not Amazon's.
            s3={"addressing_style": "path" if endpoint_url else "auto"},
        ),
    )


def _take_role(
    session: boto3.Session, role_arn: str, *, external_id: str | None, endpoint_url: str | None
) -> boto3.Session:
    sts = session.client(
        "sts",
        # Where there is no region, any of Amazon's answers for all of them.
        region_name=session.region_name or "us-east-1",
        endpoint_url=endpoint_url,
        config=Config(connect_timeout=10, read_timeout=30),
    )
    wanted = {"RoleArn": role_arn, "RoleSessionName": "sluice-exporter"}
    if external_id is not None:
        wanted["ExternalId"] = external_id
    taken = DeferredRefreshableCredentials(
        method="assume-role", refresh_using=create_assume_role_refresher(sts, wanted)
    )
    as_role = botocore.session.get_session()
    as_role._credentials = taken
    return boto3.Session(botocore_session=as_role, region_name=session.region_name)


def remedy_for(code: str) -> str | None:
    """What to do about an error that waiting does not mend, by S3's name for it."""
    return _PERMANENT.get(code)


def _chunks_of(body: Any, key: str) -> Generator[bytes]:
    with _translated(key), closing(body):
        yield from body.iter_chunks(_CHUNK_BYTES)


def _code(exc: ClientError) -> str:
    return str(exc.response.get("Error", {}).get("Code", ""))


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as exc:
        _raise(exc, _code(exc), key)
    except S3UploadFailedError as exc:
        cause = exc.__context__
        _raise(exc, _code(cause) if isinstance(cause, ClientError) else "", key)
    except NoCredentialsError as exc:
        raise SinkRefused(
            "No credentials: give the machine a role, or set the access keys.", key=key
        ) from exc
    except ParamValidationError as exc:
        raise SinkRefused(f"S3 cannot be asked for that. {NAMES_ALONE} {exc}", key=key) from exc
    except (BotoCoreError, OSError) as exc:
        raise SinkUnavailable(f"{type(exc).__name__}: {exc}", key=key) from exc


def _raise(exc: Exception, code: str, key: str) -> None:
    if remedy := _PERMANENT.get(code):
        raise SinkRefused(f"{code}. {remedy}", key=key) from exc
    raise SinkUnavailable(str(exc), key=key) from exc
