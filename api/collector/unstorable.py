"""Rows that PostgreSQL refuses when their sender is long gone: they become dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from core.refusal import RefusalReason
from database.intake_batch import Intake
from database.letter import MAX_LETTERS, letter_of_row


def keep_unstorable(intake: Intake, poison: Mapping[int, str]) -> Intake:
    """The same intake with these rows (by place, and why) refused, counted so, and kept."""
    reason = str(RefusalReason.UNSTORABLE)
    kept = intake.without(dict.fromkeys(poison, reason))
    letters = [
        letter_of_row(intake.rows[place], reason=reason, message=f"PostgreSQL refused it: {why}")
        for place, why in islice(poison.items(), MAX_LETTERS)
    ]
    kept.keep([*intake.letters, *letters])
    return kept
