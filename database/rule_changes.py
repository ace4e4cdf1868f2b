"""Change the rules of intake, so that no event is stored afterwards by the rules of before.

Order of effects: take the fence exclusively, change, raise the version, commit; then, and not
before, whoever asked is answered. A writer's transaction that began under the old version holds
the fence shared until it ends, so when the fence is ours none is in flight; one that begins later
reads the version after it has the fence, sees ours, and judges its events again (`StaleRules` in
database/intake.py). Without the fence a transaction that read the old version before our commit
could end after our answer: a snapshot tells what was committed, not what is about to be.

PostgreSQL lets go of the fence only when the commit is durable and visible, so there is no moment
between both. A crash before the commit changes nothing, and nobody was answered. What waits in a
spool was judged by no version at all: it is judged under the fence when it is replayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, TextClause, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from core.suppression import PERSON_KINDS, PersonKind, digest_person
from database.fence import FENCE_KEY
from database.intake_rules import READ_RULES, SiteState, StoredRules, stored_rules
from database.segments import END_STALE_WRITERS, FenceBusy


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for writers."""

    for_fence: timedelta = timedelta(seconds=15)
    with_writer: timedelta = timedelta(seconds=30)
    """A collector whose transaction is older is stuck, and disconnected."""


_PATIENCE: Final = Patience()

# Writers queue behind us while we wait, so we let them pass again and again.
_LOCK_TIMEOUT = text("SELECT set_config('lock_timeout', '1s', true)")
_TAKE_FENCE = text("SELECT pg_advisory_xact_lock(:key)")
# What was answered must survive a crash, whatever a configuration file says.
_DURABLE = text("SELECT set_config('synchronous_commit', 'on', true)")
_RAISE_VERSION = text("UPDATE intake_rules SET version = version + 1 RETURNING version")

_VERSION = text("SELECT version FROM intake_rules")
_STACK_ID = text("SELECT stack_id FROM stack")
_SUPPRESS = text("""
INSERT INTO suppressions (kind, digest, requested_at)
SELECT :kind, unnest(CAST(:digests AS bytea[])), clock_timestamp()
ON CONFLICT (kind, digest) DO NOTHING
""")
_LIFT = text("DELETE FROM suppressions WHERE kind = :kind AND digest = ANY(:digests)")
_COUNT_SUPPRESSED = text("SELECT kind, count(*)::bigint AS persons FROM suppressions GROUP BY kind")

# Named here before its first event: that is when, and how, it was first seen.
_DECIDE_SITE = text("""
INSERT INTO sites (site_id, state, first_seen_at, first_dialect, decided_at)
VALUES (:site_id, :state, clock_timestamp(), 'management', clock_timestamp())
ON CONFLICT (site_id) DO UPDATE SET state = excluded.state, decided_at = excluded.decided_at
RETURNING decided_at
""")
_WAITING_LETTERS = text("""
SELECT count(*)::bigint FROM dead_letters
WHERE site_id = :site_id AND reason = 'site_quarantined' AND replayed_at IS NULL
""")
_SITES = text("""
SELECT s.site_id, s.state, s.first_seen_at, s.first_dialect, s.first_url, s.decided_at,
  coalesce(c.accepted, 0)::bigint AS accepted, coalesce(c.rejected, 0)::bigint AS rejected
FROM sites AS s LEFT JOIN (
  SELECT site_id,
    sum(events) FILTER (WHERE outcome = 'accepted') AS accepted,
    sum(events) FILTER (WHERE outcome NOT IN ('accepted', 'duplicate')) AS rejected
  FROM (SELECT site_id, outcome, events FROM ledger
        UNION ALL SELECT site_id, outcome, events FROM ledger_totals) AS counted
  GROUP BY site_id
) AS c USING (site_id)
WHERE s.site_id > :after AND (CAST(:state AS text) IS NULL OR s.state = :state)
ORDER BY s.site_id LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class DecidedSite:
    """What became of a decision about a site."""

    decided_at: datetime
    waiting_letters: int
    """Events kept from its quarantine that nobody has taken in yet."""


async def read_rules_version(engine: AsyncEngine) -> int:
    """The version of now."""
    async with engine.connect() as connection:
        version: int = (await connection.execute(_VERSION)).scalar_one()
    return version


async def read_rules(engine: AsyncEngine) -> StoredRules:
    """The rules that events are to be judged by, as of now."""
    async with engine.connect() as connection:
        row = (await connection.exec_driver_sql(READ_RULES)).one()
    return await asyncio.to_thread(stored_rules, tuple(row))


async def suppress(
    engine: AsyncEngine,
    persons: Sequence[tuple[PersonKind, str]],
    *,
    patience: Patience = _PATIENCE,
) -> int:
    """Refuse these persons' events from now on; returns how many were not refused before.

    Raises FenceBusy, with nothing changed, when writers hold the fence for too long.
    """
    return await _change_suppressions(engine, persons, _SUPPRESS, patience)


async def lift(engine: AsyncEngine, persons: Sequence[tuple[PersonKind, str]]) -> int:
    """Take these persons' events in again; returns how many were refused before.

    Raises as `suppress` does.
    """
    return await _change_suppressions(engine, persons, _LIFT, _PATIENCE)


async def count_suppressed(engine: AsyncEngine) -> dict[PersonKind, int]:
    """How many visitors and users are refused."""
    async with engine.connect() as connection:
        counted = {row.kind: row.persons for row in await connection.execute(_COUNT_SUPPRESSED)}
    return {kind: counted.get(kind, 0) for kind in PERSON_KINDS}


async def decide_site(engine: AsyncEngine, site_id: str, state: SiteState) -> DecidedSite:
    """Accept, quarantine or refuse a site from now on, known before or not.

    Raises as `suppress` does.
    """
    async with _changing(engine, _PATIENCE) as connection:
        decided_at: datetime = (
            await connection.execute(_DECIDE_SITE, {"site_id": site_id, "state": state})
        ).scalar_one()
        waiting: int = (
            await connection.execute(_WAITING_LETTERS, {"site_id": site_id})
        ).scalar_one()
    return DecidedSite(decided_at, waiting)


async def read_sites(
    connection: AsyncConnection, *, state: SiteState | None, after: str, most: int
) -> list[Row[Any]]:
    """Sites by name, with their counts from the ledger."""
    return list(await connection.execute(_SITES, {"state": state, "after": after, "most": most}))


async def _change_suppressions(
    engine: AsyncEngine,
    persons: Sequence[tuple[PersonKind, str]],
    change: TextClause,
    patience: Patience,
) -> int:
    changed = 0
    async with _changing(engine, patience) as connection:
        stack_id = (await connection.execute(_STACK_ID)).scalar_one()
        for kind in PERSON_KINDS:
            digests = {digest_person(stack_id, kind, person) for k, person in persons if k == kind}
            found = await connection.execute(change, {"kind": kind, "digests": list(digests)})
            changed += found.rowcount
    return changed


@asynccontextmanager
async def _changing(engine: AsyncEngine, patience: Patience) -> AsyncIterator[AsyncConnection]:
    """A transaction that has the fence, and that ends by raising the version."""
    async with engine.connect() as connection:
        await _take_fence(connection, patience)
        await connection.execute(_DURABLE)
        yield connection
        await connection.execute(_RAISE_VERSION)
        await connection.commit()


async def _take_fence(connection: AsyncConnection, patience: Patience) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience.for_fence.total_seconds()
    pause = 0.05
    while True:
        await connection.execute(_LOCK_TIMEOUT)
        try:
            await connection.execute(_TAKE_FENCE, {"key": FENCE_KEY})
        except OperationalError as exc:
            await connection.rollback()
            if "lock timeout" not in str(exc):
                raise
            if loop.time() > deadline:
                raise FenceBusy("a writer holds the fence") from exc
        else:
            return
        # A collector that was stopped in mid-transaction must not put off an erasure for ever.
        stale = {"key": FENCE_KEY, "age": patience.with_writer}
        await connection.execute(END_STALE_WRITERS, stale)
        await connection.commit()
        await asyncio.sleep(pause)
        pause = min(2 * pause, 1.0)
