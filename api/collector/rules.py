"""The rules that the database decides, as this worker knows them.

Knowing them is never more than a convenience: a commit names the version that its events were
judged by, and PostgreSQL refuses it when that is not the newest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from api.collector.sites import SitePolicy, SiteRules
from api.collector.suppressions import Suppressions
from core.refusal import RefusalReason, Refused
from database.intake_rules import StoredRules

if TYPE_CHECKING:
    from api.collector.acceptance import Policy

SITES_NOT_LEARNT: Final = SiteRules(SitePolicy())
_NOBODY: Final = Suppressions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Sites and suppressions, of one version; 0 until they have been learnt."""

    version: int = 0
    sites: SiteRules = SITES_NOT_LEARNT
    suppressions: Suppressions = _NOBODY


class RuleBook:
    """What requests are judged by now; one a worker, shared by all that judge."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    @property
    def rules(self) -> Rules:
        """The newest that this worker knows."""
        return self.policy.rules

    def learn(self, stored: StoredRules) -> None:
        """Go by these from now on."""
        self.policy = replace(
            self.policy,
            rules=Rules(
                version=stored.version,
                sites=self.rules.sites.knowing(stored.sites),
                suppressions=Suppressions(stored.stack_id, stored.suppressed),
            ),
        )


SUPPRESSED: Final = Refused(
    RefusalReason.SUPPRESSED, "the visitor or user was erased, and their events are not taken in"
)
