"""Rows that wait on disk until there are enough of their partition for a row group."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, Self
from zlib import crc32

import pyarrow as pa

from core.keys import Partition

_CODEC: Final = pa.Codec("lz4")
_FIELDS: Final = 4  # of a piece: where it begins, its bytes there and uncompressed, a checksum


class Spill:
    """Pieces of partitions in one file without a name, each partition's in the order they came."""

    def __init__(self, file: IO[bytes]) -> None:
        """Takes over an empty file, open for reading and writing, and closes it in the end."""
        self._file = file
        self._end = 0
        self._schema: pa.Schema | None = None
        self._pieces: dict[Partition, array[int]] = {}

    @classmethod
    def below(cls, folder: Path) -> Self:
        """One whose file is in a folder, and goes with this process at the latest."""
        path = folder / "spilled.rows"
        file = path.open("w+b")
        path.unlink()
        return cls(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, partition: Partition, rows: pa.RecordBatch) -> None:
        """Add rows behind those of the partition that are here."""
        self._schema = rows.schema
        plain = rows.serialize()
        packed = _CODEC.compress(plain)
        self._file.seek(self._end)
        self._file.write(packed)
        self._pieces.setdefault(partition, array("q")).extend(
            (self._end, packed.size, plain.size, crc32(packed))
        )
        self._end += packed.size

    def take(self, partition: Partition) -> Iterator[pa.RecordBatch]:
        """A partition's rows, piece by piece; they are here no more.

        Raises OSError for what is not what was written.
        """
        pieces = self._pieces.pop(partition, array("q"))
        for start, size, plain_size, checksum in zip(*(iter(pieces),) * _FIELDS, strict=True):
            self._file.seek(start)
            packed = self._file.read(size)
            # As many rows as were written, and wrong ones: nothing that counts them would tell.
            if crc32(packed) != checksum:
                raise OSError("rows that waited in the staging folder have changed on its disk")
            data = _CODEC.decompress(packed, plain_size)
            yield pa.ipc.read_record_batch(data, self._schema)
