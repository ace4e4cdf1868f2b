"""Prices: exact, rounded once, and lines that add up."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.invoice.month import parse_month
from exporter.invoice.prices import Tier, amounts_of, parse_tiers, share_out, total_of

TIERS = parse_tiers("0:0.01,10000000:0.008")


def test_a_price_alone_is_a_tier_from_the_first_event_on() -> None:
    assert parse_tiers("0.01") == (Tier(0, Decimal("0.01")),)


@pytest.mark.parametrize(
    ("events", "total"),
    [(0, "0.00"), (499, "0.00"), (500, "0.01"), (1_000, "0.01"), (1_500, "0.02"),
     (10_000_000, "100.00"), (20_000_000, "180.00"), (10_000_625, "100.01")],
)  # fmt: skip
def test_a_total_is_rounded_half_up_to_the_cent(events: int, total: str) -> None:
    assert str(total_of(events, TIERS)) == total


def test_tiers_share_out_every_event() -> None:
    shares = share_out(12_000_000, TIERS)
    assert [s.events for s in shares] == [10_000_000, 2_000_000]
    assert [s.exact for s in shares] == [Decimal(100), Decimal(16)]


@pytest.mark.parametrize(
    "text", ["", "x", "5:0.01", "0:0.01,0:0.02", "0:-1", "0:nan", "0:0.1,9:0.1,5:1", "0:Infinity"]
)
def test_tiers_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_tiers(text)


prices = st.decimals(0, 100, places=4)
tiers = st.lists(st.tuples(st.integers(1, 10**7), prices), max_size=4, unique_by=lambda t: t[0])


@given(st.lists(st.integers(0, 10**7)), prices, tiers)
def test_lines_add_up_and_none_is_a_cent_off(
    lines: list[int], first: Decimal, later: list[tuple[int, Decimal]]
) -> None:
    chosen = (Tier(0, first), *(Tier(*pair) for pair in sorted(later)))
    amounts = amounts_of(lines, chosen)
    assert sum(amounts, Decimal(0)) == total_of(sum(lines), chosen)
    events = 0
    for line, amount in zip(lines, amounts, strict=True):
        before = sum(s.exact for s in share_out(events, chosen))
        events += line
        exact = sum(s.exact for s in share_out(events, chosen)) - before
        assert abs(amount - exact) <= Decimal("0.01")
        assert amount >= 0


def test_a_month_ends_where_the_next_begins() -> None:
    assert parse_month("2026-12").end == parse_month("2027-01").begin
    assert parse_month("2026-11").end.isoformat() == "2026-12-01T00:00:00+00:00"
    for text in ("2026-13", "2026-1", "11-2026", "2026-00", "0000-01"):
        with pytest.raises(ValueError, match="no month"):
            parse_month(text)
