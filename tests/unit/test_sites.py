"""Which sites a stack takes events for, and that random names cost it nothing."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from api.collector.acceptance import Acceptance
from api.collector.intake_of import intake_of
from api.collector.judge_again import settle
from api.collector.rules import Rules
from api.collector.sites import SitePolicy, SiteRules, new_site, parse_site_patterns
from core.keys import UNKNOWN_SITE
from core.refusal import RefusalReason
from database.intake_batch import LedgerKey, NewSite
from tests.conftest import a_batch, an_event
from tests.unit.accepting import FACTS, accept

KNOWN = {"shop.example": "accepted", "new.example": "quarantined", "bad.example": "refused"}


def rules(known: dict[str, Any] | None = None, *, version: int = 1, **policy: Any) -> Rules:
    return Rules(
        version=version, sites=SiteRules(SitePolicy(**policy), KNOWN if known is None else known)
    )


def reasons(acceptance: Acceptance) -> list[str]:
    return [str(refused.reason) for refused in acceptance.refused]


def counted(*acceptances: Acceptance, by: Rules) -> dict[LedgerKey, int]:
    return {k: n.events for k, n in intake_of(acceptances, by.sites).counts.items()}


@pytest.mark.parametrize(
    ("site_id", "allowed", "reason"),
    [
        ("shop.example", "", None),
        ("shop.example", "shop.example", None),
        ("shop.example", "*.example", None),
        ("shop.example", "a.example, sh?p.example", None),
        ("shop.example", "*.shop.example", RefusalReason.SITE_REFUSED),
        ("shop.example", "SHOP.example", RefusalReason.SITE_REFUSED),
        ("new.example", "", RefusalReason.SITE_QUARANTINED),
        ("new.example", "other.example", RefusalReason.SITE_REFUSED),
        ("bad.example", "", RefusalReason.SITE_REFUSED),
        ("stranger.example", "", None),
        (UNKNOWN_SITE, "", RefusalReason.INVALID_EVENT),
        ("__HIVE_DEFAULT_PARTITION__", "", RefusalReason.INVALID_EVENT),
        ("a\0b", "", RefusalReason.NUL_CHARACTER),
        ("я" * 100, "", RefusalReason.TOO_LONG),
    ],
)
def test_a_site_is_judged(site_id: str, allowed: str, reason: RefusalReason | None) -> None:
    judged = rules(allowed=parse_site_patterns(allowed)).sites.judge(site_id).refused
    assert (judged.reason if judged else None) == reason


def test_a_new_site_is_noted_once_a_request_with_when_and_where() -> None:
    urls = ["https://a.example/p?q=1#x", "https://a.example/second"]
    batch = a_batch(*[an_event(siteId="a.example", url=url) for url in urls], an_event())
    acceptance = accept(batch, rules=rules(), facts=structs.replace(FACTS, dialect="segment"))
    assert len(acceptance.accepted) == 3
    assert acceptance.sites == [NewSite("a.example", "accepted", "segment", "https://a.example")]


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.example:8443/account/jane@doe.example", "https://a.example"),
        ("https://user:password@a.example/", "https://a.example"),
        ("/relative", None),
        ("https://[::1", None),
        ("https://a\x00b/", None),
        (f"https://{'a' * 400}.example/", None),
        (None, None),
    ],
)
def test_of_the_first_page_only_the_origin_is_kept(url: str | None, origin: str | None) -> None:
    assert new_site("a.example", "accepted", dialect="", url=url).url == origin


def test_a_site_whose_events_are_all_refused_is_not_noted() -> None:
    acceptance = accept(an_event(siteId="a.example", occurredAt=1e300), rules=rules())
    assert reasons(acceptance) == ["invalid_time"]
    assert acceptance.sites == []
    assert counted(acceptance, by=rules()) == {LedgerKey(UNKNOWN_SITE, "", "invalid_time"): 1}


def test_a_quarantined_site_is_noted_though_its_events_are_refused() -> None:
    quarantine = rules(new_sites="quarantine")
    acceptance = accept(a_batch(*[an_event(siteId="a.example")] * 3), rules=quarantine)
    assert reasons(acceptance) == ["site_quarantined"] * 3
    assert [(s.site_id, s.state) for s in acceptance.sites] == [("a.example", "quarantined")]
    assert counted(acceptance, by=quarantine) == {LedgerKey("a.example", "", "site_quarantined"): 3}
    known = accept(an_event(siteId="new.example"), rules=rules())
    assert reasons(known) == ["site_quarantined"]
    assert known.sites == []


def test_new_sites_may_be_refused() -> None:
    refusing = rules(new_sites="refuse")
    acceptance = accept(a_batch(an_event(siteId="a.example"), an_event()), rules=refusing)
    assert reasons(acceptance) == ["site_refused"]
    assert "PUT /sites" in acceptance.refused[0].message
    assert acceptance.sites == []
    assert counted(acceptance, by=refusing)[LedgerKey(UNKNOWN_SITE, "", "site_refused")] == 1


@pytest.mark.parametrize("mode", ["accept", "quarantine"])
def test_random_names_are_bounded_in_one_request_and_in_a_group(mode: str) -> None:
    bounded = rules(new_sites=mode, max_sites=len(KNOWN) + 5)
    names = [f"site-{n}.example" for n in range(2_000)]
    one = accept(a_batch(*[an_event(siteId=name) for name in names]), rules=bounded)
    assert len(one.sites) == 5
    assert reasons(one).count("site_refused") == 1_995
    assert "MAX_SITES" in one.refused[-1].message
    several = [accept(an_event(siteId=name), rules=bounded) for name in names[:100]]
    settle(several, bounded)
    assert len([site for a in several for site in a.sites]) == 5
    assert sum(len(a.accepted) for a in several) == (5 if mode == "accept" else 0)
    ledger = counted(one, *several, by=bounded)
    assert len({key.site_id for key in ledger}) == 6, "five sites and (unknown)"
    full = rules(new_sites=mode, max_sites=1)
    assert reasons(accept(an_event(siteId="a.example"), rules=full)) == ["site_refused"]
    assert len(accept(an_event(), rules=full).accepted) == 1, "known sites are not concerned"


def test_two_requests_of_a_group_may_name_the_same_new_site() -> None:
    bounded = rules(max_sites=len(KNOWN) + 1)
    both = [accept(an_event(siteId="a.example"), rules=bounded) for _ in range(2)]
    settle(both, bounded)
    assert [len(a.accepted) for a in both] == [1, 1]
    assert [[s.site_id for s in a.sites] for a in both] == [["a.example"]] * 2


def test_refusals_of_a_known_site_are_counted_under_it() -> None:
    batch = a_batch(an_event(occurredAt=1e300), an_event(siteId="zzz.example", occurredAt=1e300))
    acceptance = accept(batch, rules=rules())
    assert counted(acceptance, by=rules()) == {
        LedgerKey("shop.example", "", "invalid_time"): 1,
        LedgerKey(UNKNOWN_SITE, "", "invalid_time"): 1,
    }


def test_until_the_rules_are_learnt_every_site_is_taken_and_none_is_noted() -> None:
    acceptance = accept(an_event(siteId="a.example"))
    assert len(acceptance.accepted) == 1
    assert acceptance.sites == []
    only = Rules(sites=SiteRules(SitePolicy(allowed=("b.example",))))
    assert reasons(accept(an_event(), rules=only)) == ["site_refused"]


def test_verdicts_of_random_names_are_not_remembered_for_ever() -> None:
    sites = rules(new_sites="refuse").sites
    for number in range(25_000):
        sites.judge(f"{number}.example")
    assert len(sites._verdicts) <= 10_000
    assert sites.judge("shop.example").refused is None
