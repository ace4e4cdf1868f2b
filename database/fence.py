"""The fence: a segment is sealed only when no transaction that wrote into it is in flight.

Writers hold the lock shared, for the length of their transaction; sealing takes it exclusively.
Ids and timestamps become visible out of commit order, so neither can serve as a watermark.
"""

from __future__ import annotations

from typing import Final

FENCE_KEY: Final = 7_261_019_245
"""The advisory lock's number. Part of the protocol between versions: it never changes."""

EXPORTER_KEY: Final = 7_261_019_246
"""Held for as long as an exporter lives: there is one at a time."""
