from __future__ import annotations

from typing import Any

import pytest

from api.collector.identity import parse_identity_events
from database.intake_batch import IdentityLink
from tests.conftest import a_batch, an_event
from tests.unit.accepting import accept


def links(**event: Any) -> list[tuple[str, str]]:
    """(visitor, user) of one event that is accepted."""
    acceptance = accept(an_event(**{"visitorId": "v-1", "userId": "u-1"} | event))
    assert len(acceptance.accepted) == 1
    return [(link.visitor_id, link.user_id) for link in acceptance.links]


@pytest.mark.parametrize(
    "event_type",
    ["identify", "alias", "login", "logged_in", "sign_in", "signed_in", "signup", "sign_up",
     "signed_up", "Signed In", "signed-in", " SIGN  UP ", "Login"],
)  # fmt: skip
def test_these_events_say_who_a_visitor_is(event_type: str) -> None:
    assert links(eventType=event_type) == [("v-1", "u-1")]


@pytest.mark.parametrize("event_type", ["page_view", "login_failed", "identify2", "sign"])
def test_others_do_not(event_type: str) -> None:
    assert links(eventType=event_type) == []


def test_a_link_says_where_and_by_what() -> None:
    acceptance = accept(an_event(eventType="Signed In", userId="u-1", siteId="a.example"))
    assert acceptance.links == [IdentityLink("a.example", "v-1", "u-1", "Signed In")]
    without_site = accept(an_event(eventType="login", userId="u-1", siteId=None))
    assert without_site.links[0].site_id == "fallback.example"


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"properties": {"previousId": "old"}}, [("v-1", "u-1"), ("old", "u-1")]),
        ({"visitorId": None, "properties": {"previousId": "old"}}, [("old", "u-1")]),
        ({"properties": {"previousId": "v-1"}}, [("v-1", "u-1")]),
        ({"properties": {"previousId": 17}}, [("v-1", "u-1"), ("17", "u-1")]),
        ({"properties": {"previousId": {"a": 1}}}, [("v-1", "u-1")]),
        ({"properties": {"previousId": ""}}, [("v-1", "u-1")]),
        ({"visitorId": None, "userId": None, "properties": {"previousId": "old"}}, []),
    ],
)
def test_an_alias_links_who_somebody_was_before(
    event: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert links(eventType="alias", **event) == expected


def test_only_an_alias_has_a_before() -> None:
    assert links(eventType="identify", properties={"previousId": "old"}) == [("v-1", "u-1")]


@pytest.mark.parametrize(
    "event",
    [
        {"visitorId": None},
        {"userId": None},
        {"userId": "undefined"},
        {"visitorId": "null"},
        {"visitorId": "00000000-0000-0000-0000-000000000000"},
        {"userId": "[redacted:email]"},
        {"visitorId": "daily-0123456789abcdef0123456789abcdef"},
        {"visitorId": "same", "userId": "same"},
    ],
)
def test_nobody_is_linked_to_nobody(event: dict[str, Any]) -> None:
    assert links(eventType="identify", **event) == []


def test_a_refused_event_links_nobody() -> None:
    acceptance = accept(
        a_batch(
            an_event(eventType="login", userId="u-1", occurredAt=1e300),
            an_event(eventType="login", userId="u-2", consent="denied"),
        )
    )
    assert (acceptance.accepted, acceptance.links) == ([], [])


def test_the_names_are_a_setting() -> None:
    names = parse_identity_events("Account Opened, ,kyc-done")
    assert names == {"account_opened", "kyc_done"}
    opened = an_event(eventType="account_opened", userId="u")
    assert len(accept(opened, identity_events=names).links) == 1
    login = an_event(eventType="login", userId="u")
    assert accept(login, identity_events=names).links == []
    assert accept(login, identity_events=parse_identity_events("none")).links == []
