from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.keys import (
    DEFAULT_TEMPLATE,
    DayKey,
    IdentitiesKey,
    ObjectKey,
    Partition,
    RecordingKey,
    UsageKey,
    day_key,
    identities_key,
    manifest_key,
    parse_day_key,
    parse_identities_key,
    parse_object_key,
    parse_recording_key,
    parse_usage_key,
    recording_key,
    template_problem,
    type_of_folder,
    watermark_key,
)

SITES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60
)
FIRST, LAST = datetime(2000, 1, 1), datetime(2999, 1, 1)  # noqa: DTZ001 - hypothesis adds the zone
HOURS = st.datetimes(FIRST, LAST, timezones=st.just(UTC)).map(
    lambda moment: moment.replace(minute=0, second=0, microsecond=0)
)
TEMPLATES = st.sets(st.sampled_from(["hour", "type"])).flatmap(
    lambda more: st.permutations(["site_id", "time", *more - {"hour"}]).map(
        lambda names: tuple(
            part
            for name in names
            for part in (("year", "month", "day", *more & {"hour"}) if name == "time" else (name,))
        )
    )
)


@st.composite
def object_keys(draw: st.DrawFn) -> ObjectKey:
    template = draw(TEMPLATES)
    hour = draw(HOURS)
    return ObjectKey(
        dataset=draw(st.sampled_from(["events", "events_csv", "failed"])),
        partition=Partition(
            site_id=draw(SITES),
            hour=hour if "hour" in template else hour.replace(hour=0),
            type=type_of_folder(draw(SITES)) if "type" in template else "",
        ),
        segment_id=draw(st.integers(1, 10**15)),
        part=draw(st.integers(0, 10**6)),
        format=draw(st.sampled_from(["parquet", "csv.gz", "json.gz"])),
        template=template,
    )


KEYS = object_keys()
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
    assert built.count("/") == 2 + len(key.template)
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


def test_a_template_lays_out_the_folders() -> None:
    template = ("type", "site_id", "year", "month", "day")
    partition = Partition("shop.example", datetime(2026, 11, 21, tzinfo=UTC), "page view")
    key = ObjectKey("events", partition, 7, 0, "parquet", template).under("analytics")
    assert key == (
        "analytics/events/type=page%20view/site_id=shop.example/year=2026/month=11/day=21"
        "/000000000007-0000.parquet"
    )
    assert parse_object_key(key) == ObjectKey("events", partition, 7, 0, "parquet", template)


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("site_id/year/month/day/hour", None),
        ("year/month/day/site_id/type", None),
        ("site_id/year/month/hour", "day is missing"),
        ("year/month/day", "site_id is missing"),
        ("site_id/day/month/year", "a year comes before"),
        ("site_id/site_id/year/month/day", "twice"),
        ("site_id/year/month/day/visitor_id", "'visitor_id' is no part of a key"),
        ("", "'' is no part of a key"),
    ],
)
def test_a_template_is_checked(template: str, problem: str | None) -> None:
    found = template_problem(tuple(template.split("/")))
    assert (found is None) if problem is None else (problem in (found or ""))


@given(SITES | st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
@example("__HIVE_DEFAULT_PARTITION__")
def test_every_type_has_a_folder_that_is_short_enough(event_type: str) -> None:
    folder = type_of_folder(event_type)
    assert folder in (event_type, "(other)")
    assert folder != "__HIVE_DEFAULT_PARTITION__"
    template = (*DEFAULT_TEMPLATE, "type")
    longest = Partition("s" * 200, datetime(2026, 1, 1, tzinfo=UTC), folder)
    assert len(ObjectKey("events_json", longest, 1, 0, "json.gz", template).under("p")) < 500


@pytest.mark.parametrize("wrong", ["month=9", "month=٠٩", "year=02026", "day=32", "day="])
def test_a_key_that_we_would_not_build_is_no_object(wrong: str) -> None:
    name = wrong.partition("=")[0]
    key = a_key("s").under("p")
    folder = next(part for part in key.split("/") if part.startswith(f"{name}="))
    assert parse_object_key(key.replace(folder, wrong)) is None


RECORDINGS = st.builds(
    recording_key,
    SITES,
    st.from_regex(r"[A-Za-z0-9_.~-]{1,64}", fullmatch=True),
    HOURS,
    st.integers(1, 10**12 - 1),
)


@given(key=RECORDINGS, prefix=PREFIXES)
def test_a_recordings_key_survives_the_round_trip(key: RecordingKey, prefix: str) -> None:
    whole = key.under(prefix)
    assert parse_recording_key(whole) == key
    assert parse_object_key(whole) is None
    assert parse_day_key(whole) is None
    assert parse_recording_key(whole + "x/y") is None
    assert len(whole.removeprefix(prefix).encode()) <= 1_024


def test_a_recordings_key_is_as_the_docs_have_it() -> None:
    opened_at = datetime(2026, 11, 21, 10, 5, tzinfo=UTC)
    key = recording_key("b/c", "s-1", opened_at, 12).under("analytics")
    assert key == (
        "analytics/replay/site_id=b%2Fc/year=2026/month=11/day=21/session_id=s-1"
        "/000000000012-0000.ndjson.gz"
    )
    for broken in (key.replace("b%2Fc", "b/c"), key.replace("day=21", "day=32"), key + "\n"):
        assert parse_recording_key(broken) is None
