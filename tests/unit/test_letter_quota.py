from __future__ import annotations

from dataclasses import dataclass

from api.collector.letter_quota import LetterQuota


@dataclass
class Seconds:
    """A monotonic clock that is turned by hand."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_minute_has_so_many_letters_and_no_more() -> None:
    clock = Seconds()
    quota = LetterQuota(60, monotonic=clock)
    assert quota.left() == 60
    quota.spend(60)
    assert quota.left() == 0
    clock.now += 0.9
    assert quota.left() == 0
    clock.now += 0.2
    assert quota.left() == 1
    clock.now += 3_600
    assert quota.left() == 60, "what was not spent is not saved up"


def test_several_who_spend_at_once_are_made_up_for_later() -> None:
    clock = Seconds()
    quota = LetterQuota(60, monotonic=clock)
    quota.spend(70)
    assert quota.left() == 0
    clock.now += 10
    assert quota.left() == 0
    clock.now += 1
    assert quota.left() == 1
