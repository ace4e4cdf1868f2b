"""Send notices by e-mail: those that are due together, in one message."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Final

from core.printable import printable
from exporter.alerts.notice import Kind
from exporter.alerts.settings import AlertSettings, mail_recipients
from exporter.alerts.tell import DueNotice, NotTold
from exporter.deadline import DeadlineExceeded, call_in_time

_SECONDS: Final = 30.0
_WORDS: Final = {
    Kind.BEGUN: "begun",
    Kind.CONTINUES: "still there",
    Kind.ENDED: "over",
    Kind.TEST: "a test",
}


class Mail:
    """A server that takes mail, and whom it is for."""

    def __init__(self, settings: AlertSettings, *, seconds: float = _SECONDS) -> None:
        self._settings = settings
        self._seconds = seconds

    def tell(self, notices: Sequence[DueNotice]) -> None:
        """Send one message with all of them. Raises NotTold."""
        message = compose(notices, self._settings)
        try:
            call_in_time(lambda: self._send(message), seconds=self._seconds)
        except (OSError, smtplib.SMTPException, ValueError, DeadlineExceeded) as exc:
            raise NotTold(f"{type(exc).__name__}: {_without_bytes(exc)}") from exc

    def _send(self, message: EmailMessage) -> None:
        settings = self._settings
        host, port, each = settings.smtp_host or "", settings.smtp_port, self._seconds / 2
        context = ssl.create_default_context()
        if settings.smtp_security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=each, context=context)
        else:
            server = smtplib.SMTP(host, port, timeout=each)
        with server:
            if settings.smtp_security == "starttls":
                server.starttls(context=context)
            if settings.smtp_user and settings.smtp_password:
                server.login(settings.smtp_user, settings.smtp_password)
            server.send_message(message)


def compose(notices: Sequence[DueNotice], settings: AlertSettings) -> EmailMessage:
    """Plain text. Names in it come from whoever sends events: they are cut to what is printable."""
    message = EmailMessage()
    lines = [_told(notice) for notice in notices]
    subject = lines[0] if len(lines) == 1 else f"{len(lines)} alerts, the first: {lines[0]}"
    message["Subject"] = f"[sluice {settings.client_id}] {subject}"[:160]
    message["From"] = settings.smtp_from or ""
    message["To"] = [Address(addr_spec=a) for a in mail_recipients(settings)]
    # The same for the same notice: a message that was sent twice is known by it.
    message["Message-ID"] = f"<{notices[0].notice_id}@sluice.invalid>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n\n".join(_paragraph(n) for n in notices) + "\n")
    return message


def _told(notice: DueNotice) -> str:
    data = notice.body["data"]
    about = f" {printable(data['subject'])}" if data["subject"] else ""
    return f"{data['condition']}{about} ({_WORDS[Kind(notice.body['type'])]})"


def _paragraph(notice: DueNotice) -> str:
    data = notice.body["data"]
    parts = [_told(notice), printable(data["message"]), printable(data["remedy"])]
    parts.append(
        f"Since {data['begun_at']}." + (f" Until {data['ended_at']}." if data["ended_at"] else "")
    )
    return "\n".join(part for part in parts if part)


def _without_bytes(exc: Exception) -> str:
    """What the server said, without its refusal of an account or an address by name."""
    if isinstance(exc, smtplib.SMTPAuthenticationError):
        return "the server refuses SMTP_USER and SMTP_PASSWORD"
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        return "the server refuses every address of ALERT_EMAIL_TO"
    if isinstance(exc, smtplib.SMTPSenderRefused):
        return "the server refuses SMTP_FROM"
    return " ".join(str(exc).split())[:300]
