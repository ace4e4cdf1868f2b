from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.places import PLACES
from exporter.referrers import find_place, judge_referrer, name_source, registrable_domain


@pytest.mark.parametrize(
    ("host", "kind", "source"),
    [
        ("www.google.com", "search", "google"),
        ("google.co.uk", "search", "google"),
        ("www.google.ch", "search", "google"),
        ("WWW.GOOGLE.COM.", "search", "google"),
        ("com.google.android.googlequicksearchbox", "search", "google"),
        ("www.bing.com", "search", "bing"),
        ("cn.bing.com", "search", "bing"),
        ("r.search.yahoo.com", "search", "yahoo"),
        ("yandex.ru", "search", "yandex"),
        ("ya.ru", "search", "yandex"),
        ("duckduckgo.com", "search", "duckduckgo"),
        ("search.brave.com", "search", "brave"),
        ("m.baidu.com", "search", "baidu"),
        ("l.facebook.com", "social", "facebook"),
        ("lm.facebook.com", "social", "facebook"),
        ("l.instagram.com", "social", "instagram"),
        ("t.co", "social", "twitter"),
        ("x.com", "social", "twitter"),
        ("ch.linkedin.com", "social", "linkedin"),
        ("com.linkedin.android", "social", "linkedin"),
        ("old.reddit.com", "social", "reddit"),
        ("pinterest.co.uk", "social", "pinterest"),
        ("www.pinterest.ch", "social", "pinterest"),
        ("news.ycombinator.com", "social", "hackernews"),
        ("web.whatsapp.com", "social", "whatsapp"),
        ("m.youtube.com", "video", "youtube"),
        ("youtu.be", "video", "youtube"),
        ("www.amazon.de", "shopping", "amazon"),
        ("www.ebay.co.uk", "shopping", "ebay"),
        ("mail.google.com", "email", "gmail"),
        ("com.google.android.gm", "email", "gmail"),
        ("outlook.live.com", "email", "outlook"),
        ("eur01.safelinks.protection.outlook.com", "email", "outlook"),
        ("mail.yahoo.com", "email", "yahoo_mail"),
        ("deref-gmx.net", "email", "gmx"),
        ("chatgpt.com", "ai_assistant", "chatgpt"),
        ("chat.openai.com", "ai_assistant", "chatgpt"),
        ("www.perplexity.ai", "ai_assistant", "perplexity"),
        ("gemini.google.com", "ai_assistant", "gemini"),
        ("copilot.microsoft.com", "ai_assistant", "copilot"),
        ("de.wikipedia.org", "referral", "wikipedia"),
        ("accounts.google.com", "referral", "google.com"),
        ("seller.amazon.de", "referral", "amazon.de"),
        ("google.com.evil.example", "referral", "evil.example"),
        ("notfacebook.com", "referral", "notfacebook.com"),
        ("blog.partner.co.uk", "referral", "partner.co.uk"),
        ("192.0.2.7", "referral", "192.0.2.7"),
        ("2001:db8::1", "referral", "2001:db8::1"),
        ("intranet", "referral", "intranet"),
        ("shop.example", "internal", None),
        ("www.shop.example", "internal", None),
        ("pay.shop.example", "internal", None),
    ],
)
def test_what_kind_of_place_a_host_is(host: str, kind: str, source: str | None) -> None:
    assert judge_referrer(host, "www.shop.example") == (kind, source)


def test_internal_is_of_the_same_site() -> None:
    assert judge_referrer("b.example", "a.example", "b.example").type == "internal"
    assert judge_referrer("a.github.io", "b.github.io").type == "referral"
    assert judge_referrer("www.google.com", "maps.google.com").type == "internal"
    assert judge_referrer("other.example", None, None).type == "referral"


@pytest.mark.parametrize("name", ["Facebook", " fb ", "facebook.com", "m.facebook.com", "meta"])
def test_a_campaign_names_its_source_in_many_ways(name: str) -> None:
    assert name_source(name) == ("social", "facebook")


def test_a_campaigns_own_name_is_no_place() -> None:
    assert name_source("autumn") is None
    assert name_source("shop.example") is None


def test_no_pattern_stands_for_two_places() -> None:
    patterns = [p for sources in PLACES.values() for line in sources.values() for p in line.split()]
    assert len(patterns) == len(set(patterns))
    names = list(itertools.chain(*PLACES.values()))
    assert len(names) == len(set(names))


def test_every_pattern_finds_its_own_place() -> None:
    for kind, sources in PLACES.items():
        for source, patterns in sources.items():
            for pattern in patterns.split():
                assert find_place(pattern.replace(".*", ".com")) == (kind, source), pattern


@given(st.text(max_size=300) | st.from_regex(r"[a-z.]{1,40}", fullmatch=True))
def test_no_host_raises(host: str) -> None:
    registrable_domain(host)
    place = judge_referrer(host, "shop.example", None)
    assert place.source is None or place.source
    name_source(host)
