"""What an attempt is about to put, noted before it is put: so that no object is ever unknown.

Keys are the same at each attempt, as long as the same version with the same settings makes them.
When an upgrade or a changed setting cuts a segment differently between two attempts, objects of
the first remain that the manifest does not list: orphans, which readers that look for files
instead of manifests would count. Order of effects:

1. note the keys (left: keys of objects that may not be there; noted again, or swept later)
2. put the objects, put the manifest (left: the next attempt notes its own keys too)
3. in the transaction that marks the delivery, strike out the keys that the manifest lists
4. remove from the bucket what is still noted, and then its note (left: it is removed again)
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, text

_PLAN = text("""
INSERT INTO planned_objects (segment_id, sink, key)
SELECT :segment_id, :sink, unnest(CAST(:keys AS text[])) ON CONFLICT DO NOTHING
""")
_SETTLE = text("""
DELETE FROM planned_objects
WHERE segment_id = :segment_id AND sink = :sink AND key = ANY(CAST(:keys AS text[]))
""")
_ORPHANS = text("""
SELECT p.segment_id, p.key FROM planned_objects AS p
LEFT JOIN deliveries AS d USING (segment_id, sink)
WHERE p.sink = :sink AND p.error IS NULL AND coalesce(d.state, 'delivered') = 'delivered'
ORDER BY p.segment_id, p.key LIMIT 1000
""")
_FORGET = text("""
DELETE FROM planned_objects WHERE segment_id = :segment_id AND sink = :sink AND key = :key
""")
_NOTE_ERROR = text("""
UPDATE planned_objects SET error = :error
WHERE segment_id = :segment_id AND sink = :sink AND key = :key
""")
_TRY_AGAIN = text("UPDATE planned_objects SET error = NULL WHERE error IS NOT NULL")


def plan_objects(connection: Connection, segment_id: int, sink: str, keys: Iterable[str]) -> None:
    """Note the keys that an attempt is about to put."""
    with connection.begin():
        connection.execute(_PLAN, {"segment_id": segment_id, "sink": sink, "keys": list(keys)})


def settle_objects(connection: Connection, segment_id: int, sink: str, keys: Iterable[str]) -> None:
    """Within the transaction that marks the delivery: strike out what the manifest lists."""
    connection.execute(_SETTLE, {"segment_id": segment_id, "sink": sink, "keys": list(keys)})


def list_orphans(connection: Connection, sink: str) -> list[tuple[int, str]]:
    """(segment_id, key) of what may be in the bucket without a manifest, a thousand at most."""
    return [(row[0], row[1]) for row in connection.execute(_ORPHANS, {"sink": sink})]


def forget_orphan(connection: Connection, segment_id: int, sink: str, key: str) -> None:
    """Note that an orphan is gone."""
    with connection.begin():
        connection.execute(_FORGET, {"segment_id": segment_id, "sink": sink, "key": key})


def note_orphan_error(
    connection: Connection, segment_id: int, sink: str, key: str, error: str
) -> None:
    """Note why an orphan could not be removed; it is tried again at the next start."""
    with connection.begin():
        connection.execute(
            _NOTE_ERROR, {"segment_id": segment_id, "sink": sink, "key": key, "error": error}
        )


def try_orphans_again(connection: Connection) -> None:
    """At start-up: somebody may have granted what was refused."""
    with connection.begin():
        connection.execute(_TRY_AGAIN)
