"""What `Accept-Encoding` asks for (RFC 9110, 12.5.3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_MEMBER: Final = re.compile(
    r"\s*(?P<coding>[!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:;\s*[qQ]\s*=\s*(?P<weight>[01](?:\.\d{0,3})?)\s*)?"
)


def choose_coding(accepted: str | None, available: Sequence[str]) -> str | None:
    """The one that weighs most, the first of them at a tie; None for no coding at all.

    Without the header any coding would do, but whoever does not ask is unlikely to understand one.
    """
    if accepted is None:
        return None
    weights = _read_weights(accepted)
    anything = weights.get("*", 0.0)
    # A coding at a tie with none is taken: it is smaller. None is there even when it is not named.
    choices = {coding: weights.get(coding, anything) for coding in available}
    best = max(choices, key=lambda coding: choices[coding], default=None)
    if best is None or choices[best] <= 0 or choices[best] < weights.get("identity", 0.0):
        return None
    return best


def _read_weights(accepted: str) -> dict[str, float]:
    """By coding; a member that says nothing understandable is left out."""
    weights: dict[str, float] = {}
    for member in accepted.split(","):
        match = _MEMBER.fullmatch(member)
        if match is None:
            continue
        coding = match["coding"].lower()
        coding = "gzip" if coding == "x-gzip" else coding
        weights[coding] = min(float(match["weight"] or 1), 1.0)
    return weights
