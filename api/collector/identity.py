"""Events that say which user a visitor is: what joins anonymous history to the one who signs in."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from api.collector.cookieless import DAILY_PREFIX
from core.event import Event
from core.event_id import is_placeholder
from database.intake_batch import IdentityLink

DEFAULT_IDENTITY_EVENTS: Final = (
    "identify,alias,login,logged_in,sign_in,signed_in,signup,sign_up,signed_up"
)
_ALIAS: Final = "alias"
_GAPS: Final = re.compile(r"[\s_-]+")
# Redaction leaves the same mark in every e-mail address's place: it would make all one person.
# And an id that is promised to join nothing beyond its day is not joined.
_NOBODY: Final = ("[redacted:", DAILY_PREFIX)


def parse_identity_events(text: str) -> frozenset[str]:
    """The names of IDENTITY_EVENTS."""
    return frozenset(normal_name(name) for name in text.split(",") if name.strip())


@lru_cache(maxsize=10_000)
def normal_name(event_type: str) -> str:
    """`Signed In`, `signed-in` and `signed_in` are one name."""
    return _GAPS.sub("_", event_type.strip()).lower()


def links_of(event: Event, identity_events: frozenset[str]) -> list[IdentityLink]:
    """What an accepted event says of who is who; mostly nothing."""
    user_id, event_type = event.user_id, event.event_type
    if user_id is None or (name := normal_name(event_type)) not in identity_events:
        return []
    visitors = [event.visitor_id]
    if name == _ALIAS:
        visitors.append(previous_id(event.properties))
    assert event.site_id is not None  # every accepted event has one
    return [
        IdentityLink(event.site_id, visitor, user_id, event_type)
        for visitor in dict.fromkeys(visitors)
        if visitor is not None and visitor != user_id and _is_somebody(visitor, user_id)
    ]


def previous_id(properties: dict[str, Any] | None) -> str | None:
    """Who an alias was before."""
    found = properties.get("previousId") if properties else None
    if isinstance(found, int) and not isinstance(found, bool):  # as numeric ids are taken in
        return str(found)
    return found if isinstance(found, str) and found else None


def _is_somebody(*ids: str) -> bool:
    return not any(is_placeholder(i) or i.startswith(_NOBODY) for i in ids)
