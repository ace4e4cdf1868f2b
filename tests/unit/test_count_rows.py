from __future__ import annotations

import gzip
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.count_rows import MAX_FOOTER_BYTES, ParquetRows, row_counter


def a_file(tmp_path: Path, rows: int) -> bytes:
    path = tmp_path / "x.parquet"
    table = pa.table({"n": range(rows), "names": [["a", "b"]] * rows})
    pq.write_table(table, path, row_group_size=100)
    return path.read_bytes()


def count(body: bytes, piece: int = 1 << 20) -> int:
    counter = ParquetRows()
    for start in range(0, len(body), piece):
        counter.take(body[start : start + piece])
    return counter.rows()


@pytest.mark.parametrize("rows", [0, 1, 250])
def test_rows_are_those_of_the_footer_however_it_comes(tmp_path: Path, rows: int) -> None:
    body = a_file(tmp_path, rows)
    for piece in (1, 7, len(body)):
        assert count(body, piece) == rows


def test_of_a_large_file_only_the_end_is_kept(tmp_path: Path) -> None:
    body = b"x" * (2 * MAX_FOOTER_BYTES) + a_file(tmp_path, 250)
    assert count(body) == 250


@given(st.binary(max_size=64), st.integers(0, 2**32 - 1))
def test_what_is_no_parquet_has_no_rows(body: bytes, length: int) -> None:
    for content in (body, body + b"PAR1", body + length.to_bytes(4, "little") + b"PAR1"):
        with pytest.raises(ValueError, match="no Parquet footer"):
            count(content)


def test_a_footer_that_contradicts_itself_is_not_believed(tmp_path: Path) -> None:
    """The number of rows of the whole file, 250, stands there once as a zigzag varint."""
    body = a_file(tmp_path, 250)
    footer = body.rindex(b"PAR1") - 4 - int.from_bytes(body[-8:-4], "little")
    changed = body[:footer] + body[footer:].replace(b"\xf4\x03", b"\xf6\x03", 1)
    assert changed != body
    with pytest.raises(ValueError, match="contradicts itself"):
        count(changed)


def test_a_format_that_is_not_known_is_not_counted() -> None:
    assert row_counter("xlsx") is None


def pack(lines: bytes, form: str) -> bytes:
    return gzip.compress(lines) if form.endswith("gz") else zstd(lines)


def zstd(lines: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(lines)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    ("form", "lines"),
    [
        ("csv.gz", b'"event_id","url"\r\n"1","a\r\nb"\r\n"2","c"\r\n'),
        ("json.gz", b'{"event_id":"1"}\n{"event_id":"2"}\n'),
        ("json.zst", b'{"event_id":"1"}\n{"event_id":"2"}\n'),
    ],
)
def test_rows_of_text_are_those_of_its_reader(form: str, lines: bytes) -> None:
    for body, rows in ((pack(lines, form), 2), (pack(lines, form)[:-6], None), (b"x" * 99, None)):
        counter = row_counter(form)
        assert counter is not None
        with closing(counter):
            for start in range(0, len(body), 7):
                counter.take(body[start : start + 7])
            if rows is None:
                with pytest.raises(ValueError, match="no rows of"):
                    counter.rows()
            else:
                assert counter.rows() == rows
