"""The steps that send a test message to those whom alerts are told."""

from __future__ import annotations

from core.clock import Clock, utc_now
from core.event_id import make_event_id
from exporter.alerts.mail import Mail
from exporter.alerts.notice import trial_body
from exporter.alerts.settings import mail_recipients
from exporter.alerts.tell import DueNotice, NotTold, Tell
from exporter.alerts.webhook import Webhook
from exporter.doctor.check import Check, CheckFailed, CheckSkipped
from exporter.settings import ExporterSettings


class ChannelChecks:
    """The webhook and the mail server, as alerts use them."""

    def __init__(self, settings: ExporterSettings, *, tells: bool, clock: Clock = utc_now) -> None:
        self._settings = settings
        self._tells = tells
        self._clock = clock

    def checks(self) -> list[Check]:
        """One for each channel."""
        return [Check("webhook", self.post), Check("e-mail", self.send)]

    def post(self) -> str:
        """Post a test message."""
        url, secret = self._settings.alert_webhook_url, self._settings.alert_webhook_secret
        if not (url and secret):
            raise CheckSkipped("ALERT_WEBHOOK_URL is not set")
        webhook = Webhook(url, secret, clock=self._clock)
        return self._tell(
            webhook.tell, "Is ALERT_WEBHOOK_URL right, and does it answer a signed POST with 2xx?"
        )

    def send(self) -> str:
        """Send a test message."""
        recipients = mail_recipients(self._settings)
        if not recipients:
            raise CheckSkipped("ALERT_EMAIL_TO is not set")
        return self._tell(
            Mail(self._settings).tell, "Compare SMTP_… with what the mail server's owner says."
        )

    def _tell(self, tell: Tell, remedy: str) -> str:
        if not self._tells:
            raise CheckSkipped("--tell sends a test message")
        body = trial_body(client_id=self._settings.client_id, now=self._clock())
        try:
            tell([DueNotice(make_event_id(), body)])
        except NotTold as exc:
            raise CheckFailed(str(exc), remedy) from exc
        return "a test message was taken"
