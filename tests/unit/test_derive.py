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
