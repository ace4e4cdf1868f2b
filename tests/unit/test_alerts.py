"""Which alerts the facts call for, and what is told of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.keys import UNKNOWN_SITE
from core.settings import SettingsError, read_settings
from exporter.alerts.find import (
    ALL_SITES,
    MOST_NAMED,
    Alert,
    Condition,
    Disk,
    Facts,
    SiteTraffic,
    StoppedSink,
    Thresholds,
    find_alerts,
)
from exporter.alerts.mail import compose
from exporter.alerts.reconcile import CALM, TELL_AGAIN, OpenAlert, compare
from exporter.alerts.settings import webhook_key
from exporter.alerts.tell import FIRST_RETRY, LONGEST_RETRY, DueNotice
from exporter.alerts.webhook import sign
from exporter.backoff import retry_after
from exporter.settings import ExporterSettings
from tests.conftest import NOON

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
THRESHOLDS = Thresholds(
    silence=timedelta(hours=6), duplicates_percent=20, refusals_percent=20, disk_free_percent=10
)
REQUIRED = {
    "DATABASE_URL": "postgresql://db/sluice",
    "CLIENT_S3_BUCKET": "client",
    "METERING_S3_BUCKET": "metering",
}


def facts(**different: Any) -> Facts:
    return Facts(**{"now": NOON, "watching_since": NOON - timedelta(days=9)} | different)


def a_site(site_id: str = "shop.example", **different: Any) -> SiteTraffic:
    """One that had events in the last hour, no repeat and no refusal among them."""
    ordinary: dict[str, Any] = {
        "site_id": site_id,
        "last_hour": NOON,
        "recent": 500,
        "week_before": 500,
        "active_days": 7,
        "accepted": 1_000,
        "duplicates": 0,
        "refused": 0,
        "usual_accepted": 100_000,
        "usual_duplicates": 1_000,
        "usual_refused": 1_000,
    }
    return SiteTraffic(**ordinary | different)


def silent(site_id: str = "shop.example", **different: Any) -> SiteTraffic:
    facts = {"recent": 0, "accepted": 0, "last_hour": NOON - timedelta(hours=8)}
    return a_site(site_id, **facts | different)


def found(facts: Facts, thresholds: Thresholds = THRESHOLDS) -> list[tuple[str, str]]:
    return [alert.name for alert in find_alerts(facts, thresholds)]


# --- each condition ------------------------------------------------------------------------------


def test_nothing_is_wrong() -> None:
    assert found(facts(sites=(a_site(),), disks=(Disk("/", 50, 100),))) == []


def test_a_sink_that_has_stopped() -> None:
    [alert] = find_alerts(facts(stopped=(StoppedSink("client", "AccessDenied.", 3),)), THRESHOLDS)
    assert alert.name == ("sink_stopped", "client")
    assert "AccessDenied." in alert.message
    assert "/export/sinks/client/test" in alert.remedy


def test_an_event_that_waits_for_longer_than_promised() -> None:
    promised = timedelta(minutes=62)
    late = facts(
        oldest_undelivered=NOON - timedelta(hours=3), promised=promised, waiting_sinks=("client",)
    )
    [alert] = find_alerts(late, THRESHOLDS)
    assert alert.name == ("lag", "")
    assert "client waits for was received 3 h ago; promised are 62 min" in alert.message
    assert found(replace(late, oldest_undelivered=NOON - promised)) == []
    assert found(replace(late, oldest_undelivered=None)) == []
    assert found(replace(late, promised=None)) == []


def test_a_disk_with_too_little_room() -> None:
    assert found(facts(disks=(Disk("/data", 9, 100),))) == [("disk_low", "/data")]
    assert found(facts(disks=(Disk("/data", 10, 100), Disk("/proc", 0, 0)))) == []


def test_a_site_that_usually_has_events_and_has_none() -> None:
    assert found(facts(sites=(silent(),))) == [("silent_site", "shop.example")]


@pytest.mark.parametrize(
    "different",
    [
        {"recent": 1},
        {"week_before": 0},  # at this time of the week it never has any
        {"active_days": 4},  # it has some now and then
        {"last_hour": NOON - timedelta(days=9)},  # it is gone
        {"last_hour": None},  # it never had any
    ],
)
def test_a_site_that_is_quiet_for_a_reason(different: dict[str, Any]) -> None:
    assert found(facts(sites=(silent(**different),))) == []


def test_a_site_s_silence_is_not_over_because_night_falls() -> None:
    at_night = silent(week_before=0)
    assert found(facts(sites=(at_night,))) == []
    for known in ("shop.example", ALL_SITES):
        assert found(facts(sites=(at_night,), known_silent=frozenset({known}))) == [
            ("silent_site", "shop.example")
        ]


def test_no_site_is_silent_because_the_stack_was_down() -> None:
    just_up = facts(sites=(silent("a"), silent("b")), watching_since=NOON - timedelta(minutes=5))
    assert found(just_up) == []
    assert found(replace(just_up, known_silent=frozenset({"a"}))) == [("silent_site", "a")]


def test_many_silent_sites_are_one_alert() -> None:
    sites = tuple(silent(f"{n:02d}.example") for n in range(MOST_NAMED + 1))
    [alert] = find_alerts(facts(sites=sites), THRESHOLDS)
    assert alert.name == ("silent_site", ALL_SITES)
    assert alert.message.startswith("21 sites have had no event")
    assert len(find_alerts(facts(sites=sites[1:]), THRESHOLDS)) == MOST_NAMED


def test_a_spike_of_duplicates_and_what_is_none() -> None:
    def spikes(**different: Any) -> list[tuple[str, str]]:
        return found(facts(sites=(a_site(**different),)))

    assert spikes(duplicates=200) == [("duplicate_spike", "shop.example")]
    assert spikes(duplicates=199) == []
    assert spikes(duplicates=200, usual_duplicates=11_000) == []  # not twice what is usual
    # What is usual may be the half of it, by a tracker's own repeats.
    assert spikes(duplicates=740, usual_duplicates=50_000) == []
    assert spikes(duplicates=760, usual_duplicates=50_000) == [("duplicate_spike", "shop.example")]
    assert spikes(accepted=99, duplicates=99) == []  # too few to say


def test_a_spike_of_refusals() -> None:
    assert found(facts(sites=(a_site(refused=250),))) == [("refusal_spike", "shop.example")]
    assert found(facts(sites=(a_site(refused=249),))) == []
    assert found(facts(sites=(a_site(refused=300, usual_refused=30_000),))) == []


def test_a_site_that_is_not_known_is_measured_by_the_whole_stack() -> None:
    unknown = silent(UNKNOWN_SITE, refused=100, usual_accepted=0, last_hour=None, usual_refused=0)
    assert found(facts(sites=(a_site(), unknown))) == []
    flood = replace(unknown, refused=1_000)
    assert found(facts(sites=(a_site(), flood))) == [("refusal_spike", UNKNOWN_SITE)]


def test_0_turns_an_alert_off() -> None:
    off = Thresholds(
        silence=timedelta(0), duplicates_percent=0, refusals_percent=0, disk_free_percent=0
    )
    sites = (silent("a"), a_site(duplicates=900, refused=9_000))
    assert found(facts(sites=sites, disks=(Disk("/", 0, 100),)), off) == []


# --- what there is to tell -----------------------------------------------------------------------


def an_alert(subject: str = "client") -> Alert:
    return Alert(Condition.SINK_STOPPED, subject, "It has stopped.", "Mend it.")


def known(alert: Alert, **different: Any) -> OpenAlert:
    times = {"begun_at": NOON, "told_at": NOON, "found_at": NOON}
    return OpenAlert(
        alert_id=UUID(int=1), condition=alert.condition, subject=alert.subject, **times | different
    )


def changed(now: datetime, *found: Alert, open_: tuple[OpenAlert, ...] = ()) -> dict[str, int]:
    changes = compare(open_, found, now=now)
    counts = {name: len(getattr(changes, name)) for name in changes.__dataclass_fields__}
    return {name: count for name, count in counts.items() if count}


def test_an_alert_is_told_when_it_begins_and_again_after_a_day() -> None:
    alert = an_alert()
    assert changed(NOON, alert) == {"begun": 1}
    assert changed(NOON + timedelta(hours=1), alert, open_=(known(alert),)) == {"held": 1}
    assert changed(NOON + TELL_AGAIN, alert, open_=(known(alert),)) == {"told_again": 1}


def test_an_alert_is_over_when_it_was_calm_for_a_while() -> None:
    one = known(an_alert())
    assert changed(NOON + CALM - timedelta(seconds=1), open_=(one,)) == {}
    assert changed(NOON + CALM, open_=(one,)) == {"over": 1}


def test_another_subject_is_another_alert() -> None:
    assert changed(NOON + CALM, an_alert("metering"), open_=(known(an_alert()),)) == {
        "begun": 1,
        "over": 1,
    }


def test_what_becomes_part_of_one_for_all_sites_ends_without_a_word() -> None:
    site = Alert(Condition.SILENT_SITE, "a", "", "")
    everything = Alert(Condition.SILENT_SITE, ALL_SITES, "", "")
    assert changed(NOON, everything, open_=(known(site),)) == {"begun": 1, "folded": 1}


def test_retries_come_later_each_time_and_are_bounded() -> None:
    found = [retry_after(n, first=FIRST_RETRY, longest=LONGEST_RETRY) for n in range(40)]
    waits = [wait.total_seconds() for wait in found]
    assert 7.5 <= waits[0] <= 12.5
    assert all(wait <= 4_500 for wait in waits)
    assert min(waits[12:]) >= 2_700


# --- how it is told ------------------------------------------------------------------------------


def test_a_signature_is_the_one_of_the_specification() -> None:
    # The example of https://github.com/standard-webhooks/standard-webhooks, its libraries' tests.
    signature = sign(
        webhook_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        notice_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def a_notice(subject: str = "client", kind: str = "alert.begun") -> DueNotice:
    data = {
        "condition": "silent_site",
        "subject": subject,
        "message": f"Site {subject} is silent.",
        "remedy": "Look.",
        "begun_at": "2026-11-21T12:00:00+00:00",
        "ended_at": None,
    }
    return DueNotice(uuid4(), {"type": kind, "timestamp": "", "data": data})


def mail_settings(**different: str) -> ExporterSettings:
    mail = {
        "ALERT_EMAIL_TO": "ops@client.example, me@vendor.example",
        "SMTP_HOST": "smtp.example",
        "SMTP_FROM": "sluice@vendor.example",
    }
    return read_settings(ExporterSettings, REQUIRED | mail | different)


def test_no_name_of_a_site_gets_into_the_head_of_a_mail() -> None:
    bad = "x\r\nBcc: everybody@example.com\r\n\r\n\x1b[2J" + "y" * 500
    message = compose([a_notice(bad)], mail_settings())
    assert message["Bcc"] is None
    assert len(message["Subject"]) <= 160
    assert "\x1b" not in message.get_content()
    assert message["To"] == "ops@client.example, me@vendor.example"
    assert b"\nBcc:" not in message.as_bytes()


def test_several_notices_are_one_mail() -> None:
    message = compose([a_notice("a"), a_notice("b", "alert.ended")], mail_settings())
    assert message["Subject"] == "[sluice demo] 2 alerts, the first: silent_site a (begun)"
    assert "silent_site b (over)" in message.get_content()


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"ALERT_WEBHOOK_URL": "https://a.example"}, "go together"),
        ({"ALERT_WEBHOOK_SECRET": SECRET}, "go together"),
        ({"ALERT_WEBHOOK_URL": "ftp://a", "ALERT_WEBHOOK_SECRET": SECRET}, "must be https"),
        *(
            ({"ALERT_WEBHOOK_URL": url, "ALERT_WEBHOOK_SECRET": SECRET}, "without spaces")
            for url in ("https://a/b c", "https://a:b/", "https://a:70000/", "https://u:p@a/")
        ),
        ({"ALERT_WEBHOOK_URL": "https://a", "ALERT_WEBHOOK_SECRET": "whsec_!"}, "not base64"),
        ({"ALERT_WEBHOOK_URL": "https://a", "ALERT_WEBHOOK_SECRET": "c2hvcnQ="}, "has 5 bytes"),
        ({"ALERT_EMAIL_TO": "a@b.example"}, "needs SMTP_HOST and SMTP_FROM"),
        ({"SMTP_USER": "me"}, "SMTP_USER and SMTP_PASSWORD"),
        ({"SMTP_FROM": "nobody"}, "'nobody': is no address"),
        (
            {"SMTP_USER": "me", "SMTP_PASSWORD": "p", "SMTP_SECURITY": "none"},
            "is not sent over",
        ),
    ],
)
def test_settings_that_cannot_work_are_named(variables: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as raised:
        read_settings(ExporterSettings, REQUIRED | variables)
    assert SECRET not in str(raised.value)


def test_no_secret_shows() -> None:
    settings = read_settings(
        ExporterSettings,
        REQUIRED
        | {"ALERT_WEBHOOK_URL": "https://a.example/token-7", "ALERT_WEBHOOK_SECRET": SECRET},
    )
    assert "token-7" not in repr(settings)
    assert SECRET not in repr(settings)


# --- whatever the facts --------------------------------------------------------------------------

COUNTS = st.integers(0, 10_000)
SITES = st.builds(
    SiteTraffic,
    site_id=st.text(min_size=1, max_size=8),
    last_hour=st.none() | st.integers(0, 300).map(lambda h: NOON - timedelta(hours=h)),
    recent=st.sampled_from([0, 0, 7]),
    week_before=st.sampled_from([0, 7, 7]),
    active_days=st.integers(0, 7),
    accepted=COUNTS,
    duplicates=COUNTS,
    refused=COUNTS,
    usual_accepted=COUNTS,
    usual_duplicates=COUNTS,
    usual_refused=COUNTS,
)


@given(sites=st.lists(SITES, max_size=60, unique_by=lambda s: s.site_id))
def test_each_alert_has_a_name_of_its_own_and_there_are_not_too_many(
    sites: list[SiteTraffic],
) -> None:
    alerts = find_alerts(facts(sites=tuple(sites)), THRESHOLDS)
    assert len({alert.name for alert in alerts}) == len(alerts) <= 3 * MOST_NAMED
    assert all(alert.message and alert.remedy for alert in alerts)


@given(
    open_=st.sets(st.sampled_from("abcde*")),
    found_=st.sets(st.sampled_from("abcde*")),
    minutes=st.integers(0, 3_000),
)
def test_every_alert_is_accounted_for(open_: set[str], found_: set[str], minutes: int) -> None:
    known_ = [known(Alert(Condition.SILENT_SITE, s, "", "")) for s in sorted(open_)]
    alerts = [Alert(Condition.SILENT_SITE, s, "", "") for s in sorted(found_)]
    changes = compare(known_, alerts, now=NOON + timedelta(minutes=minutes))
    assert {a.subject for a in changes.begun} == found_ - open_
    still = {one.subject for one, _ in [*changes.held, *changes.told_again]}
    assert still == found_ & open_
    gone = {one.subject for one in [*changes.over, *changes.folded]}
    assert gone <= open_ - found_
    if timedelta(minutes=minutes) >= CALM:
        assert gone == open_ - found_
