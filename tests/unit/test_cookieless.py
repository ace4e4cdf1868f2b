from __future__ import annotations

import logging
import re
from datetime import date, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.collector.cookieless import SALT_BYTES, SaltKeeper, make_visitor_id

SALT = bytes(range(SALT_BYTES))
TODAY = date(2026, 11, 21)
TOMORROW = TODAY + timedelta(days=1)
WHO = {"site_id": "shop.example", "ip": "203.0.113.77", "user_agent": "Mozilla/5.0"}


def a_visitor(salt: bytes = SALT, **different: str | None) -> str:
    return make_visitor_id(salt, **(WHO | different))  # type: ignore[arg-type]


def test_an_id_is_recognisable_and_holds_nothing_readable() -> None:
    assert re.fullmatch("daily-[0-9a-f]{32}", a_visitor())
    # Another value after an upgrade would count a day's visitors twice.
    assert a_visitor() == "daily-086f2266e8c4a26a15e6c4f90b6dbedb"


def test_an_id_is_the_same_for_the_same_and_another_for_any_other() -> None:
    ids = {
        a_visitor(),
        a_visitor(salt=SALT[::-1]),
        a_visitor(site_id="other.example"),
        a_visitor(ip="203.0.113.78"),
        a_visitor(ip=None),
        a_visitor(user_agent="Mozilla/5.1"),
        a_visitor(user_agent=None),
    }
    assert len(ids) == 7
    assert a_visitor() == a_visitor()


fields = st.text(alphabet=st.sampled_from("ab|\0\ud800é"), max_size=4)


@given(st.tuples(fields, fields, fields), st.tuples(fields, fields, fields))
def test_fields_are_never_run_together(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    first, second = (
        make_visitor_id(SALT, site_id=site, ip=ip, user_agent=agent)
        for site, ip, agent in (one, other)
    )
    assert (first == second) == (one == other)


def test_moving_a_letter_across_a_border_makes_another_id() -> None:
    cuts = [(a, b) for a in range(7) for b in range(a, 7)]
    text = "aaaaaa"
    ids = {
        make_visitor_id(SALT, site_id=text[:a], ip=text[a:b], user_agent=text[b:]) for a, b in cuts
    }
    assert len(ids) == len(cuts)
    swapped = {
        make_visitor_id(SALT, site_id=a, ip=b, user_agent=c) for a, b, c in permutations("xyz")
    }
    assert len(swapped) == 6


def test_collectors_that_adopt_the_same_make_the_same_ids() -> None:
    first, second = SaltKeeper(), SaltKeeper()
    stored = first.offer(TODAY)
    assert set(stored) == {TODAY, TOMORROW}
    assert all(len(salt) == SALT_BYTES for salt in stored.values())
    assert second.offer(TODAY) != stored
    for keeper in (first, second):
        keeper.adopt(stored, today=TODAY)
        assert keeper.salt_for(TODAY) == stored[TODAY]
        assert keeper.offer(TODAY) == {}


def test_midnight_passes_while_postgresql_is_away(caplog: pytest.LogCaptureFixture) -> None:
    keeper = SaltKeeper()
    stored = dict(keeper.offer(TODAY))
    keeper.adopt(stored, today=TODAY)
    assert keeper.salt_for(TOMORROW) == stored[TOMORROW]
    offered = keeper.offer(TOMORROW)
    assert set(offered) == {TOMORROW + timedelta(days=1)}
    assert keeper.salt_for(TOMORROW) == stored[TOMORROW]
    assert caplog.records == []


def test_without_a_shared_salt_one_of_its_own_lasts_the_day_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    keeper = SaltKeeper()
    with caplog.at_level(logging.WARNING):
        salts = {keeper.salt_for(TODAY) for _ in range(3)}
        assert keeper.offer(TODAY)[TODAY] in salts
        assert len(salts) == 1
        assert len(caplog.records) == 1
        assert keeper.salt_for(TOMORROW) not in salts
    assert [r.day for r in caplog.records] == ["2026-11-21", "2026-11-22"]  # type: ignore[attr-defined]
    assert not any(salt.hex() in str(vars(record)) for salt in salts for record in caplog.records)


def test_its_own_salt_is_offered_and_gives_way_to_what_is_stored() -> None:
    keeper = SaltKeeper()
    own = keeper.salt_for(TODAY)
    assert keeper.offer(TODAY)[TODAY] == own
    keeper.adopt({TODAY: SALT}, today=TODAY)
    assert keeper.salt_for(TODAY) == SALT
    assert set(keeper.offer(TODAY)) == {TOMORROW}


def test_a_stored_salt_that_is_gone_is_stored_again() -> None:
    keeper = SaltKeeper()
    stored = dict(keeper.offer(TODAY))
    keeper.adopt(stored, today=TODAY)
    keeper.adopt({}, today=TODAY)
    assert keeper.offer(TODAY) == stored


def test_a_salt_is_forgotten_after_two_days() -> None:
    keeper = SaltKeeper()
    made_today_for_tomorrow = keeper.offer(TODAY)[TOMORROW]
    keeper.adopt({TODAY: SALT, TOMORROW: made_today_for_tomorrow}, today=TODAY)
    after_tomorrow = TOMORROW + timedelta(days=1)
    keeper.offer(after_tomorrow)
    assert SALT not in keeper._salts.values()
    assert made_today_for_tomorrow not in keeper._salts.values()
    keeper.adopt({TODAY: SALT}, today=after_tomorrow)
    assert SALT not in keeper._salts.values()
