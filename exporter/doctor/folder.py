"""The same steps for a bucket that is a folder; what a folder has not is skipped."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Final, NoReturn

from exporter.doctor.check import Check, CheckFailed, CheckSkipped
from exporter.doctor.target import Target
from exporter.sinks.sink import SinkError

_BEFORE: Final = ("dns", "connect", "tls", "credentials", "region", "clock")
_REMEDY: Final = (
    "The folder must belong to the account that the exporter runs as, on a disk with room."
)


class FolderChecks:
    """Through the directory store that the exporter uses."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._bucket = target.sink.bucket
        self._body = secrets.token_hex(16).encode()

    def checks(self) -> list[Check]:
        """In the order of the steps for S3."""
        return [
            *(Check(name, _no_such_thing) for name in _BEFORE),
            Check("list", self.list_probe),
            Check("put", self.put_probe),
            Check("kms", _no_such_thing),
            Check("head", self.head_probe, needs=("put",)),
            Check("read-back", self.read_back, needs=("put",)),
            Check("conditional put", self.put_again_if_absent, needs=("put",)),
            Check("multipart abort", _no_such_thing),
            Check("denied: delete what was committed", _rights_of_a_folder),
            Check("denied: list outside of the prefix", _rights_of_a_folder),
            Check("denied: write outside of the prefix", _rights_of_a_folder),
            Check("denied: read without credentials", _rights_of_a_folder),
            Check("remove the probe", self.remove_probe, needs=("put",)),
        ]

    def list_probe(self) -> str:
        """Walk the folder of the probe."""
        with _translated():
            list(self._bucket.list_keys(f"{self._target.sink.prefix}/_sluice/probe/"))
        return f"keys below {self._target.sink.prefix}/ can be listed"

    def put_probe(self) -> str:
        """Write a file, and have it reach the disk."""
        with _translated():
            self._bucket.put(self._target.probe_key, self._body)
        return self._target.probe_key

    def head_probe(self) -> str:
        """Its size."""
        return f"{self._digest()[0]} bytes"

    def read_back(self) -> str:
        """Byte for byte."""
        size, digest = self._digest()
        if digest != sha256(self._body).hexdigest():
            raise CheckFailed("other bytes than were put", "Look at the disk: dmesg, smartctl.")
        return f"{size} bytes, as they were put"

    def put_again_if_absent(self) -> str:
        """A hard link, which fails where the name is taken."""
        with _translated(
            "The disk must know hard links: many network shares and FAT do not. Use another, or S3."
        ):
            is_replaced = self._bucket.put_if_absent(self._target.probe_key, b"another")
        if is_replaced:
            raise CheckFailed(
                "an object that was there has been replaced",
                "The disk does not keep its promises: use another, or S3.",
            )
        return "refused, as it should be"

    def remove_probe(self) -> str:
        """Leave nothing."""
        with _translated():
            self._bucket.delete(self._target.probe_key)
        return "removed"

    def _digest(self) -> tuple[int, str]:
        with _translated():
            found = self._bucket.read_back(self._target.probe_key)
        if found is None:
            raise CheckFailed("it is gone again", "Does anything clean the folder up?")
        return found.bytes, found.sha256


def _no_such_thing() -> NoReturn:
    raise CheckSkipped("a folder has none")


def _rights_of_a_folder() -> NoReturn:
    raise CheckSkipped("a folder has no policy: the system's accounts say who may what")


@contextmanager
def _translated(remedy: str = _REMEDY) -> Iterator[None]:
    try:
        yield
    except (SinkError, OSError) as exc:
        raise CheckFailed(str(exc), remedy) from exc
