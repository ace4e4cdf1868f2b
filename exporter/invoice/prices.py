"""Prices by the thousand events, in tiers, and how they are rounded.

A client's total is the exact price of all its events in the month, rounded once, half up, to the
cent. Each line (a day of a site) gets the difference between what the month costs with it and
without it, both rounded, in the order of days and sites. So no line is a cent off what is exact,
and lines add up to the total whatever is summed: sites, days, or all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from itertools import pairwise
from typing import Final

CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Tier:
    """From this many events in the month on, a thousand cost so much."""

    from_events: int
    per_thousand: Decimal


@dataclass(frozen=True, slots=True)
class TierShare:
    """What of a month's events falls into a tier, and its exact price."""

    tier: Tier
    events: int
    exact: Decimal


DEFAULT_TIERS: Final = (Tier(0, Decimal("0.01")),)


def parse_tiers(text: str) -> tuple[Tier, ...]:
    """`0:0.01,10000000:0.008`, or one price alone; raises ValueError."""
    pairs = [part.strip().rpartition(":") for part in text.split(",")]
    try:
        tiers = tuple(Tier(int(begin or "0"), Decimal(price)) for begin, _, price in pairs)
    except (InvalidOperation, ValueError) as exc:
        raise ValueError(f"{text!r} has no prices: write 0:0.01,10000000:0.008") from exc
    if any(not tier.per_thousand.is_finite() or tier.per_thousand < 0 for tier in tiers):
        raise ValueError("a price is a number, and not below 0")
    if tiers[0].from_events != 0:
        raise ValueError("the first tier begins at 0 events")
    if any(one.from_events >= next_.from_events for one, next_ in pairwise(tiers)):
        raise ValueError("tiers follow each other by their number of events")
    return tiers


def share_out(events: int, tiers: tuple[Tier, ...]) -> list[TierShare]:
    """The tiers that a month's events fall into."""
    ends = [*(tier.from_events for tier in tiers[1:]), max(events, tiers[-1].from_events)]
    shares = []
    for tier, end in zip(tiers, ends, strict=True):
        within = max(0, min(events, end) - tier.from_events)
        shares.append(TierShare(tier, within, within * tier.per_thousand / 1000))
    return shares


def total_of(events: int, tiers: tuple[Tier, ...]) -> Decimal:
    """What a month with so many events costs, to the cent."""
    exact = sum((share.exact for share in share_out(events, tiers)), Decimal(0))
    return exact.quantize(CENT, ROUND_HALF_UP)


def amounts_of(lines: Iterable[int], tiers: tuple[Tier, ...]) -> list[Decimal]:
    """Each line's part of the total, of lines in their order."""
    amounts, events, before = [], 0, total_of(0, tiers)
    for line in lines:
        events += line
        after = total_of(events, tiers)
        amounts.append(after - before)
        before = after
    return amounts
