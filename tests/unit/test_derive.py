from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.derive import derive_columns, derive_from_referrer, derive_from_url
from tests.unit.rows import a_row, row_batch, split_at


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


_ARRIVAL_COLUMNS = ("host", "referrer_type", "referrer_source", "channel")


def arrival_of(**row: Any) -> list[str | None]:
    return [derived(**row)[name] for name in _ARRIVAL_COLUMNS]


PAGE = "https://www.shop.example/p/7"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"referrer": "https://www.google.com/"}, ["search", "google", "organic_search"]),
        ({"referrer": "https://pay.shop.example/"}, ["internal", None, "internal"]),
        ({"referrer": "https://blog.partner.ch/x"}, ["referral", "partner.ch", "referral"]),
        ({"referrer": None}, ["direct", None, "direct"]),
        ({"referrer": ""}, ["direct", None, "direct"]),
        ({"referrer": "about:client"}, [None, None, None]),
        ({"referrer": None, "event_type": "click"}, [None, None, None]),
        ({"referrer": "android-app://com.google.android.gm/"}, ["email", "gmail", "email"]),
        ({"referrer_domain": "t.co"}, ["social", "twitter", "organic_social"]),
        ({"referrer": "https://t.co/", "referrer_type": "own"}, ["own", "twitter", "referral"]),
        ({"url": PAGE + "?gclid=x"}, ["direct", None, "paid_search"]),
        ({"url": PAGE + "?utm_source=fb&utm_medium=cpc"}, ["direct", None, "paid_social"]),
        ({"utm_medium": "email", "event_type": "click"}, [None, None, "email"]),
    ],
)
def test_where_a_page_view_came_from(row: dict[str, Any], expected: list[str | None]) -> None:
    assert arrival_of(**{"url": PAGE} | row) == ["www.shop.example", *expected]


def test_an_event_of_a_server_has_no_channel() -> None:
    assert arrival_of(event_type="purchase") == [None] * 4
    assert arrival_of() == [None] * 4


def test_a_referrer_of_the_site_is_internal_on_a_page_elsewhere() -> None:
    row = {"url": "https://pay.example/x", "referrer": "https://shop.example/cart"}
    assert arrival_of(**row)[1] == "internal"


def test_a_host_that_is_too_long_is_none() -> None:
    assert derive_from_url(f"https://{'a' * 254}/x") == {
        "host": None,
        "path": "/x",
    } | dict.fromkeys(f"utm_{name}" for name in ("source", "medium", "campaign", "term", "content"))


_TEXT = st.none() | st.text(max_size=20)
_ADDRESSES = (
    st.sampled_from(
        [PAGE, PAGE + "?utm_source=x", PAGE + "?gclid=1", "https://t.co/", "http://[", "/x"]
    )
    | _TEXT
)
_TEXT_COLUMNS = (
    "path referrer_domain referrer_type utm_source utm_medium click_id browser os_version"
    " device_type"
)
_ROWS = st.builds(
    a_row,
    event_type=st.sampled_from(["page_view", "click"]),
    site_id=st.sampled_from(["shop.example", "b"]),
    url=_ADDRESSES,
    referrer=_ADDRESSES,
    user_agent=st.sampled_from([IPHONE, "curl/8"]) | _TEXT,
    is_bot=st.none() | st.booleans(),
    **dict.fromkeys(_TEXT_COLUMNS.split(), _TEXT),
)


@given(st.lists(_ROWS, max_size=8), st.lists(st.integers(0, 8), max_size=3))
def test_rows_are_derived_alone_and_keep_what_was_given(
    rows: list[dict[str, Any]], cuts: list[int]
) -> None:
    batch = row_batch(*rows)
    whole = derive_columns(batch)
    for before, after in zip(batch.to_pylist(), whole.to_pylist(), strict=True):
        assert {name: after[name] for name, value in before.items() if value is not None} == {
            name: value for name, value in before.items() if value is not None
        }
    assert [derive_columns(part).to_pylist() for part in split_at(batch, cuts)] == [
        part.to_pylist() for part in split_at(whole, cuts)
    ]
