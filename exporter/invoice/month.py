"""A month in UTC: what is billed by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime


@dataclass(frozen=True, slots=True)
class Month:
    """All moments in [begin, end)."""

    year: int
    month: int

    @property
    def begin(self) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first moment of the next."""
        year, month = divmod(self.year * 12 + self.month, 12)
        return datetime(year, month + 1, 1, tzinfo=UTC)

    def holds(self, day: date) -> bool:
        """Whether a day is one of its."""
        return (day.year, day.month) == (self.year, self.month)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


def parse_month(text: str) -> Month:
    """`2026-11`; raises ValueError."""
    match = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", text)
    if match is None or match[1] == "0000" or text == "9999-12":
        raise ValueError(f"{text!r} is no month: write 2026-11")
    return Month(int(match[1]), int(match[2]))
