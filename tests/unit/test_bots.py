from __future__ import annotations

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from hypothesis import given
from hypothesis import strategies as st

from api.collector.bots import detect_bot, judge_user_agent
from tests.conftest import ROOT


def lines(name: str) -> list[str]:
    text = (ROOT / "tests/data" / name).read_text()
    return [line for line in text.splitlines() if not line.startswith("#")]


PEOPLE = lines("user_agents_people.txt")
BOTS = [line.split("\t") for line in lines("user_agents_bots.tsv")]


@pytest.mark.parametrize("user_agent", PEOPLE)
def test_people_are_not_flagged(user_agent: str) -> None:
    assert detect_bot(user_agent, {}) is None
    assert judge_user_agent(user_agent) is None


@pytest.mark.parametrize(("reason", "user_agent"), BOTS)
def test_bots_are_flagged_with_why(reason: str, user_agent: str) -> None:
    assert detect_bot(user_agent, {}) == reason
    assert judge_user_agent(user_agent) == reason


def test_the_whole_list_is_known_except_where_it_means_people() -> None:
    instances = [i for crawler in CRAWLER_USER_AGENTS_DATA for i in crawler["instances"]]
    unknown = [i for i in instances if judge_user_agent(i) is None]
    assert len(instances) > 2_000
    assert len(unknown) <= 2


@pytest.mark.parametrize("user_agent", [None, ""])
def test_no_user_agent(user_agent: str | None) -> None:
    assert detect_bot(user_agent, {}) == "no_user_agent"


def test_what_a_server_sends_with_says_nothing_about_its_events() -> None:
    assert judge_user_agent(None) is None
    assert judge_user_agent(PEOPLE[0]) is None
    assert judge_user_agent("Googlebot/2.1") == "crawler:Googlebot"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({b"sec-purpose": b"prefetch"}, "prefetch"),
        ({b"sec-purpose": b"prefetch;prerender"}, "prefetch"),
        ({b"purpose": b"Prefetch"}, "prefetch"),
        ({b"purpose": b"login"}, None),
        ({b"sec-ch-ua": b'"Chromium";v="142", "Google Chrome";v="142"'}, None),
        ({b"sec-ch-ua": b'"HeadlessChrome";v="142"'}, "headless:HeadlessChrome"),
    ],
)
def test_headers_tell_too(headers: dict[bytes, bytes], reason: str | None) -> None:
    assert detect_bot(PEOPLE[0], headers) == reason


@given(st.text(max_size=1_000))
def test_whatever_the_user_agent_the_reason_is_short(user_agent: str) -> None:
    reason = detect_bot(user_agent, {})
    assert reason is None or len(reason) <= 60
