"""Why a pull ends before its end; the messages are for people."""

from __future__ import annotations


class PullError(Exception):
    """The bucket or the folder cannot be used as it is; what was pulled before is kept."""


class BucketDamaged(PullError):
    """What stands in the bucket is not what its manifests say."""
