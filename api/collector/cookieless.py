"""A visitor without a cookie: known for a day, by a keyed hash that nobody can turn around.

The key is the day's salt. It is made at random, shared by all collectors through PostgreSQL,
kept for two days at most, and never leaves the stack: once it is gone, no one can tell which
address or browser an id belonged to, nor that two days' ids are one visitor's.
"""

from __future__ import annotations

import logging
import secrets
import struct
from collections.abc import Mapping
from datetime import date, timedelta
from hashlib import blake2b
from typing import Final

log = logging.getLogger("sluice.collector")

SALT_BYTES: Final = 32
DAILY_PREFIX: Final = "daily-"
"""Says to whoever reads the data that this id joins nothing beyond its day."""

_ID_BYTES: Final = 16
_LENGTHS: Final = struct.Struct("!II")
_ONE_DAY: Final = timedelta(days=1)


def make_visitor_id(salt: bytes, *, site_id: str, ip: str | None, user_agent: str | None) -> str:
    """`daily-` and 128 bits in hex: the same for the same site, address, browser and salt.

    Each site has ids of its own, so that they join no one's visits to two of them.
    """
    site = site_id.encode("utf-8", "surrogatepass")
    address = (ip or "").encode("utf-8", "surrogatepass")
    # With the lengths in front no two triples are written alike.
    hashed = blake2b(_LENGTHS.pack(len(site), len(address)), key=salt, digest_size=_ID_BYTES)
    hashed.update(site)
    hashed.update(address)
    hashed.update((user_agent or "").encode("utf-8", "surrogatepass"))
    return DAILY_PREFIX + hashed.hexdigest()


class SaltKeeper:
    """Holds the salts of today and tomorrow (UTC), so that midnight passes without PostgreSQL.

    In turn: `offer` what is missing, store it where nobody else has, `adopt` what is stored.
    """

    def __init__(self) -> None:
        self._salts: dict[date, bytes] = {}
        self._stored: frozenset[date] = frozenset()
        self._own_day: date | None = None

    def salt_for(self, day: date) -> bytes:
        """The day's salt; one of this process's own, and logged, when none could be shared."""
        salt = self._salts.get(day)
        if salt is None or day not in self._stored:
            salt = self._make(day)
            self._tell(day)
        return salt

    def offer(self, today: date) -> Mapping[date, bytes]:
        """Salts of today and tomorrow that are not known to be stored; forgets older days."""
        self._salts = {day: salt for day, salt in self._salts.items() if day >= today}
        wanted = (today, today + _ONE_DAY)
        return {day: self._make(day) for day in wanted if day not in self._stored}

    def adopt(self, stored: Mapping[date, bytes], *, today: date) -> None:
        """Use what is stored, whoever stored it: all collectors agree on that."""
        current = {day: salt for day, salt in stored.items() if day >= today}
        self._salts = self._salts | current
        self._stored = frozenset(current)

    def _make(self, day: date) -> bytes:
        return self._salts.setdefault(day, secrets.token_bytes(SALT_BYTES))

    def _tell(self, day: date) -> None:
        if self._own_day != day:
            self._own_day = day
            log.warning(
                "visitor ids use a salt of this process's own: PostgreSQL has none for today",
                extra={"day": day.isoformat()},
            )
