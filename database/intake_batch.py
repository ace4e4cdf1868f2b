"""What one transaction of the collector writes: rows, their counts, and what else came with them.

Encoded, it is an entry of the spool.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct

from database.letter import DeadLetter as DeadLetter  # a part of what is written
from database.row import read_row


class LedgerKey(NamedTuple):
    """What a count is kept by, besides segment, writer and hour."""

    site_id: str
    event_type: str
    outcome: str


class LedgerCount(NamedTuple):
    """Events, the bytes of their payloads, how many carry a mark, how many became dead letters."""

    events: int
    bytes: int
    bots: int = 0
    redacted: int = 0
    plan_violations: int = 0
    letters: int = 0

    def plus(self, other: LedgerCount) -> LedgerCount:
        """Both together."""
        return LedgerCount(*map(int.__add__, self, other))


class NewSite(NamedTuple):
    """A site that this collector has not met before."""

    site_id: str
    state: str
    """accepted or quarantined."""
    dialect: str
    url: str | None
    """Of the first event."""


class IdentityLink(NamedTuple):
    """An event that says which user a visitor is."""

    site_id: str
    visitor_id: str
    user_id: str
    event_type: str


class Intake(Struct, array_like=True, kw_only=True):
    """Written by one transaction, or not at all."""

    rows: list[bytes] = []
    counts: dict[LedgerKey, LedgerCount] = {}
    letters: list[DeadLetter] = []
    sites: list[NewSite] = []
    links: list[IdentityLink] = []
    replayed_letters: list[UUID] = []
    """Dead letters that are taken in again by this."""

    def add(self, key: LedgerKey, count: LedgerCount) -> None:
        """Count more."""
        before = self.counts.get(key)
        self.counts[key] = count if before is None else before.plus(count)

    def extend(self, other: Intake) -> None:
        """Write another one's contents too."""
        self.rows += other.rows
        for key, count in other.counts.items():
            self.add(key, count)
        self.letters += other.letters
        self.sites += other.sites
        self.links += other.links
        self.replayed_letters += other.replayed_letters

    def without(self, reasons: Mapping[int, str]) -> Intake:
        """The same with some rows (by their place) refused for a reason, in the counts too."""
        kept = Intake(
            rows=[row for place, row in enumerate(self.rows) if place not in reasons],
            counts=dict(self.counts),
            letters=self.letters,
            sites=self.sites,
            links=self.links,
            replayed_letters=self.replayed_letters,
        )
        for place, reason in reasons.items():
            row = read_row(self.rows[place])
            accepted = LedgerKey(row.site_id, row.event_type, "accepted")
            kept.add(accepted, _minus(count_payload(row.payload)))
            if not kept.counts[accepted].events:
                del kept.counts[accepted]
            kept.add(LedgerKey(row.site_id, "", reason), LedgerCount(1, 0))
        return kept

    def keep(self, letters: list[DeadLetter], *, sites: Mapping[str, str] | None = None) -> None:
        """Have these letters instead, and count them where their refusals are counted.

        `sites` says under which other name a site's refusals stand.
        """
        for key, count in self.counts.items():
            if count.letters:
                self.counts[key] = count._replace(letters=0)
        for letter in letters:
            site_id = (sites or {}).get(letter.site_id, letter.site_id)
            self.add(LedgerKey(site_id, "", letter.reason), LedgerCount(0, 0, letters=1))
        self.letters = letters

    def encode(self) -> bytes:
        """As an entry of the spool."""
        return _encode((self.rows, list(self.counts.items()), *_rest(self)))


def decode_intake(entry: bytes) -> Intake:
    """The inverse of `Intake.encode`; raises msgspec.MsgspecError for anything else."""
    rows, counts, letters, sites, links, replayed = _decode(entry)
    return Intake(
        rows=rows,
        counts=dict(counts),
        letters=letters,
        sites=sites,
        links=links,
        replayed_letters=replayed,
    )


class _Marks(Struct, rename="camel"):
    """What the ledger counts of a payload's marks."""

    is_bot: bool = False
    redactions: int = 0
    plan_violation: str | None = None


def count_payload(payload: bytes) -> LedgerCount:
    """What one event adds to the ledger; a payload that is no JSON carries no mark."""
    try:
        marks = _decode_marks(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        marks = _Marks()
    return LedgerCount(
        1, len(payload), marks.is_bot, bool(marks.redactions), marks.plan_violation is not None
    )


def _minus(count: LedgerCount) -> LedgerCount:
    return LedgerCount(*(-number for number in count))


def _rest(
    intake: Intake,
) -> tuple[list[DeadLetter], list[NewSite], list[IdentityLink], list[UUID]]:
    return intake.letters, intake.sites, intake.links, intake.replayed_letters


_Wire = tuple[
    list[bytes],
    list[tuple[LedgerKey, LedgerCount]],
    list[DeadLetter],
    list[NewSite],
    list[IdentityLink],
    list[UUID],
]
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Wire).decode
_decode_marks: Final = msgspec.json.Decoder(_Marks).decode
