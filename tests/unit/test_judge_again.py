"""What was judged by rules that have changed is judged again, with all that hangs on it."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from api.collector.acceptance import Acceptance
from api.collector.intake_of import intake_of
from api.collector.judge_again import judge_again, settle
from api.collector.rules import Rules
from api.collector.sites import SitePolicy, SiteRules
from api.collector.suppressions import Suppressions
from core.event_id import make_event_id
from core.keys import UNKNOWN_SITE
from core.refusal import RefusalReason, Refused
from core.suppression import digest_person
from database.intake_batch import DeadLetter, IdentityLink, Intake, LedgerKey, decode_intake
from tests.conftest import a_batch, an_event
from tests.unit.accepting import FACTS, accept, read_row

STACK = UUID(int=7)
KNOWN = {"shop.example": "accepted", "other.example": "accepted"}


def rules(
    known: dict[str, Any] | None = None,
    *,
    version: int = 2,
    gone: tuple[str, ...] = (),
    **policy: Any,
) -> Rules:
    """Rules by which the visitors (v-…) and users (u-…) of `gone` are suppressed."""
    digests = {digest_person(STACK, "visitor" if p[0] == "v" else "user", p) for p in gone}
    return Rules(
        version=version,
        sites=SiteRules(SitePolicy(**policy), KNOWN if known is None else known),
        suppressions=Suppressions(STACK, frozenset(digests)),
    )


BEFORE = rules(version=1)


def by_two_paths(
    acceptance: Acceptance, newer: Rules
) -> tuple[list[tuple[str, str | None]], dict[LedgerKey, int], Intake]:
    """(event id, visitor) of the rows, the counts, and the intake: group commit's way and the
    spool's, which have to agree."""
    entry = decode_intake(intake_of([acceptance], BEFORE.sites).encode())
    replayed = judge_again(entry, newer)
    settle([acceptance], newer)
    settled = intake_of([acceptance], newer.sites)
    assert replayed.rows == settled.rows
    assert replayed.counts == settled.counts
    assert replayed.sites == settled.sites
    assert replayed.links == settled.links
    # All but their ids, and the moment at which they were made of rows.
    assert [letter[2:] for letter in replayed.letters] == [letter[2:] for letter in settled.letters]
    rows = [(read_row(row).payload["eventId"], read_row(row).visitor_id) for row in settled.rows]
    return rows, {key: count.events for key, count in settled.counts.items()}, settled


def test_who_is_suppressed_meanwhile_is_refused_and_counted() -> None:
    acceptance = accept(
        a_batch(
            an_event(eventId="a", visitorId="v-gone"),
            an_event(eventId="b"),
            an_event(eventId="c", userId="u-gone"),
            an_event(
                eventId="d", eventType="alias", userId="u", properties={"previousId": "v-gone"}
            ),
            an_event(eventId="e", properties={"previousId": "v-else"}),
        ),
        rules=BEFORE,
    )
    rows, counts, _ = by_two_paths(acceptance, rules(gone=("v-gone", "u-gone")))
    assert rows == [("b", "v-1"), ("e", "v-1")]
    assert counts == {
        LedgerKey("shop.example", "page_view", "accepted"): 2,
        LedgerKey("shop.example", "", "suppressed"): 3,
    }
    assert [(r.index, r.reason) for r in acceptance.refused] == [
        (0, RefusalReason.SUPPRESSED),
        (2, RefusalReason.SUPPRESSED),
        (3, RefusalReason.SUPPRESSED),
    ]
    assert acceptance.rules_version == 2


def test_their_links_and_letters_go_too() -> None:
    acceptance = accept(
        a_batch(
            an_event(eventType="login", visitorId="v-gone", userId="u-1"),
            an_event(eventType="login", visitorId="v-2", userId="u-1"),
            an_event(eventType="login", visitorId="v-3", userId="u-gone"),
        ),
        rules=BEFORE,
    )
    acceptance.letters = [a_letter('{"visitor_id":"v-gone"}'), a_letter('{"visitor_id":"v-9"}')]
    _, _, intake = by_two_paths(acceptance, rules(gone=("v-gone", "u-gone")))
    assert intake.links == [IdentityLink("shop.example", "v-2", "u-1", "login")]
    assert [letter.payload for letter in intake.letters] == ['{"visitor_id":"v-9"}']


def a_letter(payload: str) -> DeadLetter:
    return DeadLetter(
        dead_letter_id=make_event_id(),
        arrived_at=FACTS.arrived_at,
        site_id="shop.example",
        reason="invalid_event",
        field=None,
        message="no",
        event_type="",
        dialect="",
        request="",
        payload=payload,
        payload_bytes=len(payload),
        is_cut=False,
    )


def test_a_letter_of_somebody_suppressed_long_ago_is_not_kept_either() -> None:
    now = rules(gone=("v-gone",))
    acceptance = accept(an_event(), rules=now)
    acceptance.letters = [a_letter('{"anonymousId":"v-gone","eventType":7}')]
    settle([acceptance], now)
    assert acceptance.letters == []
    assert len(acceptance.accepted) == 1


def test_a_site_that_is_refused_meanwhile() -> None:
    batch = a_batch(an_event(), an_event(siteId="other.example", eventType="login", userId="u"))
    acceptance = accept(batch, rules=BEFORE)
    rows, counts, intake = by_two_paths(
        acceptance, rules({"shop.example": "accepted", "other.example": "refused"})
    )
    assert len(rows) == 1
    assert counts[LedgerKey("other.example", "", "site_refused")] == 1
    assert (intake.links, intake.letters) == ([], [])


def test_a_site_that_is_in_quarantine_meanwhile_keeps_its_events() -> None:
    event = an_event(siteId="other.example", title="kept", properties={"a": 1})
    facts = structs.replace(FACTS, dialect="segment", user_agent="Agent/1")
    acceptance = accept(event, facts=facts, rules=BEFORE)
    quarantined = {"shop.example": "accepted", "other.example": "quarantined"}
    rows, counts, intake = by_two_paths(acceptance, rules(quarantined))
    assert rows == []
    assert counts == {LedgerKey("other.example", "", "site_quarantined"): 1}
    (letter,) = intake.letters
    assert (letter.site_id, letter.reason, letter.dialect) == (
        "other.example", "site_quarantined", "segment",
    )  # fmt: skip
    kept = json.loads(letter.payload)
    assert kept.pop("occurredAt"), "dated, since nobody knows later when it came"
    assert kept == event | {"userAgent": "Agent/1"}, "no server's facts"
    assert acceptance.status == 403


@pytest.mark.parametrize("mode", ["accept", "quarantine", "refuse"])
def test_what_was_taken_before_any_rules_were_known(mode: str) -> None:
    batch = a_batch(
        an_event(eventId="a", siteId="new.example", url="https://new.example/x?y"),
        an_event(eventId="b"),
        an_event(siteId="random.example", occurredAt=1e300),
    )
    acceptance = accept(batch, facts=structs.replace(FACTS, dialect="snowplow"))
    entry = decode_intake(intake_of([acceptance]).encode())
    assert LedgerKey("random.example", "", "invalid_time") in entry.counts
    intake = judge_again(entry, rules(new_sites=mode))
    settle([acceptance], rules(new_sites=mode))
    assert intake_of([acceptance], rules().sites).counts == intake.counts
    assert intake.counts[LedgerKey(UNKNOWN_SITE, "", "invalid_time")].events == 1
    match mode:
        case "accept":
            assert len(intake.rows) == 2
            assert [tuple(site) for site in intake.sites] == [
                ("new.example", "accepted", "snowplow", "https://new.example")
            ]
        case "quarantine":
            assert [site.state for site in intake.sites] == ["quarantined"]
            assert intake.counts[LedgerKey("new.example", "", "site_quarantined")].events == 1
            assert [letter.reason for letter in intake.letters] == [
                "invalid_time", "site_quarantined",
            ]  # fmt: skip
        case "refuse":
            assert intake.sites == []
            assert intake.counts[LedgerKey(UNKNOWN_SITE, "", "site_refused")].events == 1


def test_a_site_that_somebody_else_noted_first_is_noted_no_more() -> None:
    acceptance = accept(an_event(siteId="new.example"), rules=BEFORE)
    assert len(acceptance.sites) == 1
    rows, _, intake = by_two_paths(acceptance, rules(KNOWN | {"new.example": "accepted"}))
    assert len(rows) == 1
    assert intake.sites == []


def test_the_last_room_may_be_gone_meanwhile() -> None:
    acceptance = accept(an_event(siteId="new.example"), rules=rules(version=1, max_sites=3))
    assert len(acceptance.accepted) == 1
    rows, counts, intake = by_two_paths(
        acceptance, rules(KNOWN | {"third.example": "accepted"}, max_sites=3)
    )
    assert (rows, intake.sites) == ([], [])
    assert counts == {LedgerKey(UNKNOWN_SITE, "", "site_refused"): 1}


def test_an_event_that_is_refused_for_another_reason_takes_its_link_and_site_along() -> None:
    # As group commit does it, when PostgreSQL refuses a row.
    acceptance = accept(an_event(siteId="new.example", eventType="login", userId="u"), rules=BEFORE)
    acceptance.accepted.clear()
    acceptance.refuse(Refused(RefusalReason.UNSTORABLE, "no", index=0))
    settle([acceptance], BEFORE)
    assert (acceptance.links, acceptance.sites) == ([], [])


EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "siteId": st.sampled_from([*KNOWN, "new.example", "newer.example"]),
            "eventType": st.sampled_from(["page_view", "login", "alias"]),
            "visitorId": st.sampled_from([None, "v-1", "v-gone"]),
            "userId": st.sampled_from([None, "u-1", "u-gone"]),
            "properties": st.sampled_from([None, {"previousId": "v-gone"}, {"previousId": "v"}]),
        }
    ),
    min_size=1,
    max_size=12,
)


@given(
    EVENTS,
    st.sampled_from(["accept", "quarantine", "refuse"]),
    st.sampled_from([0, 2, 3, 10]),
    st.sampled_from([KNOWN, {"shop.example": "accepted"}, {"shop.example": "quarantined"}]),
)
def test_both_ways_agree_and_nothing_is_lost_or_counted_twice(
    events: list[dict[str, Any]], mode: str, max_sites: int, known: dict[str, Any]
) -> None:
    newer = rules(known, gone=("v-gone", "u-gone"), new_sites=mode, max_sites=max_sites)
    acceptance = accept(a_batch(*[an_event(**event) for event in events]), rules=BEFORE)
    rows, counts, intake = by_two_paths(acceptance, newer)
    assert sum(counts.values()) == len(events)
    assert len(rows) == sum(n for key, n in counts.items() if key.outcome == "accepted")
    assert len(acceptance.accepted) + acceptance.refused_events == len(events)
    assert sorted([r.index or 0 for r in acceptance.refused] + [
        e.place for e in acceptance.accepted
    ]) == list(range(len(events)))  # fmt: skip
    assert not any("gone" in row.decode("latin-1") for row in intake.rows)
    assert not any("gone" in str(link) for link in intake.links)
    assert len(known) + len(intake.sites) <= max(max_sites, len(known))
    again = judge_again(intake, newer)
    assert again.encode() == intake.encode()
