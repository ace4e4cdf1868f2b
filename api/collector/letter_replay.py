"""Take dead letters in again, after what they were refused for has been mended.

Order of effects: letters are read, and each is decoded and accepted as if it had just come, but
dated as it was; one transaction writes the rows, their counts and the marks that the letters are
replayed; then the others get their new reason. A crash before the commit leaves every letter as
it was, one after it only an old reason. Of two replays that want the same letter, one commits and
the other looks again.

In the ledger a replayed event is received a second time, and accepted: `received = accepted +
rejected` holds throughout. What is refused again is not counted again: it is still the same
refusal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import psycopg
from msgspec import structs
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from api.collector.acceptance import Policy
from api.collector.dialects.dialect import Dialect
from api.collector.intake_of import intake_of
from api.collector.judge_again import settle
from api.collector.judge_letter import JudgedLetter, judge_letter, why_not
from api.collector.poison import find_poison
from api.collector.rule_watch import RuleWatch
from api.collector.rules import RuleBook, Rules
from core.refusal import RefusalReason, Refused
from database import dead_letters
from database.dead_letters import LetterFilter, RefusedAgain
from database.intake import AlreadyReplayed, IntakeConnection, NoOpenSegment, StaleRules
from database.intake_batch import Intake
from database.letter import storable

log = logging.getLogger("sluice.collector")

MAX_AT_ONCE: Final = 1_000
_TRIES: Final = 10
_GONE: Final = "there is no such dead letter, or none any more"


class ReplayFailed(Exception):
    """PostgreSQL is away, or went away meanwhile; replaying again takes nothing in twice."""


@dataclass(frozen=True, slots=True)
class NotReplayed:
    """A letter that cannot be taken in, whatever is mended."""

    dead_letter_id: UUID
    why: str


@dataclass(slots=True)
class Replayed:
    """What became of the letters that were meant."""

    letters: int = 0
    """Taken in."""
    events: int = 0
    """Accepted out of them."""
    refused: list[RefusedAgain] = field(default_factory=list)
    """Letters that stay, each with its new reason."""
    not_replayed: list[NotReplayed] = field(default_factory=list)
    remaining: int = 0
    """Letters that were meant too, and have not been looked at."""
    last: UUID | None = None
    """The last one that was looked at: where to go on."""


class LetterReplay:
    """Takes letters in through the dialects and the policy of today."""

    def __init__(
        self,
        engine: AsyncEngine,
        connect: Callable[[], Awaitable[IntakeConnection]],
        *,
        dialects: Mapping[str, Dialect],
        rule_book: RuleBook,
        rule_watch: RuleWatch,
        max_commit_bytes: int,
    ) -> None:
        self._engine = engine
        self._connect = connect
        self._dialects = dialects
        self._rule_book = rule_book
        self._rule_watch = rule_watch
        self._max_commit_bytes = max_commit_bytes

    async def replay_letters(
        self, wanted: LetterFilter, *, after: UUID | None = None, most: int = MAX_AT_ONCE
    ) -> Replayed:
        """Take in what matches and comes after a letter, the oldest first, `most` of it.

        Raises ReplayFailed, or SQLAlchemyError, with nothing taken in or all of it marked.
        """

        async def read() -> Sequence[Row[Any]]:
            async with self._engine.connect() as connection:
                return await dead_letters.read_replayable(
                    connection, wanted, after=after, most=most
                )

        outcome = await self._replay(read)
        async with self._engine.connect() as connection:
            outcome.remaining = await dead_letters.count_replayable(
                connection, wanted, after=outcome.last or after
            )
        return outcome

    async def replay_ids(self, ids: Sequence[UUID]) -> Replayed:
        """Take in these letters; raises as `replay_letters` does."""
        refusals: dict[UUID, str] = {}

        async def read() -> Sequence[Row[Any]]:
            async with self._engine.connect() as connection:
                found = await dead_letters.read_letters(connection, ids)
            refusals.clear()
            refusals.update(dict.fromkeys(ids, _GONE))
            refusals.update({letter.dead_letter_id: why_not(letter) for letter in found})
            return [letter for letter in found if not refusals[letter.dead_letter_id]]

        outcome = await self._replay(read)
        outcome.not_replayed = [NotReplayed(i, why) for i, why in refusals.items() if why]
        return outcome

    async def _replay(self, read: Callable[[], Awaitable[Sequence[Row[Any]]]]) -> Replayed:
        for _ in range(_TRIES):
            # What rules of long ago refuse would reach no commit that could tell.
            await self._rule_watch.look()
            letters = await read()
            policy = self._rule_book.policy
            judged = await asyncio.to_thread(self._judge, letters, policy)
            try:
                await self._commit(judged, policy.rules)
            except (AlreadyReplayed, StaleRules):
                continue  # by somebody else, or by other rules, meanwhile: look again
            except (psycopg.Error, OSError, NoOpenSegment) as exc:
                raise ReplayFailed(type(exc).__name__) from exc
            outcome = _outcome(judged, remaining=len(letters) - len(judged))
            if outcome.refused:
                async with self._engine.connect() as connection:
                    await dead_letters.refuse_again(connection, outcome.refused)
            log.info(
                "dead letters replayed",
                extra={"letters": outcome.letters, "refused": len(outcome.refused)},
            )
            return outcome
        raise ReplayFailed("others replay the same letters, or change the rules, in a loop")

    def _judge(self, letters: Sequence[Row[Any]], policy: Policy) -> list[JudgedLetter]:
        """Judge letters, as many as fit into one commit."""
        judged: list[JudgedLetter] = []
        weight = 0
        for letter in letters:
            one = judge_letter(letter, dialects=self._dialects, policy=policy)
            weight += one.acceptance.row_bytes
            if judged and weight > self._max_commit_bytes:
                break
            judged.append(one)
        return judged

    async def _commit(self, judged: Sequence[JudgedLetter], rules: Rules) -> None:
        """Write what was accepted by these rules; raises StaleRules when they are old by now."""
        _settle(judged, rules)
        if all(one.refused for one in judged):
            return
        connection = await self._connect()
        try:
            try:
                await connection.commit(_intake(judged, rules), rules_version=rules.version)
            except (psycopg.DataError, psycopg.IntegrityError):
                await _refuse_poison(judged, connection)
                await connection.commit(_intake(judged, rules), rules_version=rules.version)
        finally:
            await connection.close()


def _settle(judged: Sequence[JudgedLetter], rules: Rules) -> None:
    """Refuse what there is no room for when all of them name new sites together."""
    taken_in = [one for one in judged if one.refused is None]
    settle([one.acceptance for one in taken_in], rules)
    for one in taken_in:
        if one.acceptance.refused:
            one.refused = one.acceptance.refused[0]


def _intake(judged: Sequence[JudgedLetter], rules: Rules) -> Intake:
    taken_in = [one for one in judged if one.refused is None]
    intake = intake_of(
        [structs.replace(one.acceptance, letters=[]) for one in taken_in], rules.sites
    )
    # What is left of letters was counted when it came.
    intake.letters = [letter for one in taken_in for letter in one.acceptance.letters]
    intake.replayed_letters = [one.letter.dead_letter_id for one in taken_in]
    return intake


async def _refuse_poison(judged: Sequence[JudgedLetter], connection: IntakeConnection) -> None:
    """Keep the letters that hold a row which PostgreSQL refuses out of the next commit."""
    rows = [
        (event.row, one)
        for one in judged
        if one.refused is None
        for event in one.acceptance.accepted
    ]
    poison = await find_poison([row for row, _ in rows], connection.try_rows)
    if not poison:
        raise ReplayFailed("PostgreSQL refuses them, and no row is to blame")
    for number, message in poison.items():
        one = rows[number][1]
        one.refused = Refused(RefusalReason.UNSTORABLE, f"PostgreSQL refused it: {message}")


def _outcome(judged: Sequence[JudgedLetter], *, remaining: int) -> Replayed:
    taken_in = [one for one in judged if one.refused is None]
    return Replayed(
        letters=len(taken_in),
        events=sum(len(one.acceptance.accepted) for one in taken_in),
        refused=[
            _refused_again(one.letter.dead_letter_id, one.refused)
            for one in judged
            if one.refused is not None
        ],
        remaining=remaining,
        last=judged[-1].letter.dead_letter_id if judged else None,
    )


def _refused_again(dead_letter_id: UUID, refused: Refused) -> RefusedAgain:
    return RefusedAgain(
        dead_letter_id,
        str(refused.reason),
        storable(refused.field) if refused.field else None,
        storable(refused.message),
    )
