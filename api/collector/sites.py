"""Which sites this stack takes events for.

Anybody can name a site, and each one costs: files in every delivery, lines in the ledger. So what
is not decided yet is bounded (`MAX_SITES`), and what is refused is counted under one name.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

from core.keys import HIVE_NULL, MAX_SITE_ID_BYTES, UNKNOWN_SITE, encode_site_id
from core.refusal import RefusalReason, Refused
from database.intake_batch import NewSite
from database.intake_rules import SiteState

NewSites = Literal["accept", "quarantine", "refuse"]

_MOST_VERDICTS: Final = 10_000
_MAX_URL_CHARS: Final = 300


class SiteVerdict(NamedTuple):
    """What is to be done with a site's events."""

    refused: Refused | None = None
    note_as: SiteState | None = None
    """How to record the site, which is not known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePolicy:
    """What the settings say of sites."""

    allowed: tuple[str, ...] = ()
    """Patterns as the shell knows them, one of which a site must match; empty for every site."""
    new_sites: NewSites = "accept"
    max_sites: int = 1_000

    def allows(self, site_id: str) -> bool:
        """Whether a pattern matches."""
        return not self.allowed or any(fnmatchcase(site_id, p) for p in self.allowed)


class SiteRules:
    """Judges sites by the settings and by what has been decided; `known` is None until learnt."""

    __slots__ = ("_known", "_policy", "_verdicts", "accepted", "room")

    def __init__(self, policy: SitePolicy, known: Mapping[str, SiteState] | None = None) -> None:
        self._policy = policy
        self._known = known
        self._verdicts: dict[str, SiteVerdict] = {}
        self.accepted: Final = frozenset(
            site_id
            for site_id, state in (known or {}).items()
            if state == "accepted" and self.judge(site_id).refused is None
        )
        """Sites whose events need no more thought: what the hot path asks for."""
        self.room: Final = max(0, policy.max_sites - len(known or ()))
        """How many more may be named."""

    def knowing(self, known: Mapping[str, SiteState]) -> SiteRules:
        """The same settings with newer knowledge."""
        return SiteRules(self._policy, known)

    def judge(self, site_id: str) -> SiteVerdict:
        """What is to be done with a site's events."""
        verdict = self._verdicts.get(site_id)
        if verdict is None:
            if len(self._verdicts) >= _MOST_VERDICTS:  # the names are the senders'
                self._verdicts.clear()
            verdict = self._verdicts[site_id] = self._judge(site_id)
        return verdict

    def counted_as(self, site_id: str, *, noted: Container[str] = ()) -> str:
        """The name that refusals are counted under: random ones must not grow the ledger."""
        if self._known is None or site_id in self._known or site_id in noted:
            return site_id
        return UNKNOWN_SITE

    def full(self) -> Refused:
        """The refusal of a site for which there is no room."""
        return Refused(
            RefusalReason.SITE_REFUSED,
            f"the site is new, and {self._policy.max_sites:,} are known already: name it with"
            " PUT /sites/{site_id}, raise MAX_SITES, or list your sites in ALLOWED_SITES",
            field="siteId",
        )

    def _judge(self, site_id: str) -> SiteVerdict:
        if refused := judge_site_name(site_id):
            return SiteVerdict(refused)
        if not self._policy.allows(site_id):
            return SiteVerdict(_refuse("no pattern of ALLOWED_SITES matches the site"))
        if self._known is None:  # judged again when it is
            return SiteVerdict()
        match self._known.get(site_id):
            case "accepted":
                return SiteVerdict()
            case "quarantined":
                return SiteVerdict(_QUARANTINED)
            case "refused":
                return SiteVerdict(_refuse("the site is refused: PUT /sites/{site_id} decides"))
        return self._judge_new()

    def _judge_new(self) -> SiteVerdict:
        match self._policy.new_sites:
            case "refuse":
                return SiteVerdict(
                    _refuse("the site is not known: name it with PUT /sites/{site_id}")
                )
            case "accept" if self.room:
                return SiteVerdict(note_as="accepted")
            case "quarantine" if self.room:
                return SiteVerdict(_QUARANTINED, note_as="quarantined")
        return SiteVerdict(self.full())


def judge_site_name(site_id: str) -> Refused | None:
    """Refuse what cannot stand in a key, or means something else there."""
    if len(encode_site_id(site_id)) > MAX_SITE_ID_BYTES:
        return Refused(
            RefusalReason.TOO_LONG,
            f"longer than {MAX_SITE_ID_BYTES} bytes as it stands in an object's key",
            field="siteId",
        )
    if "\0" in site_id:
        return Refused(RefusalReason.NUL_CHARACTER, "text holds U+0000", field="siteId")
    if site_id in (HIVE_NULL, UNKNOWN_SITE):
        return Refused(RefusalReason.INVALID_EVENT, "reserved for no value", field="siteId")
    return None


def parse_site_patterns(text: str) -> tuple[str, ...]:
    """The patterns of ALLOWED_SITES."""
    return tuple(pattern.strip() for pattern in text.split(",") if pattern.strip())


def new_site(site_id: str, state: SiteState, *, dialect: str, url: str | None) -> NewSite:
    """A site as it is recorded, with the origin of the page that named it."""
    return NewSite(site_id, state, dialect or "native", _origin(url))


def _origin(url: str | None) -> str | None:
    # The rest of an address may hold what was typed into a form.
    try:
        parts = urlsplit(url or "")
        origin = f"{parts.scheme}://{parts.hostname}" if parts.hostname else ""
    except ValueError:
        return None
    return origin if origin.isprintable() and 0 < len(origin) <= _MAX_URL_CHARS else None


def _refuse(message: str) -> Refused:
    return Refused(RefusalReason.SITE_REFUSED, message, field="siteId")


_QUARANTINED: Final = Refused(
    RefusalReason.SITE_QUARANTINED,
    "the site is new: its events are kept until PUT /sites/{site_id} accepts it, and"
    " POST /events/rejected/replay takes them in",
    field="siteId",
)
