"""The pure parts of the exporter: conservation, schedule, retries, manifests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.keys import ObjectKey, Partition
from core.manifest import (
    Counts,
    DeliveredObject,
    Manifest,
    Watermark,
    Window,
    decode_manifest,
    encode_json,
)
from database.deliveries import HourCount
from exporter.backoff import retry_after
from exporter.delivery import ConservationBroken, check_conservation
from exporter.encode import EncodedFile
from exporter.schedule import Schedule
from tests.unit.rows import HOUR


def counted(outcome: str, events: int, *, site: str = "a", hours: int = 0) -> HourCount:
    return HourCount(site, HOUR + timedelta(hours=hours), "click", outcome, events, 0)


def a_file(
    rows: int, *, site: str = "a", hours: int = 0, part: int = 0, dataset: str = "events"
) -> EncodedFile:
    key = ObjectKey(dataset, Partition(site, HOUR + timedelta(hours=hours)), 1, part, "parquet")
    return EncodedFile(key, Path("x"), rows, 1, "")


def test_accepted_less_duplicates_is_what_must_be_written() -> None:
    check_conservation(
        [
            counted("accepted", 5),
            counted("duplicate", 2),
            counted("invalid_event", 9),
            counted("accepted", 4, site="b"),
            counted("accepted", 1, hours=1),
            counted("accepted", 1, hours=2),
            counted("duplicate", 1, hours=2),
        ],
        [a_file(2), a_file(1, part=1), a_file(4, site="b"), a_file(1, hours=1)],
    )
    check_conservation([], [])


@pytest.mark.parametrize(
    ("ledger", "files"),
    [
        ([counted("accepted", 5)], [a_file(4)]),
        ([counted("accepted", 5)], [a_file(6)]),
        ([counted("accepted", 5)], []),
        ([], [a_file(1)]),
        ([counted("accepted", 5)], [a_file(5, site="b")]),
        ([counted("accepted", 5)], [a_file(5, hours=1)]),
        # The total is right, the hours are not.
        (
            [counted("accepted", 5), counted("accepted", 5, hours=1)],
            [a_file(4), a_file(6, hours=1)],
        ),
        ([counted("accepted", 5), counted("duplicate", 6)], []),
    ],
)
def test_rows_that_do_not_add_up_are_noticed(
    ledger: list[HourCount], files: list[EncodedFile]
) -> None:
    with pytest.raises(ConservationBroken, match="do not add up"):
        check_conservation(ledger, files)


def test_each_format_must_have_every_row() -> None:
    ledger = [counted("accepted", 5)]
    both = [a_file(5), a_file(3, dataset="events_csv"), a_file(2, dataset="events_csv", part=1)]
    check_conservation(ledger, both, formats=("parquet", "csv"))
    for missing in (both[:1], both[1:], both[:2]):
        with pytest.raises(ConservationBroken, match="do not add up"):
            check_conservation(ledger, missing, formats=("parquet", "csv"))


FIRST, LAST = datetime(2001, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001 - hypothesis adds the zone
MOMENTS = st.datetimes(FIRST, LAST, timezones=st.just(UTC))


@given(MOMENTS, st.integers(1, 200_000).map(lambda s: timedelta(seconds=s)))
def test_a_segment_is_due_at_the_next_multiple_of_the_interval(
    opened_at: datetime, interval: timedelta
) -> None:
    due = Schedule("", interval=interval).next_after(opened_at)
    assert opened_at < due <= opened_at + interval
    assert (due - datetime(1970, 1, 1, tzinfo=UTC)) % interval == timedelta(0)


def test_hourly_segments_are_whole_hours() -> None:
    hourly = Schedule.parse("1h")
    assert hourly.next_after(HOUR) == HOUR + timedelta(hours=1)
    assert hourly.next_after(HOUR + timedelta(minutes=59)) == HOUR + timedelta(hours=1)


@given(st.integers(0, 10**9))
def test_retries_wait_longer_and_longer_but_never_for_ever(attempts: int) -> None:
    first, longest = timedelta(seconds=30), timedelta(minutes=2)
    seconds = retry_after(attempts, first=first, longest=longest).total_seconds()
    expected = min(30 * 2 ** min(attempts, 16), 120)
    assert 0.75 * expected <= seconds <= 1.25 * expected


def a_manifest(**different: object) -> Manifest:
    return msgspec.structs.replace(
        Manifest(
            client_id="demo", sink="client", segment_id=7,
            window=Window(HOUR, HOUR + timedelta(hours=1)),
            counts=Counts(6, 5, 1, 2, 3, {"invalid_event": 1}),
            objects=[DeliveredObject("events", "k", "parquet", 3, 100, "ab")],
            schema_version=1, previous=None, written_by="test",
        ),
        **different,
    )  # fmt: skip


def test_a_manifest_is_read_back_as_it_was_written() -> None:
    body = encode_json(a_manifest())
    assert decode_manifest(body) == a_manifest()
    assert body == encode_json(decode_manifest(body))
    assert b'"format": "sluice-manifest/1"' in body
    assert b'"opened_at": "2026-11-21T10:00:00Z"' in body


def test_a_field_that_a_later_version_adds_is_no_obstacle() -> None:
    body = msgspec.json.decode(encode_json(a_manifest())) | {"added_later": 1}
    assert decode_manifest(msgspec.json.encode(body)) == a_manifest()


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"format": "sluice-manifest/2"}', b"\xff"])
def test_what_is_no_manifest_is_not_taken_for_one(body: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        decode_manifest(body)


def test_a_watermark_is_plain_json() -> None:
    assert msgspec.json.decode(encode_json(Watermark(HOUR, 7, "k"))) == {
        "watermark": "2026-11-21T10:00:00Z", "segment_id": 7, "manifest": "k",
    }  # fmt: skip
