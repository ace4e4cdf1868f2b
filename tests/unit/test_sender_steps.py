"""What an event gets to know of its sender, and what may not stay of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from msgspec import structs

from api.collector.acceptance import Policy, RequestFacts, steps_of
from api.collector.cookieless import DAILY_PREFIX, SaltKeeper
from api.collector.geo import Place
from api.collector.redaction import Detector, Redactor
from api.collector.rules import SUPPRESSED, Rules
from api.collector.sender_steps import flag_bot, locate, name_visitor, redact
from api.collector.steps import Draft
from api.collector.suppressions import Suppressions
from core.event import Event
from core.refusal import RefusalReason
from core.suppression import digest_person
from tests.conftest import an_event
from tests.unit.accepting import FACTS, LIMITS, accept, read_row

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:147.0) Gecko/20100101 Firefox/147.0"
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
IP, OTHER_IP = "203.0.113.77", "198.51.100.9"
SALTS = SaltKeeper()
NOWHERE = Place(None, None)
PLACES = {IP: Place("US", "CA"), OTHER_IP: Place("GB", "ENG")}


def of_request(**different: Any) -> RequestFacts:
    sent = {"whole_ip": IP, "user_agent": BROWSER, "country": "US", "region": "CA"}
    return structs.replace(FACTS, **(sent | different))


def a_draft(
    event: Event | None = None,
    *,
    facts: RequestFacts | None = None,
    visitor_ip: str | None = None,
    **policy: Any,
) -> Draft:
    given: dict[str, Any] = {"salts": SALTS, "locate": lambda ip: PLACES.get(ip, NOWHERE)}
    event = event or Event(event_type="a")
    draft = Draft(
        event, 0, facts or of_request(), Policy(limits=LIMITS, **(given | policy)), visitor_ip
    )
    draft.site_id = event.site_id or "shop.example"
    return draft


# --- bots ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "facts", "reason"),
    [
        (None, {}, None),
        (None, {"bot_reason": "tool:curl"}, "tool:curl"),
        (CRAWLER, {}, "crawler:Googlebot"),
        # A page that tells another browser's name may be automated all the same.
        (BROWSER, {"bot_reason": "headless:HeadlessChrome"}, "headless:HeadlessChrome"),
        # A server passes on what others did: with its key, or with a browser's name from no page.
        (None, {"bot_reason": "tool:axios", "is_server": True}, None),
        (BROWSER, {"bot_reason": "tool:axios", "from_page": False}, None),
        (None, {"bot_reason": "tool:axios", "from_page": False}, "tool:axios"),
        (CRAWLER, {"bot_reason": "tool:axios", "is_server": True}, "crawler:Googlebot"),
    ],
)
def test_who_is_a_bot(agent: str | None, facts: dict[str, Any], reason: str | None) -> None:
    draft = a_draft(Event(event_type="a", user_agent=agent), facts=of_request(**facts))
    assert flag_bot(draft) is None
    if reason is None:
        assert draft.marks is None
    else:
        assert draft.marks is not None
        assert (draft.marks.is_bot, draft.marks.bot_reason) == (True, reason)


def test_a_bot_may_be_dropped() -> None:
    refused = flag_bot(a_draft(facts=of_request(bot_reason="tool:curl"), bots="drop"))
    assert refused is not None
    assert refused.reason is RefusalReason.BOT
    assert "tool:curl" in refused.message
    assert flag_bot(a_draft(bots="drop")) is None


# --- the visitor's id of the day ----------------------------------------------------------------


def named(draft: Draft) -> str | None:
    assert name_visitor(draft) is None
    return draft.event.visitor_id


@pytest.mark.parametrize(
    ("mode", "own", "is_cookieless", "is_made"),
    [
        ("dialects", None, False, False),
        ("dialects", None, True, True),
        ("dialects", "v-1", True, False),
        ("missing", None, False, True),
        ("missing", "v-1", True, False),
        ("always", "v-1", False, True),
    ],
)
def test_when_an_id_is_made(mode: str, own: str | None, is_cookieless: bool, is_made: bool) -> None:
    event = Event(event_type="a", visitor_id=own)
    facts = of_request(is_cookieless=is_cookieless)
    visitor_id = named(a_draft(event, facts=facts, cookieless=mode))
    if is_made:
        assert visitor_id is not None
        assert visitor_id.startswith(DAILY_PREFIX)
    else:
        assert visitor_id == own


def test_it_is_the_visitors_for_a_day_and_a_site() -> None:
    def of(site: str = "shop.example", **different: Any) -> str | None:
        event = Event(event_type="a", site_id=site)
        return named(a_draft(event, facts=of_request(**different), cookieless="missing"))

    one = of()
    assert of() == one
    tomorrow = FACTS.arrived_at + timedelta(days=1)
    others = [
        *(of("other.example"), of(whole_ip=OTHER_IP), of(user_agent="Other/1")),
        of(arrived_at=tomorrow),
    ]
    assert len({one, *others}) == 5


def test_a_visitor_whom_a_server_tells_of_is_the_one_who_comes_alone() -> None:
    alone = named(a_draft(cookieless="missing"))
    event = Event(event_type="a", user_agent=BROWSER)
    server = of_request(whole_ip=OTHER_IP, user_agent="axios/1", is_server=True)
    assert named(a_draft(event, facts=server, visitor_ip=IP, cookieless="missing")) == alone


@pytest.mark.parametrize(
    ("facts", "visitor_ip"),
    [({"is_server": True}, None), ({}, ""), ({"whole_ip": None}, None)],
    ids=["a server", "asked that none be known", "a letter, or a socket"],
)
def test_without_a_visitors_address_there_is_no_id(
    facts: dict[str, Any], visitor_ip: str | None
) -> None:
    draft = a_draft(facts=of_request(**facts), visitor_ip=visitor_ip, cookieless="missing")
    assert named(draft) is None


def test_where_all_ids_are_of_a_day_none_lasts_because_the_address_is_missing() -> None:
    def left_of(visitor_id: str, **facts: Any) -> str | None:
        event = Event(event_type="a", visitor_id=visitor_id)
        given = of_request(**({"whole_ip": None} | facts))
        return named(a_draft(event, facts=given, cookieless="always"))

    assert left_of("v-1") is None
    assert left_of("daily-0123") == "daily-0123", "as it was made when the letter's event came"
    assert left_of("v-1", is_server=True) == "v-1", "what a server says is the client's own"


def test_an_erased_visitors_id_of_the_day_is_refused() -> None:
    visitor_id = named(a_draft(cookieless="missing"))
    assert visitor_id is not None
    stack_id = uuid4()
    erased = Suppressions(stack_id, frozenset({digest_person(stack_id, "visitor", visitor_id)}))
    rules = Rules(suppressions=erased)
    assert name_visitor(a_draft(cookieless="missing", rules=rules)) is SUPPRESSED
    other = of_request(whole_ip=OTHER_IP)
    assert name_visitor(a_draft(facts=other, cookieless="missing", rules=rules)) is None


# --- where, and from which network --------------------------------------------------------------


def located(draft: Draft) -> tuple[str | None, str | None]:
    assert locate(draft) is None
    return draft.event.country, draft.event.region


@pytest.mark.parametrize(
    ("event", "facts", "visitor_ip", "place"),
    [
        ({}, {}, None, ("US", "CA")),
        ({"country": "FR"}, {}, None, ("FR", None)),
        ({"region": "NY"}, {}, None, ("US", "NY")),
        ({}, {"is_server": True}, None, (None, None)),
        ({}, {"is_server": True}, OTHER_IP, ("GB", "ENG")),
        ({"country": "FR"}, {}, OTHER_IP, ("FR", None)),
        ({}, {}, "", (None, None)),
        ({}, {}, "none at all", (None, None)),
    ],
)
def test_where_an_event_is_from(
    event: dict[str, Any], facts: dict[str, Any], visitor_ip: str | None, place: tuple[str, str]
) -> None:
    draft = a_draft(
        Event(event_type="a", **event), facts=of_request(**facts), visitor_ip=visitor_ip
    )
    assert located(draft) == place


@pytest.mark.parametrize(
    ("visitor_ip", "mode", "stored"),
    [
        (IP, "truncate", "203.0.113.0"),
        ("2001:db8:1:2::77", "truncate", "2001:db8:1::"),
        (IP, "drop", None),
        ("", "truncate", None),
        ("none at all", "truncate", None),
    ],
)
def test_the_visitors_address_is_cut(visitor_ip: str, mode: str, stored: str | None) -> None:
    draft = a_draft(visitor_ip=visitor_ip, ip_mode=mode)
    located(draft)
    assert draft.marks is not None
    assert draft.marks.ip == stored


# --- what is private ----------------------------------------------------------------------------

REDACTOR = Redactor(frozenset(Detector))


def test_what_is_too_large_to_be_stored_is_not_read_for_what_is_private() -> None:
    large = Event(event_type="a", properties={"text": "anna@example.com " * 2_000})
    draft = a_draft(large, redactor=REDACTOR)
    refused = redact(draft)
    assert refused is not None and refused.reason is RefusalReason.TOO_LARGE
    assert "anna@" in draft.event.properties["text"]  # type: ignore[index]


def test_what_was_replaced_is_counted() -> None:
    draft = a_draft(Event(event_type="a", title="anna@example.com"), redactor=REDACTOR)
    assert redact(draft) is None
    assert draft.event.title == "[redacted:email]"
    assert draft.marks is not None
    assert draft.marks.redactions == 1


def test_the_browsers_name_from_the_header_is_looked_at_too() -> None:
    facts = of_request(user_agent="Shop/7 (anna@example.com)")
    draft = a_draft(facts=facts, redactor=REDACTOR)
    redact(draft)
    assert draft.event.user_agent == "Shop/7 ([redacted:email])"


def test_nothing_is_looked_at_where_the_body_is_clean() -> None:
    def titles(*, is_suspect: bool) -> set[str]:
        facts = of_request(is_suspect=is_suspect)
        accepted = accept(an_event(title="anna@example.com"), facts=facts, redactor=REDACTOR)
        return {read_row(event.row).payload["title"] for event in accepted.accepted}

    assert titles(is_suspect=True) == {"[redacted:email]"}
    assert titles(is_suspect=False) == {"anna@example.com"}, "who says so has looked"


# --- steps that have something to do ------------------------------------------------------------


def test_a_step_with_nothing_to_do_is_none() -> None:
    def steps(**policy: Any) -> set[Any]:
        return {*steps_of(Policy(limits=LIMITS, **policy))} & {name_visitor, redact}

    assert steps() == set()
    assert steps(salts=SALTS, cookieless="off") == set()
    assert steps(salts=SALTS, cookieless="dialects") == {name_visitor}
    assert steps(redactor=REDACTOR) == {redact}
