from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.session_entries import mark_entries
from tests.unit.rows import HOUR, a_row, row_batch, split_at


def uuid7(at: datetime, number: int = 1) -> str:
    milliseconds = round(at.timestamp() * 1000)
    value = milliseconds << 80 | 0x7 << 76 | 0x2 << 62 | number
    return str(uuid.UUID(int=value))


def an_event_of(session: str | None, after_ms: float | None, **different: Any) -> dict[str, Any]:
    """A row, so long after the hour by the browser's clock; the server's is an hour ahead."""
    device = None if after_ms is None else HOUR + timedelta(milliseconds=after_ms)
    return a_row(
        session_id=session, device_occurred_at=device, occurred_at=HOUR + timedelta(hours=1),
        path=f"/{after_ms}",
    ) | different  # fmt: skip


def marked(
    rows: list[dict[str, Any]], *, cuts: Iterable[int] = (), max_sessions: int = 100
) -> list[tuple[bool | None, str | None]]:
    """(is_entry, session_entry_path) of each row."""
    batches = split_at(row_batch(*rows), list(cuts))
    return [
        (row["is_entry"], row["session_entry_path"])
        for batch in mark_entries(batches, max_sessions=max_sessions)
        for row in batch.to_pylist()
    ]


BEGUN = uuid7(HOUR)


def test_the_event_that_is_as_old_as_its_session_began_it() -> None:
    rows = [an_event_of(BEGUN, ms) for ms in (-2, 2_000, 40_000)]
    assert marked(rows) == [(True, "/-2"), (False, "/-2"), (False, "/-2")]


def test_of_several_at_once_the_first_began_it() -> None:
    rows = [an_event_of(BEGUN, ms) for ms in (0, 0, 1, 250)]
    assert [is_entry for is_entry, _ in marked(rows)] == [True, False, False, False]
    assert marked(rows, cuts=[1, 2]) == marked(rows)


def test_a_session_that_began_in_an_earlier_segment_has_no_entry_here() -> None:
    assert marked([an_event_of(BEGUN, 60_000), an_event_of(BEGUN, 90_000)]) == [(False, None)] * 2


def test_what_came_before_the_entry_has_no_path() -> None:
    late = [an_event_of(BEGUN, 5_000), an_event_of(BEGUN, 0), an_event_of(BEGUN, 9_000)]
    assert marked(late) == [(False, None), (True, "/0"), (False, "/0")]


@pytest.mark.parametrize(
    "session",
    [
        None,
        "s-1",
        "",
        "x" * 36,
        str(uuid.UUID(int=7, version=4)),
        BEGUN.replace("-", "_"),
        "ü" * 18,
    ],
)
def test_an_id_that_tells_no_time_tells_nothing(session: str | None) -> None:
    assert marked([an_event_of(session, 0)]) == [(None, None)]
    assert marked([an_event_of(BEGUN, 0), an_event_of(session, 0)])[1] == (None, None)


def test_an_event_without_a_time_of_its_own_tells_only_where_its_session_began() -> None:
    assert marked([an_event_of(BEGUN, None)]) == [(None, None)]
    assert marked([an_event_of(BEGUN, 0), an_event_of(BEGUN, None)])[1] == (None, "/0")


def test_an_event_from_before_its_session_tells_of_a_clock_that_was_set_back() -> None:
    assert marked([an_event_of(BEGUN, -60_000)]) == [(None, None)]


def test_sites_and_capitals() -> None:
    rows = [
        an_event_of(BEGUN, 0, site_id="a", path="/a"),
        an_event_of(BEGUN, 0, site_id="b", path="/b"),
        an_event_of(BEGUN, 900, site_id="a"),
    ]
    assert marked(rows) == [(True, "/a"), (True, "/b"), (False, "/a")]
    assert marked([an_event_of(uuid7(HOUR, 0xABC).upper(), 0)]) == [(True, "/0")]


def test_an_entry_may_have_no_path_and_a_long_one_is_cut() -> None:
    assert marked([an_event_of(BEGUN, 0, path=None)]) == [(True, None)]
    assert marked([an_event_of(BEGUN, 0, path="/" * 900)]) == [(True, "/" * 500)]


def test_beyond_the_limit_the_oldest_are_forgotten_and_nothing_is_made_up() -> None:
    sessions = [uuid7(HOUR + timedelta(milliseconds=1_000 * n), n + 1) for n in range(3)]
    rows = [an_event_of(session, 1_000 * n) for n, session in enumerate(sessions)]
    again = [an_event_of(session, 5_000, path="/later") for session in sessions]
    # The first one's second event within its first moments, once it is forgotten.
    again.append(an_event_of(sessions[0], 100))
    assert marked(rows + again, max_sessions=2) == [
        (True, "/0"), (True, "/1000"), (True, "/2000"),
        (False, None), (False, "/1000"), (False, "/2000"),
        (None, None),
    ]  # fmt: skip


_ROWS = st.builds(
    lambda session, after_ms, site: an_event_of(
        None if session is None else uuid7(HOUR + timedelta(milliseconds=300 * session), session),
        after_ms,
        site_id=site,
    ),
    st.none() | st.integers(1, 6),
    st.none() | st.integers(-1, 8).map(lambda n: n * 300),
    st.sampled_from(["a", "a", "b"]),
)


@given(st.lists(_ROWS, max_size=25), st.lists(st.integers(0, 25), max_size=5), st.integers(1, 4))
def test_it_is_what_reading_row_by_row_gives_in_whatever_batches(
    rows: list[dict[str, Any]], cuts: list[int], limit: int
) -> None:
    assert marked(rows, cuts=cuts, max_sessions=limit) == list(row_by_row(rows, limit))


def row_by_row(rows: list[dict[str, Any]], limit: int) -> Iterable[tuple[bool | None, str | None]]:
    paths: dict[tuple[str, str], str] = {}
    forgotten_until = -1
    for row in rows:
        session, device = row["session_id"], row["device_occurred_at"]
        if session is None:
            yield None, None
            continue
        key = (session, row["site_id"])
        begun = uuid.UUID(session).int >> 80
        is_entry: bool | None = None
        if device is not None:
            age = round(device.timestamp() * 1000) - begun
            if age > 250:
                is_entry = False
            elif age >= -250:
                is_entry = False if key in paths else None if begun <= forgotten_until else True
        if is_entry:
            paths[key] = row["path"]
            if len(paths) > limit:
                oldest = next(iter(paths))
                forgotten_until = max(forgotten_until, uuid.UUID(oldest[0]).int >> 80)
                del paths[oldest]
        yield is_entry, paths.get(key)
