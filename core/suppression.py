"""By what the suppression list knows a person: a digest, so that it cannot tell whom it forgets."""

from __future__ import annotations

from hashlib import sha256
from typing import Literal, get_args
from uuid import UUID

PersonKind = Literal["visitor", "user"]
PERSON_KINDS: tuple[PersonKind, ...] = get_args(PersonKind)


def person_prefix(stack_id: UUID, kind: PersonKind) -> bytes:
    """What stands before an id when it is digested: no two stacks' lists can be compared."""
    return stack_id.bytes + kind.encode() + b":"


def digest_person(stack_id: UUID, kind: PersonKind, person_id: str) -> bytes:
    """32 bytes: SHA-256 of the stack's id, the kind, a colon, and the id as events carry it."""
    return sha256(person_prefix(stack_id, kind) + person_id.encode()).digest()
