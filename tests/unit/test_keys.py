from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import example, given
from hypothesis import strategies as st

from core.keys import (
    DayKey,
    IdentitiesKey,
    ObjectKey,
    Partition,
    UsageKey,
    day_key,
    identities_key,
    manifest_key,
    parse_day_key,
    parse_identities_key,
    parse_object_key,
    parse_usage_key,
    watermark_key,
)

SITES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60
)
FIRST, LAST = datetime(2000, 1, 1), datetime(2999, 1, 1)  # noqa: DTZ001 - hypothesis adds the zone
HOURS = st.datetimes(FIRST, LAST, timezones=st.just(UTC)).map(
    lambda moment: moment.replace(minute=0, second=0, microsecond=0)
)
KEYS = st.builds(
    ObjectKey,
    dataset=st.sampled_from(["events", "events_csv", "failed"]),
    partition=st.builds(Partition, site_id=SITES, hour=HOURS),
    segment_id=st.integers(1, 10**15),
    part=st.integers(0, 10**6),
    format=st.sampled_from(["parquet", "csv.gz", "json.gz"]),
)
PREFIXES = st.sampled_from(["analytics", "clients/demo", "a/site_id=x/year=2020"])


def a_key(site_id: str) -> ObjectKey:
    return ObjectKey(
        "events", Partition(site_id, datetime(2026, 11, 21, 9, tzinfo=UTC)), 7, 0, "parquet"
    )


def test_the_layout_is_hive_style() -> None:
    assert a_key("shop.example").under("analytics") == (
        "analytics/events/site_id=shop.example/year=2026/month=11/day=21/hour=09"
        "/000000000007-0000.parquet"
    )


@given(key=KEYS, prefix=PREFIXES)
@example(key=a_key("../../etc/passwd"), prefix="analytics")
@example(key=a_key("a/b=c%2F d\n"), prefix="analytics")
@example(key=a_key("пример.рф"), prefix="analytics")
@example(key=a_key("."), prefix="analytics")
def test_a_key_is_read_back_as_it_was_built(key: ObjectKey, prefix: str) -> None:
    assert parse_object_key(key.under(prefix)) == key


@given(key=KEYS)
def test_a_site_is_always_one_folder(key: ObjectKey) -> None:
    built = key.under("analytics")
    assert built.isascii()
    assert built.count("/") == 7
    assert ".." not in built.split("/")


@given(one=KEYS, other=KEYS)
def test_different_objects_have_different_keys(one: ObjectKey, other: ObjectKey) -> None:
    assert (one.under("p") == other.under("p")) == (one == other)


def test_hours_are_cut_in_utc() -> None:
    zurich = timezone(timedelta(hours=1))
    hour = datetime(2026, 1, 1, 0, tzinfo=zurich)
    key = ObjectKey("events", Partition("s", hour), 1, 0, "parquet").under("p")
    assert "/year=2025/month=12/day=31/hour=23/" in key
    assert "/year=2025/month=12/day=31/" in UsageKey(hour, 1).under("p")


@given(st.text(max_size=80))
@example(manifest_key("analytics", 1))
@example(watermark_key("analytics"))
@example(UsageKey(datetime(2026, 1, 1, tzinfo=UTC), 1).under("analytics"))
def test_no_other_key_is_taken_for_an_object(key: str) -> None:
    assert parse_object_key(key) is None


def test_an_impossible_hour_is_no_object() -> None:
    key = a_key("s").under("p")
    assert parse_object_key(key.replace("hour=09", "hour=25")) is None


@given(st.lists(st.integers(1, 10**12 - 1), min_size=2, max_size=5))
def test_manifests_list_in_the_order_of_their_segments(numbers: list[int]) -> None:
    keys = [manifest_key("p", n) for n in numbers]
    assert sorted(keys) == [manifest_key("p", n) for n in sorted(numbers)]


DAYS = HOURS.map(lambda moment: moment.replace(hour=0))
IDENTITIES = st.builds(
    IdentitiesKey, day=DAYS, segment_id=st.integers(1, 10**15), part=st.integers(0, 10**6)
)


@given(key=IDENTITIES, prefix=PREFIXES)
def test_a_key_of_identities_is_read_back_as_it_was_built(key: IdentitiesKey, prefix: str) -> None:
    assert parse_identities_key(key.under(prefix)) == key
    assert parse_object_key(key.under(prefix)) is None


def test_identities_stand_under_the_day_on_which_their_segment_was_opened() -> None:
    opened_at = datetime(2026, 11, 22, 0, 30, tzinfo=timezone(timedelta(hours=2)))
    key = identities_key(opened_at, 7).under("analytics")
    assert key == "analytics/identities/year=2026/month=11/day=21/000000000007-0000.parquet"
    for other in ("", key + "/x", key.replace("day=21", "day=99"), key.replace("/identities", "")):
        assert parse_identities_key(other) is None


DAY_KEYS = st.builds(
    DayKey,
    dataset=st.sampled_from(["failed", "sites"]),
    day=DAYS,
    segment_id=st.integers(1, 10**15),
    part=st.integers(0, 10**6),
)


@given(key=DAY_KEYS, prefix=PREFIXES)
def test_a_key_of_failed_or_sites_is_read_back_as_it_was_built(key: DayKey, prefix: str) -> None:
    built = key.under(prefix)
    assert parse_day_key(built) == key
    for parse in (parse_object_key, parse_identities_key, parse_usage_key):
        assert parse(built) is None
    for other in (built + "/x", built.replace(f"/{key.dataset}/", "/others/")):
        assert parse_day_key(other) is None


def test_failed_and_sites_stand_under_the_day_on_which_their_segment_was_opened() -> None:
    opened_at = datetime(2026, 11, 22, 0, 30, tzinfo=timezone(timedelta(hours=2)))
    key = day_key("failed", opened_at, 7).under("analytics")
    assert key == "analytics/failed/year=2026/month=11/day=21/000000000007-0000.parquet"
    assert parse_day_key(key.replace("day=21", "day=99")) is None


USAGE = st.builds(UsageKey, day=DAYS, segment_id=st.integers(1, 10**15))


@given(key=USAGE, prefix=PREFIXES)
def test_a_key_of_usage_is_read_back_as_it_was_built(key: UsageKey, prefix: str) -> None:
    assert parse_usage_key(key.under(prefix)) == key
    assert parse_object_key(key.under(prefix)) is None
    for other in (key.under(prefix) + "/x", key.under(prefix).replace("/usage", "")):
        assert parse_usage_key(other) is None
