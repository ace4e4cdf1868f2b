"""A bucket in a directory: for laptops, and for clients who mount their own storage."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from exporter.sinks.sink import ObjectDigest, SinkRefused, SinkUnavailable, digest_chunks

_CHUNK_BYTES = 1 << 20
# Wrong until somebody mends it; a full disk may empty itself.
_PERMANENT = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG})


class DirectoryBucket:
    """Objects are files below `root`. A new one appears under its name when it is complete."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put_file(self, key: str, path: Path, *, sha256: str) -> None:  # noqa: ARG002
        """Copy, flush to the disk, then rename into place."""
        with self._writing(key) as partial:
            shutil.copyfile(path, partial)
            _flush(partial)
            partial.replace(self._path(key))
            _flush(self._path(key).parent)

    def put(self, key: str, body: bytes) -> None:
        """Write beside it, then rename over it."""
        with self._writing(key) as partial:
            partial.write_bytes(body)
            _flush(partial)
            partial.replace(self._path(key))
            _flush(self._path(key).parent)

    def put_if_absent(self, key: str, body: bytes) -> bool:
        """A hard link fails when the name is taken: the directory's conditional put."""
        with self._writing(key) as partial:
            partial.write_bytes(body)
            _flush(partial)
            try:
                os.link(partial, self._path(key))
            except FileExistsError:
                return False
            _flush(self._path(key).parent)
            return True

    def get(self, key: str) -> bytes | None:
        """The file's bytes."""
        with _translated(key):
            try:
                return self._path(key).read_bytes()
            except FileNotFoundError:
                return None

    def read_back(
        self, key: str, hand_to: Callable[[bytes], object] | None = None
    ) -> ObjectDigest | None:
        """Digest the file."""
        chunks = self.read_chunks(key)
        return None if chunks is None else digest_chunks(chunks, hand_to)

    def read_chunks(self, key: str) -> Generator[bytes] | None:
        """Read the file as it is asked for."""
        with _translated(key):
            try:
                stream = self._path(key).open("rb")
            except FileNotFoundError:
                return None
        return _chunks_of(stream, key)

    def list_keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Walk the folder that the prefix names."""
        folder = self.root / prefix.rpartition("/")[0]
        keys = (p.relative_to(self.root).as_posix() for p in folder.rglob("*") if p.is_file())
        wanted = (k for k in keys if k.startswith(prefix) and k > after)
        yield from sorted(k for k in wanted if not _is_partial(k))

    def list_folders(self, prefix: str) -> Iterator[str]:
        """The folders in a folder."""
        with _translated(prefix):
            try:
                names = [p.name for p in self._path(prefix).iterdir() if p.is_dir()]
            except FileNotFoundError:
                names = []
        yield from sorted(names)

    def delete(self, key: str) -> None:
        """Remove the file."""
        with _translated(key):
            self._path(key).unlink(missing_ok=True)

    def abort_uploads(self, prefix: str, *, before: datetime) -> int:
        """Remove what a killed process had written, and not renamed yet."""
        removed = 0
        with _translated(prefix):
            for path in (self.root / prefix).rglob(".*.partial"):
                if path.stat().st_mtime < before.timestamp():
                    path.unlink(missing_ok=True)
                    removed += 1
        return removed

    def _path(self, key: str) -> Path:
        if key.startswith("/") or ".." in key.split("/"):
            raise SinkRefused("no key of a bucket: it leads out of the folder", key=key)
        return self.root / key

    def _make_folder(self, folder: Path) -> None:
        """Create a folder and those above it, each entry flushed to the disk."""
        if folder.exists():
            return
        self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _flush(folder.parent)

    @contextmanager
    def _writing(self, key: str) -> Iterator[Path]:
        """A name beside the object's, removed again whatever happens."""
        target = self._path(key)
        # A leading dot: readers of datasets pass over such files.
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
        with _translated(key):
            self._make_folder(target.parent)
            try:
                yield partial
            finally:
                partial.unlink(missing_ok=True)


def _chunks_of(stream: BinaryIO, key: str) -> Generator[bytes]:
    with _translated(key), stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk


def _is_partial(key: str) -> bool:
    name = key.rpartition("/")[2]
    return name.startswith(".") and name.endswith(".partial")


def _flush(path: Path) -> None:
    """Have a file's or a folder's content reach the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        reason = f"{exc.strerror or exc}"
        if exc.errno in _PERMANENT:
            raise SinkRefused(reason, key=key) from exc
        raise SinkUnavailable(reason, key=key) from exc
