from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from core.manifest import Counts, Window
from core.receipt import BilledDay, Receipt
from exporter.receipt_problems import problems_of_text, problems_of_window

OPENED = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)


def a_receipt(billed: date, window: Window) -> Receipt:
    return Receipt(
        stack_id=UUID(int=1),
        client_id="acme",
        segment_id=1,
        window=window,
        counts=Counts(1, 1, 0, 0, 1, {}),
        billed=1,
        billed_by_day=[BilledDay("shop.example", billed, 1)],
        manifest="",
        manifest_sha256="",
        objects=[],
        previous=None,
        key_id="",
        written_by="",
    )


@pytest.mark.parametrize(
    ("day", "holds"),
    [
        (date(2026, 11, 30), True),
        (date(2026, 12, 1), True),
        (date(2026, 11, 29), True),
        (date(2026, 11, 28), False),
        (date(2026, 12, 3), False),
        (date(1, 1, 1), False),
    ],
)
def test_days_that_are_none_of_the_segments_are_not_billed(day: date, holds: bool) -> None:
    sealed = OPENED + timedelta(hours=1)
    for window in (Window(OPENED, sealed), Window(sealed, OPENED)):
        assert (list(problems_of_window(a_receipt(day, window))) == []) is holds


def test_a_window_at_the_end_of_time_is_none() -> None:
    for end in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        window = Window(end, end)
        assert list(problems_of_window(a_receipt(date(2026, 11, 30), window)))


def test_a_name_that_stands_twice_anywhere_is_told() -> None:
    assert list(problems_of_text(b'{"a": 1, "b": {"c": 1}, "d": [{"c": 2}]}')) == []
    assert list(problems_of_text(b'{"a": 1, "b": [{"c": 1, "c": 1}]}')) == ["it says 'c' twice"]
