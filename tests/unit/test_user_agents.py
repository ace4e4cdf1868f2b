from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.user_agents import Agent, read_user_agent

_MEANINGS = Path(__file__).parents[1] / "data" / "user_agents_meaning.tsv"
MEANINGS = [
    line.split("\t")
    for line in _MEANINGS.read_text().splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("row", MEANINGS, ids=lambda row: row[-1][-60:])
def test_what_a_user_agent_says(row: list[str]) -> None:
    *expected, text = row
    assert read_user_agent(text) == Agent(*(None if word == "-" else word for word in expected))


def test_the_table_has_every_kind_of_device() -> None:
    assert len(MEANINGS) >= 60
    kinds = {row[4] for row in MEANINGS}
    assert kinds == {"desktop", "mobile", "tablet", "tv", "console", "car", "-"}


@pytest.mark.parametrize(
    "text",
    [
        # The same words on Windows 11, macOS 26, iOS 26, Android 16, a Chromebook of today.
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
        " Chrome/142.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
        " Version/26.1 Safari/605.1.15",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15"
        " (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15"
        " (KHTML, like Gecko) CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko)"
        " Chrome/142.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko)"
        " Chrome/142.0.0.0 Safari/537.36",
    ],
)
def test_a_frozen_version_is_not_believed(text: str) -> None:
    agent = read_user_agent(text)
    assert agent.os is not None
    assert agent.os_version is None


def test_what_says_nothing_means_nothing() -> None:
    assert read_user_agent("") == read_user_agent("node") == Agent()


@given(st.text(max_size=1_000))
def test_no_user_agent_raises(text: str) -> None:
    for value in read_user_agent(text):
        assert value is None or 0 < len(value) <= 200


def test_only_the_first_512_characters_are_read_and_remembered() -> None:
    assert read_user_agent("x" * 505 + " Firefox/145.0") == Agent()
    assert read_user_agent("x" * 400 + " Firefox/145.0").browser == "Firefox"
