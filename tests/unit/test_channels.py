from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.channels import RULES, choose_channel
from exporter.places import ALIASES, PLACES

DOCUMENT = (Path(__file__).parents[2] / "docs" / "enrichment.md").read_text()


@pytest.mark.parametrize(
    ("said", "channel"),
    [
        ("source=google medium=cpc", "paid_search"),
        ("source=Google medium=CPC", "paid_search"),
        ("source=adwords medium=ppc", "paid_search"),
        ("source=bing medium=paidsearch", "paid_search"),
        ("medium=cpc referrer=search", "paid_search"),
        ("click=gclid", "paid_search"),
        ("click=gbraid referrer=search", "paid_search"),
        ("click=msclkid referrer=search", "paid_search"),
        ("source=google medium=cpc campaign=cross-network", "cross_network"),
        ("source=google medium=cpc campaign=winter-shopping", "paid_shopping"),
        ("source=idealo.de medium=cpc", "paid_shopping"),
        ("source=google medium=cpc campaign=workshop-bern", "paid_search"),
        ("source=facebook medium=cpc", "paid_social"),
        ("source=ig medium=paid_social", "paid_social"),
        ("source=linkedin.com medium=cpc", "paid_social"),
        ("click=ttclid", "paid_social"),
        ("click=li_fat_id referrer=social", "paid_social"),
        ("source=youtube medium=cpv-cpc click=gclid", "paid_video"),
        ("source=partner medium=display", "display"),
        ("source=google medium=cpm", "paid_search"),
        ("source=someone medium=cpm", "display"),
        ("source=someone medium=banner", "display"),
        ("click=dclid", "display"),
        ("source=someone medium=cpc", "paid_other"),
        ("source=someone medium=retargeting", "paid_other"),
        ("source=someone medium=cpc click=gclid", "paid_search"),
        ("source=etsy", "organic_shopping"),
        ("referrer=shopping", "organic_shopping"),
        ("referrer=social", "organic_social"),
        ("source=agency medium=social", "organic_social"),
        ("source=fb", "organic_social"),
        ("click=fbclid", "organic_social"),
        ("click=fbclid referrer=internal", "organic_social"),
        ("click=fbclid source=news medium=email", "email"),
        ("referrer=video", "organic_video"),
        ("source=tv medium=video-ad", "organic_video"),
        ("referrer=ai_assistant", "ai_assistant"),
        ("source=chatgpt.com", "ai_assistant"),
        ("source=perplexity", "ai_assistant"),
        ("referrer=search", "organic_search"),
        ("source=any medium=organic", "organic_search"),
        ("source=news medium=email", "email"),
        ("source=newsletter", "email"),
        ("referrer=email", "email"),
        ("source=brevo medium=E-Mail referrer=email", "email"),
        ("source=awin medium=affiliate", "affiliates"),
        ("source=spotify medium=audio", "audio"),
        ("source=sms", "sms"),
        ("source=twilio medium=sms", "sms"),
        ("source=app medium=web-push", "push"),
        ("source=app medium=notification", "push"),
        ("source=firebase", "push"),
        ("referrer=referral", "referral"),
        ("source=partner medium=referral", "referral"),
        ("source=github.com", "referral"),
        ("source=partner", "other"),
        ("source=qr medium=print", "other"),
        ("campaign=spring referrer=direct", "other"),
        ("source=partner referrer=search", "other"),
        ("referrer=internal", "internal"),
        ("referrer=direct", "direct"),
        ("referrer=partner-portal", "referral"),
        ("", None),
        ("click=unknown", None),
    ],
)
def test_the_channel_of_an_arrival(said: str, channel: str | None) -> None:
    words = dict(word.split("=", 1) for word in said.split())
    assert (
        choose_channel(
            utm_source=words.get("source"),
            utm_medium=words.get("medium"),
            utm_campaign=words.get("campaign"),
            click_id_type=words.get("click"),
            referrer_type=words.get("referrer"),
        )
        == channel
    )


def test_the_document_has_the_rules_in_their_order() -> None:
    assert [
        f"| {number} | `{rule.channel}` | {rule.when} |" for number, rule in enumerate(RULES, 1)
    ] == [line for line in DOCUMENT.splitlines() if line[:3].rstrip("0123456789") == "| "]


def test_the_document_has_every_source_of_the_table() -> None:
    for kind, sources in PLACES.items():
        if kind != "referral":
            (line,) = [x for x in DOCUMENT.splitlines() if x.startswith(f"| `{kind}` | a")]
            assert line.split(" | ")[2].removesuffix(" |").split(", ") == list(sources)


def test_every_alias_names_a_place() -> None:
    names = {name for sources in PLACES.values() for name in sources}
    assert set(ALIASES.values()) <= names
    assert not set(ALIASES) & names


_WORDS = st.none() | st.text(max_size=40)


@given(_WORDS, _WORDS, _WORDS, _WORDS, _WORDS)
def test_no_arrival_raises(
    source: str | None,
    medium: str | None,
    campaign: str | None,
    click: str | None,
    referrer: str | None,
) -> None:
    channel = choose_channel(
        utm_source=source,
        utm_medium=medium,
        utm_campaign=campaign,
        click_id_type=click,
        referrer_type=referrer,
    )
    assert channel is None or channel in {rule.channel for rule in RULES}
