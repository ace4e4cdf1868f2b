"""One step of an examination: what was seen, and the remedy where it is not as it should be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exporter.deadline import DeadlineExceeded, call_in_time

CHECK_SECONDS: Final = 20.0
"""Longest that one step may take."""
_MOST_CHARS: Final = 400


class Outcome(StrEnum):
    """How a step ended."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


class CheckFailed(Exception):
    """It is not as it should be."""

    def __init__(self, seen: str, remedy: str) -> None:
        super().__init__(seen)
        self.seen = seen
        self.remedy = remedy


class CheckSkipped(Exception):
    """It makes no sense here; the message says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """A step by its name. `act` returns what it saw, or raises CheckFailed or CheckSkipped."""

    name: str
    act: Callable[[], str]
    needs: tuple[str, ...] = ()
    """Steps without which this one says nothing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a step came to."""

    step: str
    outcome: Outcome
    seen: str
    remedy: str = ""
    """What to do; only where it failed."""
    seconds: float = 0.0


def run_checks(checks: Iterable[Check], *, seconds: float = CHECK_SECONDS) -> Iterator[Finding]:
    """Take the steps in order, each in bounded time; what needs one that failed is skipped."""
    blocked: dict[str, str] = {}
    for check in checks:
        blocker = next((blocked[name] for name in check.needs if name in blocked), None)
        if blocker is not None:
            blocked[check.name] = blocker
            yield Finding(check.name, Outcome.SKIPPED, f"needs {blocker}, which failed")
            continue
        finding = _take(check, seconds)
        if finding.outcome is Outcome.FAILED:
            blocked[check.name] = check.name
        yield finding


def _take(check: Check, seconds: float) -> Finding:
    begun = time.monotonic()

    def found(outcome: Outcome, seen: str, remedy: str = "") -> Finding:
        taken = round(time.monotonic() - begun, 3)
        return Finding(check.name, outcome, _cut(seen), remedy, taken)

    try:
        return found(Outcome.PASSED, call_in_time(check.act, seconds=seconds))
    except CheckSkipped as exc:
        return found(Outcome.SKIPPED, str(exc))
    except CheckFailed as exc:
        return found(Outcome.FAILED, exc.seen, exc.remedy)
    except DeadlineExceeded as exc:
        return found(
            Outcome.FAILED,
            str(exc),
            "Something on the way swallows packets: look at firewalls, proxies and routes.",
        )
    except Exception as exc:
        # A mistake of ours must not hide what the other steps find.
        return found(
            Outcome.FAILED, f"{type(exc).__name__}: {exc}", "Unexpected: report it with this line."
        )


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_CHARS else line[: _MOST_CHARS - 1] + "…"
