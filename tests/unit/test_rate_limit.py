from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.collector.rate_limit import TokenBuckets

SLACK = 1e-6
"""Sums of floats."""


def buckets(*, rate: float = 10, burst: float = 100, max_keys: int = 1_000) -> TokenBuckets:
    return TokenBuckets(rate_per_second=rate, burst=burst, max_keys=max_keys)


def test_a_bucket_begins_full_and_fills_up_again() -> None:
    limit = buckets(rate=10, burst=100)
    assert limit.take("a", 60, now=0) == 0
    assert limit.take("a", 40, now=0) == 0
    assert limit.take("a", 5, now=0) == pytest.approx(0.5)
    assert limit.take("a", 5, now=0.4) == pytest.approx(0.1)
    assert limit.take("a", 5, now=0.5) == 0
    assert limit.take("a", 100, now=0.5) == pytest.approx(10)
    assert limit.take("a", 100, now=1_000) == 0


def test_what_is_refused_costs_nothing() -> None:
    limit = buckets(rate=1, burst=10)
    limit.take("a", 10, now=0)
    waits = [limit.take("a", 5, now=1) for _ in range(100)]
    assert waits == [pytest.approx(4)] * 100
    assert limit.take("a", 1, now=1) == 0


def test_a_cost_beyond_the_bucket_passes_when_it_is_full_and_leaves_a_debt() -> None:
    limit = buckets(rate=10, burst=100)
    assert limit.take("a", 1_000, now=0) == 0
    assert limit.take("a", 1, now=0) == pytest.approx(90.1)
    assert limit.take("a", 1, now=90) == pytest.approx(0.1)
    assert limit.take("a", 1_000, now=99) == pytest.approx(1)
    assert limit.take("a", 1_000, now=100) == 0


def test_an_empty_bucket_is_known_before_anything_is_taken() -> None:
    limit = buckets(rate=10, burst=100)
    assert limit.empty_for("a", now=0) == 0
    assert len(limit) == 0
    limit.take("a", 100, now=0)
    assert limit.empty_for("a", now=0) == pytest.approx(0.1)
    assert limit.empty_for("a", now=0.11) == 0
    assert limit.empty_for("b", now=0) == 0


def test_buckets_smaller_than_one_event() -> None:
    limit = buckets(rate=0.5, burst=0.5)
    assert limit.take("a", 1, now=0) == 0
    assert limit.empty_for("a", now=0) == pytest.approx(2)
    assert limit.take("a", 1, now=1.9) > 0
    assert limit.take("a", 1, now=2.1) == 0


def test_keys_are_bounded_and_the_insistent_one_is_not_forgiven() -> None:
    limit = buckets(rate=1, burst=10, max_keys=100)
    limit.take("insistent", 10, now=0)
    limit.take("quiet", 10, now=0)
    for number in range(1_000):
        limit.take(f"other-{number}", 1, now=0.5)
        assert limit.take("insistent", 1, now=0.5) > 0
    assert len(limit) == 100
    assert limit.take("quiet", 1, now=0.5) == 0


@pytest.mark.parametrize("bad", [{"rate": 0}, {"burst": 0}, {"max_keys": 0}, {"rate": -1}])
def test_limits_that_are_none(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="above zero"):
        buckets(**bad)  # type: ignore[arg-type]


requests = st.lists(
    st.tuples(st.floats(0, 5), st.floats(0.01, 300), st.sampled_from("abc")), max_size=60
)


@given(requests, st.floats(0.1, 1_000), st.floats(0.1, 1_000))
def test_no_more_than_burst_and_rate_and_one_debt(
    asked: list[tuple[float, float, str]], rate: float, burst: float
) -> None:
    limit = buckets(rate=rate, burst=burst)
    now, first = 0.0, dict[str, float]()
    granted, largest = dict.fromkeys("abc", 0.0), dict.fromkeys("abc", 0.0)
    for after, cost, key in asked:
        now += after
        if limit.take(key, cost, now) == 0:
            first.setdefault(key, now)
            granted[key] += cost
            largest[key] = max(largest[key], cost)
        for name, since in first.items():
            debt = max(0.0, largest[name] - burst)
            assert granted[name] <= burst + rate * (now - since) + debt + SLACK * (
                1 + granted[name]
            )


@given(requests, st.floats(0.1, 1_000), st.floats(0.1, 1_000))
def test_no_key_pays_for_another(
    asked: list[tuple[float, float, str]], rate: float, burst: float
) -> None:
    together = buckets(rate=rate, burst=burst)
    alone = {key: buckets(rate=rate, burst=burst) for key in "abc"}
    now = 0.0
    for after, cost, key in asked:
        now += after
        assert together.take(key, cost, now) == alone[key].take(key, cost, now)
        assert together.empty_for(key, now) == alone[key].empty_for(key, now)


@given(requests, st.floats(0.1, 1_000), st.floats(0.1, 1_000))
def test_who_waits_as_long_as_told_is_served(
    asked: list[tuple[float, float, str]], rate: float, burst: float
) -> None:
    limit = buckets(rate=rate, burst=burst)
    now = 0.0
    for after, cost, key in asked:
        now += after
        wait = limit.take(key, cost, now)
        if wait > 0:
            now += wait + SLACK * (1 + now)
            assert limit.take(key, cost, now) == 0
