"""The steps that look into an S3 bucket, through the door that the exporter takes.

Everything is written below `{prefix}/_sluice/probe/`, under the same two names each time, and
removed again where that is allowed. What was delivered is neither read nor touched.
"""

from __future__ import annotations

import secrets
from collections.abc import Container, Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from core.clock import Clock, utc_now
from exporter.doctor.check import Check, CheckFailed, CheckSkipped
from exporter.doctor.target import Target
from exporter.sinks.s3 import NAMES_ALONE, remedy_for

MAX_SKEW: Final = timedelta(minutes=5)
"""S3 refuses a request at 15 minutes."""

DENIED: Final = frozenset({"AccessDenied", "403", "Forbidden", "AllAccessDisabled", "401"})
_TAKEN: Final = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
_SKEWED: Final = "Set the machine's clock, and have it kept: timedatectl set-ntp true."
_UNKNOWN: Final = "The server's answer says what it minds; docs/buckets.md says what is needed."


class BucketChecks:
    """What the steps share: the client, and what earlier steps have found."""

    def __init__(self, target: Target, *, clock: Clock = utc_now) -> None:
        self._target = target
        self._client = target.client
        self._clock = clock
        self._bucket = target.address
        self._body = secrets.token_hex(16).encode()
        self._skew: timedelta | None = None
        self._head: dict[str, Any] = {}
        self._put_error = ""
        self._client.meta.events.register("after-call.s3", self._note_date)

    def checks(self) -> list[Check]:
        """In the order in which one needs another."""
        return [
            Check("credentials", self.find_credentials),
            Check("region", self.compare_region, needs=("connect", "tls", "credentials")),
            Check("clock", self.compare_clock, needs=("connect", "tls", "credentials")),
            Check("list", self.list_probe, needs=("region",)),
            Check("put", self.put_probe, needs=("region",)),
            Check("kms", self.look_for_kms, needs=("region",)),
            Check("head", self.head_probe, needs=("put",)),
            Check("read-back", self.read_back, needs=("put",)),
            Check("conditional put", self.put_again_if_absent, needs=("put",)),
            Check("multipart abort", self.abort_multipart, needs=("put",)),
        ]

    def find_credentials(self) -> str:
        """Find some; a role is taken here. Whether they are good shows with the first request."""
        credentials = self._client._request_signer._credentials
        setting = self._target.setting
        if credentials is None:
            raise CheckFailed(
                "there are none",
                f"Give the machine a role, or set {setting}_ACCESS_KEY_ID and"
                f" {setting}_SECRET_ACCESS_KEY.",
            )
        with asking(
            remedy=f"Compare {setting}_ROLE_ARN, {setting}_EXTERNAL_ID and the"
            " role's trust with docs/buckets.md."
        ):
            frozen = credentials.get_frozen_credentials()
        return f"{credentials.method}, …{frozen.access_key[-4:]}"

    def compare_region(self) -> str:
        """Ask the bucket where it is; it tells even those whom it shows nothing else."""
        try:
            with asking(passes=("403", "400", "301")):
                answer = self._client.head_bucket(Bucket=self._bucket)
        except ClientError as exc:
            answer = exc.response
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        actual = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
        ours = self._client.meta.region_name
        if actual is None and status == 301:
            raise CheckFailed(
                "the bucket is in another region, and does not say in which",
                f"Set {self._target.setting}_REGION to the bucket's.",
            )
        if actual is None:
            raise CheckSkipped("the server does not name the bucket's region")
        if ours in (None, "aws-global"):
            return f"{actual}; the settings name none, and the bucket is asked for it"
        if actual != ours:
            raise CheckFailed(
                f"the bucket is in {actual}, the settings say {ours}",
                f"Set {self._target.setting}_REGION={actual}.",
            )
        return str(actual)

    def compare_clock(self) -> str:
        """Compare with the time on the bucket's last answer."""
        if self._skew is None:
            raise CheckSkipped("the server's answers carry no time")
        seconds = self._skew.total_seconds()
        if abs(self._skew) > MAX_SKEW:
            way = "behind" if seconds > 0 else "ahead"
            raise CheckFailed(
                f"this machine's clock is {abs(seconds):.0f} s {way} of the bucket's", _SKEWED
            )
        return f"{abs(seconds):.0f} s apart"

    def list_probe(self) -> str:
        """Listing tells an object that is missing from one that is forbidden."""
        prefix = f"{self._target.sink.prefix}/_sluice/probe/"
        with asking():
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=1)
        return f"keys below {self._target.sink.prefix}/ can be listed"

    def put_probe(self) -> str:
        """As manifests are put: with checksum, encryption and tags."""
        try:
            with asking():
                self._client.put_object(**self._put())
        except CheckFailed as exc:
            self._put_error = exc.seen
            raise
        return self._target.probe_key

    def head_probe(self) -> str:
        """What the bucket says that it has."""
        with asking():
            self._head = self._client.head_object(Bucket=self._bucket, Key=self._target.probe_key)
        size = self._head["ContentLength"]
        if size != len(self._body):
            raise CheckFailed(
                f"{size} bytes where {len(self._body)} were put",
                "Something between here and the bucket changes objects: look at proxies.",
            )
        return f"{size} bytes, encryption {self._head.get('ServerSideEncryption', 'not named')}"

    def look_for_kms(self) -> str:
        """Whether the key that is asked for was used."""
        options = self._target.options
        if "KMS" in self._put_error.partition(":")[0].upper():
            raise CheckFailed(self._put_error, _KMS_REMEDY)
        if options.encryption != "aws:kms":
            raise CheckSkipped(f"{self._target.setting}_ENCRYPTION does not ask for it")
        if self._put_error:
            raise CheckSkipped("needs put, which failed")
        with asking(remedy=_KMS_REMEDY):
            head = self._client.head_object(Bucket=self._bucket, Key=self._target.probe_key)
        used = str(head.get("SSEKMSKeyId", "none"))
        wanted = options.kms_key_id
        if head.get("ServerSideEncryption") != "aws:kms" or not _is_key(used, wanted):
            raise CheckFailed(
                f"encrypted with {head.get('ServerSideEncryption', 'nothing')}, key {used}",
                f"Does the server know KMS? Compare {self._target.setting}_KMS_KEY_ID.",
            )
        return f"encrypted with {used}"

    def read_back(self) -> str:
        """Byte for byte, as every object is read before its manifest is written."""
        with asking():
            answer = self._client.get_object(Bucket=self._bucket, Key=self._target.probe_key)
            body = answer["Body"].read()
        if body != self._body:
            raise CheckFailed(
                "other bytes than were put",
                "The bucket, or something on the way to it, answers with what was there before:"
                " look at caches and at the server's promise of consistency.",
            )
        return f"{len(body)} bytes, as they were put"

    def put_again_if_absent(self) -> str:
        """The commit of a delivery: an object that is there must not be replaced."""
        try:
            with asking(
                passes=_TAKEN,
                remedy="The server does not know `If-None-Match: *`. Use one that does: without it"
                " a delivery cannot be committed exactly once.",
            ):
                self._client.put_object(**self._put(), IfNoneMatch="*")
        except ClientError:
            return "refused, as it should be"
        raise CheckFailed(
            "an object that was there has been replaced",
            "The server pays no heed to `If-None-Match: *`. Use one that does (Amazon S3, R2, a"
            " newer MinIO): without it a delivery cannot be committed exactly once.",
        )

    def abort_multipart(self) -> str:
        """Begin an upload in parts, and give it up."""
        place = {"Bucket": self._bucket, "Key": f"{self._target.probe_key}-in-parts"}
        with asking():
            begun = self._client.create_multipart_upload(
                **place,
                ChecksumAlgorithm="SHA256",
                **self._target.options.arguments(is_file=True),
            )
            part = place | {"UploadId": begun["UploadId"], "PartNumber": 1, "Body": self._body}
            self._client.upload_part(**part, ChecksumAlgorithm="SHA256")
        with asking(
            remedy="Allow s3:AbortMultipartUpload (docs/buckets.md): what an interrupted upload"
            " leaves is stored, and billed, until it is given up."
        ):
            self._client.abort_multipart_upload(**place, UploadId=begun["UploadId"])
        return "an upload in parts was begun and given up"

    def _put(self) -> dict[str, Any]:
        return {
            "Bucket": self._bucket,
            "Key": self._target.probe_key,
            "Body": self._body,
            "ChecksumAlgorithm": "SHA256",
            **self._target.options.arguments(is_file=False),
        }

    def _note_date(self, http_response: Any, **_: Any) -> None:
        date = http_response.headers.get("date")
        if date is not None:
            told = parsedate_to_datetime(date)
            self._skew = told.astimezone(UTC) - self._clock()


_KMS_REMEDY: Final = (
    "Allow kms:GenerateDataKey and kms:Decrypt on the key, and see that it is enabled and in the"
    " bucket's region."
)
_REMEDIES: Final[dict[str, str]] = {
    "RequestTimeTooSkewed": _SKEWED,
    "404": "The bucket does not exist: create it, or correct its name.",
    "403": "Access denied: compare the role's policy with docs/buckets.md.",
    "InvalidStorageClass": "The server has no such storage class: change …_STORAGE_CLASS.",
    "NotImplemented": "The server does not know this request: is it one that speaks all of S3?",
}


@contextmanager
def asking(*, passes: Container[str] = (), remedy: str = "") -> Iterator[None]:
    """Turn what boto3 raises into what was seen and what to do.

    An error whose code is in `passes` is raised as it is; `remedy` is for what has no better.
    """
    try:
        yield
    except ClientError as exc:
        error = exc.response.get("Error", {})
        code = str(error.get("Code", ""))
        if code in passes:
            raise
        raise CheckFailed(
            f"{code}: {error.get('Message') or 'without a word'}",
            _REMEDIES.get(code) or remedy_for(code) or remedy or _UNKNOWN,
        ) from exc
    except ParamValidationError as exc:
        raise CheckFailed(
            str(exc), f"Correct the bucket's name in the settings. {NAMES_ALONE}"
        ) from exc
    except (BotoCoreError, OSError) as exc:
        raise CheckFailed(
            f"{type(exc).__name__}: {exc}",
            remedy or "The server does not answer as it should: look at the steps above.",
        ) from exc


def _is_key(used: str, wanted: str | None) -> bool:
    """An id, an alias or an ARN, as the settings may name it."""
    return wanted is None or used.endswith(wanted.rpartition("/")[2]) or "alias/" in wanted
