"""The steps that try what must not be possible: what is denied has PASSED.

Each is made so that it leaves nothing behind where it is possible all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, Final

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from exporter.doctor.bucket import DENIED, asking
from exporter.doctor.check import Check, CheckFailed
from exporter.doctor.target import Target

_DENIED_PASSES: Final = "denied, as it should be"
_TIGHTEN: Final = "Take the right away: docs/buckets.md has the policy that is enough."


class DeniedChecks:
    """What the exporter's own rights, and everybody's, must not include."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._client = target.client
        self._bucket = target.address

    def checks(self) -> list[Check]:
        """All of them need a bucket that lets the exporter work: else anything is denied."""
        steps = {
            "denied: delete what was committed": self.delete_manifest,
            "denied: list outside of the prefix": self.list_outside,
            "denied: write outside of the prefix": self.write_outside,
            "denied: read without credentials": self.read_unsigned,
        }
        checks = [Check(name, act, needs=("put",)) for name, act in steps.items()]
        return [*checks, Check("remove the probe", self.remove_probe, needs=("put",))]

    def delete_manifest(self) -> str:
        """Delete a manifest of a name that none has: the right shows, and nothing is lost."""
        key = f"{self._target.sink.prefix}/_sluice/manifests/probe"
        return self._expect_denied(
            lambda: self._client.delete_object(Bucket=self._bucket, Key=key),
            "manifests can be deleted, by whoever gets hold of this machine",
        )

    def list_outside(self) -> str:
        """List the bucket from its first key on."""
        return self._expect_denied(
            lambda: self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1),
            f"keys outside of {self._target.sink.prefix}/ can be listed",
        )

    def write_outside(self) -> str:
        """Begin an upload in parts, which shows nowhere, and give it up."""
        place = {"Bucket": self._bucket, "Key": "sluice-probe-outside-of-the-prefix"}

        def write() -> None:
            begun = self._client.create_multipart_upload(**place)
            self._client.abort_multipart_upload(**place, UploadId=begun["UploadId"])

        return self._expect_denied(
            write, f"objects outside of {self._target.sink.prefix}/ can be written"
        )

    def read_unsigned(self) -> str:
        """Read the probe as anybody on the internet would."""
        used = self._client.meta.config
        anybody = boto3.Session().client(
            "s3",
            region_name=self._client.meta.region_name,
            endpoint_url=self._client.meta.endpoint_url,
            config=used.merge(Config(signature_version=UNSIGNED)),
        )
        return self._expect_denied(
            lambda: anybody.get_object(Bucket=self._bucket, Key=self._target.probe_key),
            "anybody can read the bucket, without any credentials",
            # What is encrypted by KMS is shown to nobody who does not sign.
            also={"InvalidArgument"},
            remedy="Block public access to the bucket, now: what stands in it is your visitors'.",
        )

    def remove_probe(self) -> str:
        """Leave nothing, where that is allowed."""
        names = (self._target.probe_key, f"{self._target.probe_key}-in-parts")
        try:
            with asking(passes=DENIED):
                for key in names:
                    self._client.delete_object(Bucket=self._bucket, Key=key)
        except ClientError:
            return f"{names[0]} stays, deleting is denied, as it should be; it is used again"
        return "removed"

    def _expect_denied(
        self,
        act: Callable[[], Any],
        allowed: str,
        *,
        also: Set[str] = frozenset(),
        remedy: str = _TIGHTEN,
    ) -> str:
        try:
            with asking(passes=DENIED | also):
                act()
        except ClientError:
            return _DENIED_PASSES
        raise CheckFailed(allowed, remedy)
