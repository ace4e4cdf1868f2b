"""Send a request to a dialect as the endpoint would, without HTTP, and read what becomes of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from msgspec import structs

from api.collector.acceptance import Acceptance, Policy, accept
from api.collector.dialects.dialect import DecodedBody, Dialect, IntakeRequest, Reply
from core.refusal import Refused
from tests.unit.accepting import FACTS, LIMITS, Row, read_row


@dataclass(frozen=True)
class Asked:
    """One request's way through."""

    decoded: DecodedBody | Refused
    acceptance: Acceptance
    reply: Reply

    @property
    def rows(self) -> list[Row]:
        """Its rows; nothing of it may be refused."""
        assert self.acceptance.refused == []
        return [read_row(event.row) for event in self.acceptance.accepted]

    @property
    def row(self) -> Row:
        """Its only row."""
        (row,) = self.rows
        return row

    @property
    def refused(self) -> Refused:
        """Its only refusal; nothing else is in it."""
        assert self.acceptance.accepted == []
        (refused,) = self.acceptance.refused
        return refused

    @property
    def answer(self) -> Any:
        """Its answer's JSON."""
        return json.loads(self.reply.body)


def ask(
    dialect: Dialect,
    target: str | bytes,
    body: Any = b"",
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
) -> Asked:
    """Bytes are sent as they are, anything else as JSON; headers by their lower-case names."""
    raw = target if isinstance(target, bytes) else target.encode()
    path, _, query = raw.partition(b"?")
    request = IntakeRequest(
        method,
        path.decode(),
        query,
        {name.encode(): value.encode("latin-1") for name, value in (headers or {}).items()},
        body if isinstance(body, bytes) else json.dumps(body).encode(),
    )
    decoded = dialect.decode(request, limits=LIMITS)
    acceptance = accept(
        decoded, facts=structs.replace(FACTS, dialect=dialect.name), policy=Policy(limits=LIMITS)
    )
    return Asked(decoded, acceptance, dialect.reply(request, acceptance))
