from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.derive import derive_columns, derive_from_referrer, derive_from_url
from tests.unit.rows import a_row, row_batch


def derived(**row: Any) -> dict[str, Any]:
    (result,) = derive_columns(row_batch(a_row(**row))).to_pylist()
    return dict(result)


def test_what_follows_from_an_address() -> None:
    row = derived(
        url="https://shop.example/p/7?utm_source=news&utm_medium=email&utm_campaign=autumn%20sale"
        "&utm_term=shoes&utm_content=top&gclid=EAIa&x=1#top",
        referrer="https://www.google.com/search?q=x",
    )
    assert row["path"] == "/p/7"
    assert [row[f"utm_{n}"] for n in ("source", "medium", "campaign", "term", "content")] == [
        "news", "email", "autumn sale", "shoes", "top",
    ]  # fmt: skip
    assert (row["click_id"], row["click_id_type"]) == ("EAIa", "gclid")
    assert row["referrer_domain"] == "www.google.com"


def test_what_the_client_says_itself_is_kept() -> None:
    row = derived(
        url="https://shop.example/p/7?utm_source=news", path="/virtual", utm_source="own",
        referrer="https://a.example/", referrer_domain="b.example",
    )  # fmt: skip
    assert (row["path"], row["utm_source"], row["referrer_domain"]) == (
        "/virtual",
        "own",
        "b.example",
    )


def test_each_row_gets_its_own() -> None:
    urls = ["https://a.example/1", None, "https://a.example/2?utm_source=x", "https://a.example/1"]
    batch = derive_columns(row_batch(*[a_row(url=url) for url in urls]))
    assert batch.column("path").to_pylist() == ["/1", None, "/2", "/1"]
    assert batch.column("utm_source").to_pylist() == [None, None, "x", None]
    assert batch.schema.equals(row_batch().schema)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://a.example", "/"),
        ("/only/a/path?x=1", "/only/a/path"),
        ("https://a.example/%zz?utm_source=%zz", "/%zz"),
        ("https://a.example/long?" + "&".join(f"p{n}={n}" for n in range(300)), "/long"),
    ],
)
def test_the_path_of_odd_addresses(url: str, path: str) -> None:
    assert derive_from_url(url)["path"] == path


def test_an_address_that_is_none_derives_nothing() -> None:
    assert derive_from_url("http://[broken") == {}
    assert derive_from_referrer("http://[broken") == {}
    assert derived(url="http://[broken", referrer="http://[broken")["path"] is None


@given(st.text(max_size=200))
def test_no_address_raises(text: str) -> None:
    for value in derive_from_url(text).values():
        assert value is None or value
    derive_from_referrer(text)


IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
_AGENT_COLUMNS = ("browser", "browser_version", "os", "os_version", "device_type")


def agent_of(**row: Any) -> list[str | None]:
    return [derived(**row)[name] for name in _AGENT_COLUMNS]


def test_what_follows_from_a_user_agent() -> None:
    assert agent_of(user_agent=IPHONE) == ["Safari", "17.5", "iOS", "17.5", "mobile"]
    assert agent_of(user_agent=None) == [None] * 5


def test_a_bot_is_a_bot_whatever_it_says_that_it_is() -> None:
    assert agent_of(user_agent=IPHONE, is_bot=True)[4] == "bot"
    assert agent_of(is_bot=True)[4] == "bot"
    assert agent_of(user_agent=IPHONE, is_bot=True, device_type="tv")[4] == "tv"
    rows = [a_row(user_agent=IPHONE, is_bot=is_bot) for is_bot in (True, False, None)]
    assert derive_columns(row_batch(*rows)).column("device_type").to_pylist() == [
        "bot",
        "mobile",
        "mobile",
    ]


def test_no_version_is_put_beside_a_name_that_the_client_gave() -> None:
    assert agent_of(user_agent=IPHONE, browser="Own", os="OwnOS") == [
        "Own", None, "OwnOS", None, "mobile",
    ]  # fmt: skip
    assert agent_of(user_agent=IPHONE, os_version="17.5.1")[2:4] == ["iOS", "17.5.1"]
    row = derived(url="https://a.example/?gclid=EAIa", click_id="own")
    assert (row["click_id"], row["click_id_type"]) == ("own", None)
