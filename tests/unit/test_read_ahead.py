from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import pytest

from exporter.read_ahead import read_ahead


def test_items_come_in_order_and_all_of_them() -> None:
    with read_ahead(range(1_000), depth=2) as items:
        assert list(items) == list(range(1_000))


def test_no_more_is_made_ahead_than_the_depth() -> None:
    made: list[int] = []
    third = Event()

    def make() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            if number == 2:
                third.set()
            yield number

    with read_ahead(make(), depth=1) as items:
        assert next(items) == 0
        assert third.wait(10)  # one waits in the queue, one to be put there
        assert made == [0, 1, 2]
        assert list(items) == list(range(1, 10))


def test_what_making_raises_is_raised_where_it_is_asked_for() -> None:
    def make() -> Iterator[int]:
        yield 1
        raise ValueError("torn")

    with read_ahead(make()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="torn"):
            next(items)


def test_left_early_nothing_of_it_is_in_use_any_more() -> None:
    made: list[int] = []

    def make() -> Iterator[int]:
        for number in range(1_000_000):
            made.append(number)
            yield number

    with read_ahead(make()) as items:
        next(items)
    count = len(made)
    assert count < 1_000_000
    assert len(made) == count
