"""What is wrong is found in the database, noted, and told to the log, a webhook and by e-mail."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from sqlalchemy import Engine

from core.settings import read_settings
from database import alert_facts
from exporter.alerts.mail import Mail
from exporter.alerts.notice import Channel
from exporter.alerts.tell import GIVE_UP_AFTER, NotTold, tell_due, tell_log
from exporter.alerts.watch import NOT_REFUSED, Watch
from exporter.alerts.webhook import Webhook
from exporter.doctor.report import run_doctor
from exporter.settings import ExporterSettings
from exporter.sinks.sink import Bucket, SinkRefused
from tests.conftest import ROOT, HandClock, a_batch, an_event
from tests.integration.building import Exporting, collect, query, serving, write_now
from tests.integration.test_delivery import FailingBucket
from tests.integration.test_doctor_of_sinks import server_context

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def now(database_url: str) -> HandClock:
    """A clock that agrees with the database's, an hour after the exporter started."""
    return HandClock(query(database_url, "SELECT now()")[0][0])


@pytest.fixture
def exporting(database_url: str, engine: Engine, tmp_path: Path) -> Exporting:
    return Exporting(
        database_url, engine, tmp_path / "buckets", variables={"ALERT_DISK_FREE_PERCENT": "0"}
    )


def watch_of(exporting: Exporting, clock: HandClock, **variables: str) -> Watch:
    settings = exporting.settings
    if variables:
        settings = read_settings(ExporterSettings, settings_of(exporting) | variables)
    return Watch(
        engine=exporting.engine,
        settings=settings,
        clock=clock,
        started_at=clock.now - timedelta(days=30),
    )


def settings_of(exporting: Exporting) -> dict[str, str]:
    return {
        "DATABASE_URL": exporting.database_url,
        "CLIENT_S3_BUCKET": exporting.client_root.as_uri(),
        "METERING_S3_BUCKET": exporting.metering_root.as_uri(),
        "ALERT_DISK_FREE_PERCENT": "0",
    }


def open_alerts(database_url: str) -> list[tuple[str, str]]:
    return query(
        database_url,
        "SELECT condition, subject FROM alerts WHERE ended_at IS NULL ORDER BY condition, subject",
    )


def notices(database_url: str, channel: str = "log") -> list[str]:
    rows = query(
        database_url,
        "SELECT body->>'type', body->'data'->>'condition' FROM alert_notices WHERE channel = %s"
        " ORDER BY made_at, notice_id",
        channel,
    )
    return [f"{kind.removeprefix('alert.')} {condition}" for kind, condition in rows]


def plant_hours(database_url: str, site: str, clock: HandClock, **counts: int) -> None:
    """The same counts in every hour of the last nine days, until eight hours ago."""
    row = {"accepted": 100, "duplicates": 0, "refused": 0} | counts
    query(
        database_url,
        "INSERT INTO site_hours"
        " SELECT %s, date_trunc('hour', %s::timestamptz) - n * interval '1 h', %s, %s, %s"
        " FROM generate_series(8, 216) AS n",
        site,
        clock.now,
        *row.values(),
    )


# --- what is found ------------------------------------------------------------------------------


def test_a_sink_that_stops_is_told_of_once_and_when_it_is_over(
    database_url: str, engine: Engine, tmp_path: Path, now: HandClock
) -> None:
    def wrap(bucket: Bucket, name: str) -> Bucket:
        if name == "metering":
            return bucket
        return FailingBucket(bucket, at=1, after=False, exception=SinkRefused)

    exporting = Exporting(database_url, engine, tmp_path, wrap=wrap)
    watch = watch_of(exporting, now)
    watch.look()
    assert open_alerts(database_url) == []
    write_now(database_url, an_event())
    exporting.run()
    for _ in range(3):
        watch.look()
    assert open_alerts(database_url) == [("sink_stopped", "client")]
    assert notices(database_url) == ["begun sink_stopped"]
    [(message,)] = query(database_url, "SELECT message FROM alerts")
    assert message.startswith("Sink client has stopped and keeps its backlog of 1 segments: before")
    now.turn(hours=25)
    watch.look()
    assert notices(database_url)[1] == "continues sink_stopped"
    query(database_url, "UPDATE sinks SET probe_at = now()")
    exporting.deliver()
    now.turn(minutes=6)
    watch.look()
    assert notices(database_url)[-1] == "ended sink_stopped"
    assert open_alerts(database_url) == []


def test_an_event_that_waits_for_too_long(exporting: Exporting, now: HandClock) -> None:
    write_now(exporting.database_url, an_event())
    exporting.seal()
    exporting.exporter.say_state()
    watch = watch_of(exporting, now)
    now.turn(minutes=61)
    watch.look()
    assert open_alerts(exporting.database_url) == []
    now.turn(minutes=2)
    watch.look()
    assert open_alerts(exporting.database_url) == [("lag", "")]
    [(message,)] = query(exporting.database_url, "SELECT message FROM alerts")
    assert "that client and metering waits for" in message


def test_a_disk_that_fills_up(exporting: Exporting, now: HandClock) -> None:
    watch_of(exporting, now, ALERT_DISK_FREE_PERCENT="100").look()
    conditions = {condition for condition, _ in open_alerts(exporting.database_url)}
    assert conditions == {"disk_low"}


def test_a_site_that_falls_silent_and_speaks_again(exporting: Exporting, now: HandClock) -> None:
    url = exporting.database_url
    plant_hours(url, "silent.example", now)
    plant_hours(url, "loud.example", now)
    write_now(url, an_event(siteId="loud.example"))
    watch = watch_of(exporting, now)
    watch.look()
    assert open_alerts(url) == [("silent_site", "silent.example")]
    write_now(url, an_event(siteId="silent.example"))
    watch.look()
    now.turn(minutes=6)
    watch.look()
    assert notices(url) == ["begun silent_site", "ended silent_site"]


def test_a_segment_that_is_dropped_makes_no_site_silent(
    exporting: Exporting, now: HandClock
) -> None:
    url = exporting.database_url
    plant_hours(url, "shop.example", now)
    write_now(url, an_event())
    watch = watch_of(exporting, now)
    watch.look()
    exporting.run()
    query(url, "UPDATE segments SET exported_at = now() - interval '1 d' WHERE state = 'exported'")
    exporting.exporter.drop_expired()
    assert query(url, "SELECT count(*) FROM ledger") == [(0,)]
    watch.look()
    assert open_alerts(url) == []


def test_a_spike_of_duplicates(exporting: Exporting, now: HandClock) -> None:
    url = exporting.database_url
    plant_hours(url, "shop.example", now)
    event = an_event()
    write_now(url, *([event] * 100), *(an_event() for _ in range(20)))
    exporting.run()
    watch_of(exporting, now).look()
    assert open_alerts(url) == [("duplicate_spike", "shop.example")]


async def test_a_spike_of_refusals_of_which_wishes_are_no_part(
    exporting: Exporting, now: HandClock, database_url: str
) -> None:
    good = [an_event() for _ in range(100)]
    async with serving(database_url, REDACT="none") as http:
        await collect(http, a_batch(*good))
        await collect(http, a_batch(*(an_event() for _ in range(100))), dnt="1")
        watch = watch_of(exporting, now)
        watch.look()
        assert open_alerts(database_url) == []
        await collect(http, a_batch(*(an_event(eventType=7) for _ in range(100))))
        watch.look()
    assert [c for c, _ in open_alerts(database_url)] == ["refusal_spike"]


def test_hours_are_counted_once_however_often_it_is_looked(
    exporting: Exporting, now: HandClock
) -> None:
    url = exporting.database_url
    write_now(url, an_event(eventId="a"), an_event(eventId="a"), an_event())
    exporting.run()
    for _ in range(3):
        with exporting.engine.connect() as connection:
            alert_facts.count_hours(connection, now=now.now, not_refused=NOT_REFUSED)
    assert query(url, "SELECT accepted, duplicates, refused FROM site_hours") == [(3, 1, 0)]


# --- to whom it is told -------------------------------------------------------------------------


def plant_notice(exporting: Exporting, clock: HandClock, **variables: str) -> Watch:
    """Something is wrong, and those whom the variables name are to be told."""
    watch = watch_of(exporting, clock, ALERT_DISK_FREE_PERCENT="100", **variables)
    watch.look()
    return watch


@dataclass
class Receiver:
    """A webhook's other end: the answers that it gives, in order, and what it was sent."""

    answers: list[int] = field(default_factory=list)
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""


@contextmanager
def receiving(*answers: int, hangs: bool = False) -> Iterator[Receiver]:
    receiver = Receiver(list(answers))
    released = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.received.append(({k.lower(): v for k, v in self.headers.items()}, body))
            if hangs:
                released.wait(30)
                return
            status = receiver.answers.pop(0) if receiver.answers else 204
            self.send_response_only(status)
            if status == 302:
                self.send_header("Location", receiver.url + "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def webhook_of(receiver: Receiver) -> dict[str, str]:
    return {"ALERT_WEBHOOK_URL": receiver.url, "ALERT_WEBHOOK_SECRET": SECRET}


def tell_webhook(exporting: Exporting, receiver: Receiver, clock: HandClock) -> None:
    webhook = Webhook(receiver.url, SECRET, clock=clock)
    tell_due(exporting.engine, Channel.WEBHOOK, webhook.tell, clock=clock, at_once=1)


def is_genuine(*arguments: Any, **options: Any) -> bool:
    """What docs/alerts.md tells a client to check with."""
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/alerts.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return bool(names["is_genuine"](*arguments, **options))


def test_a_webhook_is_told_with_a_signature_that_the_docs_code_accepts(
    exporting: Exporting, now: HandClock
) -> None:
    with receiving() as receiver:
        plant_notice(exporting, now, **webhook_of(receiver))
        tell_webhook(exporting, receiver, now)
        tell_webhook(exporting, receiver, now)
    headers, body = receiver.received[0]
    assert is_genuine(SECRET, headers, body)
    assert not is_genuine(SECRET, headers, body + b" ")
    assert not is_genuine("whsec_" + "A" * 32, headers, body)
    old = headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) - 301)}
    assert not is_genuine(SECRET, old, body)
    told = json.loads(body)
    assert told["type"] == "alert.begun"
    assert told["data"]["condition"] == "disk_low"
    ids = [headers["webhook-id"] for headers, _ in receiver.received]
    assert len(ids) == len(set(ids)) == len(open_alerts(exporting.database_url))


def test_a_webhook_that_fails_is_told_again_under_the_same_id(
    exporting: Exporting, now: HandClock
) -> None:
    with receiving(500, 302, 204) as receiver:
        plant_notice(exporting, now, **webhook_of(receiver))
        for _ in range(2):
            tell_webhook(exporting, receiver, now)
            tell_webhook(exporting, receiver, now)  # not before its time
            now.turn(seconds=60)
        assert len(receiver.received) == 2
        tell_webhook(exporting, receiver, now)
    first, second, third = receiver.received[:3]
    assert first[0]["webhook-id"] == second[0]["webhook-id"] == third[0]["webhook-id"]
    assert first[1] == second[1] == third[1]
    assert is_genuine(SECRET, third[0], third[1], tolerance_seconds=600)
    assert first[0]["webhook-signature"] != third[0]["webhook-signature"]


def test_a_crash_between_telling_and_noting_tells_it_again_under_the_same_id(
    exporting: Exporting, now: HandClock
) -> None:
    class Killed(BaseException):
        pass

    with receiving() as receiver:
        plant_notice(exporting, now, **webhook_of(receiver))
        webhook = Webhook(receiver.url, SECRET, clock=now)

        def tell_and_die(due: Any) -> None:
            webhook.tell(due)
            raise Killed

        with pytest.raises(Killed):
            tell_due(exporting.engine, Channel.WEBHOOK, tell_and_die, clock=now, at_once=1)
        tell_webhook(exporting, receiver, now)
    assert receiver.received[0][0]["webhook-id"] == receiver.received[1][0]["webhook-id"]


def test_what_cannot_be_told_is_given_up_at_last(
    exporting: Exporting, now: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    with receiving(*[500] * 100) as receiver:
        plant_notice(exporting, now, **webhook_of(receiver))
        tell_webhook(exporting, receiver, now)
        now.turn(seconds=GIVE_UP_AFTER.total_seconds())
        for _ in range(50):
            tell_webhook(exporting, receiver, now)
            now.turn(hours=2)
    waiting = "SELECT count(*) FROM alert_notices WHERE channel = 'webhook' AND closed_at IS NULL"
    assert query(exporting.database_url, waiting) == [(0,)]
    assert any(getattr(record, "given_up", 0) for record in caplog.records)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/secret-path",
        "http://no-such.invalid/secret-path",
        "http://127.0.0.1:9/secret-path with spaces",
        "http://me:secret-path@127.0.0.1/",
        "http://127.0.0.1:secret-path/",
        "secret-path",
    ],
)
def test_a_webhook_that_is_away_tells_no_secret(url: str, now: HandClock) -> None:
    from tests.unit.test_alerts import a_notice

    with pytest.raises(NotTold) as raised:
        Webhook(url, SECRET, clock=now).tell([a_notice()])
    assert "secret-path" not in str(raised.value)


def test_a_webhook_that_says_nothing_holds_nobody_up(now: HandClock) -> None:
    from tests.unit.test_alerts import a_notice

    with receiving(hangs=True) as receiver:
        webhook = Webhook(receiver.url, SECRET, clock=now, seconds=0.3)
        with pytest.raises(NotTold):
            webhook.tell([a_notice()])


# --- by mail ------------------------------------------------------------------------------------


class Mailbox:
    """What a server took in."""

    def __init__(self) -> None:
        self.taken: list[tuple[list[str], str]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.taken.append((envelope.rcpt_tos, envelope.content.decode()))
        return "250 OK"


@contextmanager
def mail_server(box: Mailbox, *, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """With TLS it wants STARTTLS first, then the account sluice and its password."""

    def authenticate(_: Any, __: Any, ___: Any, mechanism: str, data: Any) -> AuthResult:
        is_right = (data.login, data.password) == (b"sluice", b"right")
        return AuthResult(success=is_right, handled=False)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    class Server(Controller):
        def factory(self) -> SMTP:
            options: dict[str, Any] = {}
            if tls is not None:
                options = {
                    "tls_context": tls,
                    "require_starttls": True,
                    "auth_required": True,
                    "authenticator": authenticate,
                }
            return SMTP(self.handler, **options)

    controller = Server(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def mail_of(port: int, **different: str) -> dict[str, str]:
    return {
        "ALERT_EMAIL_TO": "ops@client.example,me@vendor.example",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(port),
        "SMTP_FROM": "sluice@vendor.example",
        "SMTP_SECURITY": "none",
    } | different


def tell_mail(exporting: Exporting, watch: Watch, clock: HandClock) -> None:
    tell_due(exporting.engine, Channel.EMAIL, Mail(watch.settings).tell, clock=clock)


def test_what_is_due_is_one_mail_to_all_who_are_to_know(
    exporting: Exporting, now: HandClock
) -> None:
    box = Mailbox()
    plant_hours(exporting.database_url, "silent.example", now)
    with mail_server(box) as port:
        watch = plant_notice(exporting, now, **mail_of(port))
        tell_mail(exporting, watch, now)
        tell_mail(exporting, watch, now)
    [(recipients, mail)] = box.taken
    assert recipients == ["ops@client.example", "me@vendor.example"]
    assert "Site silent.example has had no event since" in mail.replace("=\r\n", "")
    assert "disk_low" in mail


def test_mail_goes_over_starttls_with_an_account(
    exporting: Exporting, now: HandClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, context = Mailbox(), server_context(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    account = {"SMTP_SECURITY": "starttls", "SMTP_USER": "sluice", "SMTP_PASSWORD": "right"}
    with mail_server(box, tls=context) as port:
        watch = plant_notice(exporting, now, **mail_of(port, **account))
        tell_mail(exporting, watch, now)
        assert len(box.taken) == 1
        wrong = read_settings(
            ExporterSettings,
            settings_of(exporting) | mail_of(port, **account | {"SMTP_PASSWORD": "wrong"}),
        )
        from tests.unit.test_alerts import a_notice

        with pytest.raises(NotTold, match="refuses SMTP_USER and SMTP_PASSWORD"):
            Mail(wrong).tell([a_notice()])


def test_mail_is_given_to_no_server_whose_certificate_is_not_to_be_trusted(
    exporting: Exporting, now: HandClock, tmp_path: Path
) -> None:
    box = Mailbox()
    account = {"SMTP_SECURITY": "starttls", "SMTP_USER": "sluice", "SMTP_PASSWORD": "right"}
    with mail_server(box, tls=server_context(tmp_path)) as port:
        watch = plant_notice(exporting, now, **mail_of(port, **account))
        tell_mail(exporting, watch, now)
    assert box.taken == []
    [(error,)] = query(
        exporting.database_url,
        "SELECT DISTINCT last_error FROM alert_notices WHERE channel = 'email'",
    )
    assert "CERTIFICATE_VERIFY_FAILED" in error


def test_a_refused_address_is_not_told_on(exporting: Exporting) -> None:
    from tests.unit.test_alerts import a_notice

    class Strict(Mailbox):
        async def handle_RCPT(  # noqa: N802
            self, server: Any, session: Any, envelope: Any, address: str, options: Any
        ) -> str:
            return f"550 no such user {address}"

    with mail_server(Strict()) as port:
        settings = read_settings(ExporterSettings, settings_of(exporting) | mail_of(port))
        with pytest.raises(NotTold, match="SMTPRecipientsRefused") as raised:
            Mail(settings).tell([a_notice()])
    assert "client.example" not in str(raised.value)


def test_the_log_is_told_always(
    exporting: Exporting, now: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    plant_notice(exporting, now)
    tell_due(exporting.engine, Channel.LOG, tell_log, clock=now)
    tell_due(exporting.engine, Channel.LOG, tell_log, clock=now)
    told = [r for r in caplog.records if r.message == "alert" and r.levelname == "WARNING"]
    assert len(told) == len(open_alerts(exporting.database_url))
    assert vars(told[0])["condition"] == "disk_low"


async def test_the_status_shows_what_holds_now(exporting: Exporting, now: HandClock) -> None:
    watch_of(exporting, now, ALERT_DISK_FREE_PERCENT="100").look()
    exporting.exporter.say_state()
    async with serving(exporting.database_url) as http:
        shown = (await http.get("/export/status")).json()["alerts"]
    assert {alert["condition"] for alert in shown} == {"disk_low"}
    assert all(alert["remedy"] for alert in shown)


def test_what_is_long_over_is_forgotten(exporting: Exporting, now: HandClock) -> None:
    plant_notice(exporting, now)
    watch = watch_of(exporting, now)
    now.turn(minutes=6)
    watch.look()
    now.turn(days=31)
    watch.look()
    for table in ("alerts", "alert_notices"):
        assert query(exporting.database_url, f"SELECT count(*) FROM {table}") == [(0,)]


def test_the_doctor_sends_a_test_message_when_told_to(
    exporting: Exporting, capsys: pytest.CaptureFixture[str]
) -> None:
    box = Mailbox()
    with receiving() as receiver, mail_server(box) as port:
        variables = settings_of(exporting) | mail_of(port) | webhook_of(receiver)
        run_doctor(variables)
        assert (receiver.received, box.taken) == ([], [])
        run_doctor(variables, tells=True)
        printed = capsys.readouterr().out
    assert "SKIPPED  webhook: --tell sends a test message" in printed
    assert "PASSED   webhook: a test message was taken" in printed
    assert "PASSED   e-mail: a test message was taken" in printed
    [(headers, body)] = receiver.received
    assert is_genuine(SECRET, headers, body)
    assert json.loads(body)["type"] == "alert.test"
    assert "this one did" in box.taken[0][1]


def test_a_test_message_that_does_not_get_through_fails(
    exporting: Exporting, capsys: pytest.CaptureFixture[str]
) -> None:
    with receiving(401) as receiver:
        run_doctor(settings_of(exporting) | webhook_of(receiver), tells=True)
    assert "FAILED   webhook: the webhook answers 401" in capsys.readouterr().out


def test_a_mistake_of_ours_keeps_no_other_notice_from_being_told(
    exporting: Exporting, now: HandClock
) -> None:
    plant_notice(exporting, now)

    def break_down(_: Any) -> None:
        raise KeyError("message")

    tell_due(exporting.engine, Channel.LOG, break_down, clock=now)
    errors = query(
        exporting.database_url, "SELECT DISTINCT last_error, attempts FROM alert_notices"
    )
    assert errors == [("KeyError", 1)]
    now.turn(minutes=1)
    tell_due(exporting.engine, Channel.LOG, tell_log, clock=now)
    assert query(exporting.database_url, "SELECT bool_and(is_told) FROM alert_notices") == [(True,)]


@pytest.mark.parametrize(
    ("circuit", "expected"),
    [("open", [("sink_stopped", "client")]), ("paused", []), ("closed", [])],
)
def test_a_sink_that_only_fails_again_and_again_is_told_of_and_a_paused_one_is_not(
    exporting: Exporting, now: HandClock, circuit: str, expected: list[tuple[str, str]]
) -> None:
    query(
        exporting.database_url,
        "UPDATE sinks SET circuit = %s, reason = 'SlowDown', probe_at = now()"
        " WHERE sink = 'client'",
        circuit,
    )
    watch_of(exporting, now).look()
    assert open_alerts(exporting.database_url) == expected
