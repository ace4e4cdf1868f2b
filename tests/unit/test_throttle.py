from __future__ import annotations

import threading

import pytest

from api.collector.dialects.dialect import DecodedBody
from api.collector.throttle import Throttle, retry_after
from core.event import Event
from core.refusal import RefusalReason, Refused

IP = "203.0.113.77"
NO = Refused(RefusalReason.INVALID_EVENT, "no")


class Seconds:
    """A monotonic clock that a test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def a_throttle(
    *, per_ip: int = 0, per_site: int = 0, processes: int = 1, seconds: Seconds | None = None
) -> Throttle:
    return Throttle(
        per_ip=per_ip, per_site=per_site, processes=processes, monotonic=seconds or Seconds()
    )


def events(*sites: str | None) -> DecodedBody:
    return DecodedBody([Event(event_type="a", site_id=site) for site in sites])


def test_no_limit_refuses_nobody() -> None:
    throttle = a_throttle()
    assert throttle.charge_ip(IP, 10**9) is None
    assert throttle.turn_away(IP) is None
    decoded = events("a")
    throttle.charge_sites(decoded, "fallback")
    assert decoded.events == events("a").events


def test_ten_seconds_worth_at_once_and_then_as_much_as_comes_in() -> None:
    seconds = Seconds()
    throttle = a_throttle(per_ip=10, seconds=seconds)
    assert throttle.charge_ip(IP, 100) is None
    refused = throttle.charge_ip(IP, 1)
    assert refused is not None
    assert refused.reason is RefusalReason.RATE_LIMITED
    assert throttle.turn_away(IP) is not None
    assert throttle.charge_ip("198.51.100.1", 100) is None
    seconds.now = 0.11
    assert throttle.turn_away(IP) is None
    assert throttle.charge_ip(IP, 1) is None


def test_processes_share_a_limit() -> None:
    throttle = a_throttle(per_ip=10, processes=4)
    assert throttle.charge_ip(IP, 25) is None
    assert throttle.charge_ip(IP, 1) is not None


def test_a_request_without_events_or_address_costs_nothing() -> None:
    throttle = a_throttle(per_ip=1)
    assert throttle.charge_ip(IP, 10) is None
    assert throttle.charge_ip(IP, 0) is None
    assert throttle.charge_ip(None, 10**6) is None
    assert throttle.turn_away(None) is None


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("203.0.113.1", "203.0.113.2", False),
        ("a socket", "a socket", True),
    ],
)
def test_who_has_one_address_of_a_64_has_them_all(one: str, other: str, are_one: bool) -> None:
    throttle = a_throttle(per_ip=1)
    throttle.charge_ip(one, 10)
    assert (throttle.charge_ip(other, 1) is not None) is are_one


def test_of_a_site_that_sends_too_much_the_events_are_refused_and_no_others() -> None:
    throttle = a_throttle(per_site=1)
    full = events(*["busy"] * 10)
    throttle.charge_sites(full, "fallback")
    assert not any(isinstance(event, Refused) for event in full.events)
    decoded = events("busy", "calm", None, "busy")
    decoded.events.append(NO)
    throttle.charge_sites(decoded, "fallback")
    reasons = [e.reason if isinstance(e, Refused) else None for e in decoded.events]
    limited = RefusalReason.RATE_LIMITED
    assert reasons == [limited, None, None, limited, RefusalReason.INVALID_EVENT]


def test_an_event_without_a_site_counts_for_the_requests() -> None:
    throttle = a_throttle(per_site=1)
    throttle.charge_sites(events(*[None] * 10), "shop.example")
    decoded = events("shop.example")
    throttle.charge_sites(decoded, "fallback")
    (refused,) = decoded.events
    assert isinstance(refused, Refused)
    assert refused.site_id == "shop.example"


def test_whole_seconds_to_wait_and_the_longest_of_them() -> None:
    seconds = Seconds()
    throttle = a_throttle(per_ip=10, seconds=seconds)
    throttle.charge_ip(IP, 100)
    short, long = throttle.charge_ip(IP, 1), throttle.charge_ip(IP, 25)
    assert short is not None
    assert long is not None
    assert retry_after([short]) == 1
    assert retry_after([NO, short, long]) == 3
    assert "come again in 3 s" in long.message
    assert retry_after([NO]) is None
    assert retry_after([]) is None


def test_threads_take_no_more_together_than_there_is() -> None:
    throttle = a_throttle(per_ip=100)
    taken: list[bool] = []

    def take() -> None:
        taken.extend(throttle.charge_ip(IP, 1) is None for _ in range(500))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 1_000
