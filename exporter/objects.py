"""Put a file into a bucket, and hold what the bucket has then against what was written."""

from __future__ import annotations

from core.manifest import DeliveredObject
from exporter.count_rows import ParquetRows
from exporter.encode import EncodedFile
from exporter.sinks.open import Sink
from exporter.sinks.sink import SinkError


class VerificationFailed(SinkError):
    """What was read back is not what was written; it is written again."""


def put_verified(sink: Sink, file: EncodedFile) -> DeliveredObject:
    """Upload a file, and read it back; safe to run twice. Raises SinkError."""
    key = file.key.under(sink.prefix)
    sink.bucket.put_file(key, file.path, sha256=file.sha256)
    delivered = DeliveredObject(
        dataset=file.key.dataset,
        key=key,
        format=file.key.format,
        rows=file.rows,
        bytes=file.bytes,
        sha256=file.sha256,
    )
    verify_object(sink, delivered)
    return delivered


def verify_object(sink: Sink, expected: DeliveredObject) -> None:
    """Raise VerificationFailed unless the bucket has what was written, to the byte.

    Its schema is that too, then. Rows of a Parquet file are those that its own end counts: a
    manifest that a retry adopts might say anything. Those of text would have to be unpacked again.
    """
    counter = ParquetRows() if expected.format == "parquet" else None
    found = sink.bucket.read_back(expected.key, counter.take if counter else None)
    if found is None:
        raise VerificationFailed("it is not there", key=expected.key)
    if (found.bytes, found.sha256) != (expected.bytes, expected.sha256):
        raise VerificationFailed(
            f"it was read back as {found.bytes} bytes, {found.sha256[:12]}…, and written as"
            f" {expected.bytes} bytes, {expected.sha256[:12]}…",
            key=expected.key,
        )
    if counter is not None and (rows := counter.rows()) != expected.rows:
        raise VerificationFailed(f"it holds {rows} rows, not {expected.rows}", key=expected.key)
