"""Which channel brought a visitor: the first rule that holds, in an order after GA4's.

The rules are data, so that the table in docs/enrichment.md can be held against them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from exporter.referrers import name_source


class Arrival(NamedTuple):
    """What is known of how a visitor came, in lower case; empty is what is not."""

    source: str = ""
    medium: str = ""
    campaign: str = ""
    click_id_type: str = ""
    kind: str = ""
    """Of the place that the campaign's source names; without one, the referrer's type."""


class Rule(NamedTuple):
    """A channel, when it is the one (in words), and the same as a function."""

    channel: str
    when: str
    holds: Callable[[Arrival], bool]


def choose_channel(
    *,
    utm_source: str | None = None,
    utm_medium: str | None = None,
    utm_campaign: str | None = None,
    click_id_type: str | None = None,
    referrer_type: str | None = None,
) -> str | None:
    """The channel; None when nothing tells, as for most events that are no page view."""
    source = _lower(utm_source)
    named = name_source(source) if source else None
    arrival = Arrival(
        source,
        _lower(utm_medium),
        _lower(utm_campaign),
        _lower(click_id_type),
        (named.type if named else "") if source else _lower(referrer_type),
    )
    return next((rule.channel for rule in RULES if rule.holds(arrival)), None)


def _lower(text: str | None) -> str:
    return (text or "").strip().lower()


_PAID: Final = re.compile(r"cp|\A(?:ppc|retargeting)\Z|\Apaid")
_SHOP: Final = re.compile(r"(?:\A|[^a-df-z])shop|shopping")
_DISPLAY: Final = frozenset({"display", "banner", "expandable", "interstitial", "cpm"})
_SOCIAL: Final = frozenset(
    {"social", "social-network", "social-media", "sm", "social network", "social media"}
)
_EMAIL: Final = frozenset({"email", "e-mail", "e_mail", "e mail", "newsletter"})


def _is_paid(a: Arrival) -> bool:
    return _PAID.search(a.medium) is not None


def _is_shop(a: Arrival) -> bool:
    return a.kind == "shopping" or _SHOP.search(a.campaign) is not None


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "cross_network",
        "the campaign's name contains `cross-network`",
        lambda a: "cross-network" in a.campaign,
    ),
    Rule(
        "paid_shopping",
        "a shop is the source, or the campaign's name contains `shop` (not as in"
        " workshop); and the medium is paid",
        lambda a: _is_paid(a) and _is_shop(a),
    ),
    Rule(
        "paid_search",
        "a search engine is the source; and the medium is paid",
        lambda a: _is_paid(a) and a.kind == "search",
    ),
    Rule(
        "paid_social",
        "a social network is the source; and the medium is paid",
        lambda a: _is_paid(a) and a.kind == "social",
    ),
    Rule(
        "paid_video",
        "a video site is the source; and the medium is paid",
        lambda a: _is_paid(a) and a.kind == "video",
    ),
    Rule(
        "display",
        "the medium is display, banner, expandable, interstitial or cpm; or the click id is dclid",
        lambda a: a.medium in _DISPLAY or a.click_id_type == "dclid",
    ),
    Rule(
        "paid_search",
        "the click id is gclid, gbraid, wbraid or msclkid",
        lambda a: a.click_id_type in ("gclid", "gbraid", "wbraid", "msclkid"),
    ),
    Rule(
        "paid_social",
        "the click id is ttclid, twclid or li_fat_id",
        lambda a: a.click_id_type in ("ttclid", "twclid", "li_fat_id"),
    ),
    Rule("paid_other", "the medium is paid", _is_paid),
    Rule(
        "organic_shopping",
        "a shop is the source, or the campaign's name contains `shop` (not as in workshop)",
        _is_shop,
    ),
    Rule(
        "organic_social",
        "a social network is the source; or the medium is social, social-network, social-media,"
        " sm, social network or social media; or the click id is fbclid, and no medium is said",
        lambda a: (
            a.kind == "social"
            or a.medium in _SOCIAL
            or (a.click_id_type == "fbclid" and not a.medium)
        ),
    ),
    Rule(
        "organic_video",
        "a video site is the source; or the medium contains `video`",
        lambda a: a.kind == "video" or "video" in a.medium,
    ),
    Rule(
        "ai_assistant",
        "an assistant is the source",
        lambda a: a.kind == "ai_assistant",
    ),
    Rule(
        "organic_search",
        "a search engine is the source; or the medium is organic",
        lambda a: a.kind == "search" or a.medium == "organic",
    ),
    Rule(
        "email",
        "a mailbox is the source; or source or medium is email, e-mail, e_mail, e mail or"
        " newsletter",
        lambda a: a.kind == "email" or a.medium in _EMAIL or a.source in _EMAIL,
    ),
    Rule(
        "affiliates",
        "the medium is affiliate or affiliates",
        lambda a: a.medium in ("affiliate", "affiliates"),
    ),
    Rule("audio", "the medium is audio", lambda a: a.medium == "audio"),
    Rule("sms", "source or medium is sms", lambda a: "sms" in (a.source, a.medium)),
    Rule(
        "push",
        "the medium ends in `push`, or contains `mobile` or `notification`; or the source is"
        " firebase",
        lambda a: (
            a.medium.endswith("push")
            or "mobile" in a.medium
            or "notification" in a.medium
            or a.source == "firebase"
        ),
    ),
    Rule(
        "referral",
        "the medium is referral, app or link; or a known site of another kind is the source",
        lambda a: a.medium in ("referral", "app", "link") or (bool(a.source) and bool(a.kind)),
    ),
    Rule(
        "other",
        "a source, medium or campaign is said, and no rule above knows it",
        lambda a: bool(a.source or a.medium or a.campaign),
    ),
    Rule("internal", "the referrer is internal", lambda a: a.kind == "internal"),
    Rule("direct", "the referrer's type is direct", lambda a: a.kind == "direct"),
    Rule("referral", "any other referrer", lambda a: bool(a.kind)),
)
