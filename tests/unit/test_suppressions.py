from __future__ import annotations

import time
from uuid import UUID, uuid4

import pytest

from api.collector.rules import Rules
from api.collector.suppressions import Suppressions
from core.suppression import PersonKind, digest_person
from tests.conftest import an_event
from tests.unit.accepting import accept

STACK = UUID("019aa1b2-7c1e-7a50-9d3e-3f1b8c2a4d5e")


def suppressing(*persons: tuple[PersonKind, str]) -> Suppressions:
    return Suppressions(STACK, frozenset(digest_person(STACK, *person) for person in persons))


SOMEBODY = suppressing(("visitor", "v-gone"), ("user", "u-gone"))
RULES = Rules(version=1, suppressions=SOMEBODY)


def test_the_digest_is_of_stack_kind_and_id() -> None:
    digests = {
        digest_person(stack, kind, person)
        for stack in (STACK, uuid4())
        for kind in ("visitor", "user")
        for person in ("a", "b")
    }
    assert len(digests) == 8
    assert {len(digest) for digest in digests} == {32}


@pytest.mark.parametrize(
    ("event", "refused"),
    [
        ({"visitorId": "v-gone"}, True),
        ({"visitorId": "v-other", "userId": "u-gone"}, True),
        ({"visitorId": "v-gone", "userId": "u-other"}, True),
        ({"visitorId": "v-other", "userId": "u-other"}, False),
        ({"visitorId": None}, False),
        ({"visitorId": "u-gone"}, False),
        ({"visitorId": "v-gone "}, False),
        ({"visitorId": "v", "userId": "u", "properties": {"previousId": "v-gone"}}, True),
        ({"visitorId": "v", "userId": "u", "properties": {"previousId": "u-gone"}}, True),
        ({"visitorId": "v", "userId": "u", "properties": {"previousId": ["v-gone"]}}, False),
    ],
)
def test_whoever_is_on_the_list_is_refused(event: dict[str, str], refused: bool) -> None:
    acceptance = accept(an_event(**event), rules=RULES)
    assert [str(r.reason) for r in acceptance.refused] == (["suppressed"] if refused else [])
    assert acceptance.status == 200
    assert acceptance.letters == []


def test_a_number_is_the_same_person_as_its_text() -> None:
    numbered = Rules(version=1, suppressions=suppressing(("user", "42"), ("visitor", "7")))
    assert accept(an_event(userId=42), rules=numbered).accepted == []
    aliased = an_event(userId="u", properties={"previousId": 7})
    assert accept(aliased, rules=numbered).accepted == []


@pytest.mark.parametrize(
    ("text", "mentioned"),
    [
        ('{"anonymousId":"v-gone","eventType":1}', True),
        ('{"a":{"b":["x","u-gone"]}}', True),
        (r'{"userId":"u\u002dgone"}', True),
        ('{"userId":"u-gone', False),
        ('{"userId":"u-gone" broken', True),
        ('{"userId":"u-other"}', False),
        ('{"note":"not v-gone but about"}', False),
        (r'{"x":"\ud800","y":"v-gone"}', True),
        ("", False),
    ],
)
def test_a_dead_letter_mentions_them_under_any_name(text: str, mentioned: bool) -> None:
    assert SOMEBODY.mentioned_in(text) is mentioned


def test_a_number_is_found_in_a_letter_too() -> None:
    assert suppressing(("user", "42")).mentioned_in('{"userId":42}')


@pytest.mark.parametrize("text", ['"' * 32_000, '"\\' + '\\"' * 16_000, "-" * 32_000])
def test_a_hostile_letter_is_read_in_one_pass(text: str) -> None:
    began = time.perf_counter()
    SOMEBODY.mentioned_in(text)
    assert time.perf_counter() - began < 1


def test_an_empty_list_is_no_step() -> None:
    from api.collector.acceptance import Policy
    from api.collector.steps import refuse_suppressed
    from tests.unit.accepting import LIMITS

    assert refuse_suppressed not in Policy(limits=LIMITS).steps
    assert refuse_suppressed in Policy(limits=LIMITS, rules=RULES).steps
