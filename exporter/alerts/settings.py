"""Whom alerts are told, and what they are about."""

from __future__ import annotations

import binascii
from base64 import b64decode
from dataclasses import dataclass
from datetime import timedelta
from email.headerregistry import Address
from typing import Literal
from urllib.parse import urlsplit

from core.settings import CommonSettings, setting

SmtpSecurity = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, kw_only=True)
class AlertSettings(CommonSettings):
    """The exporter's settings of alerts. The log is always told."""

    alert_webhook_url: str | None = setting(
        "Alerts are posted there as JSON, signed; empty for none.", default=None, secret=True
    )
    alert_webhook_secret: str | None = setting(
        "What they are signed with: whsec_ and 24 to 64 bytes in base64.",
        default=None,
        secret=True,
    )
    alert_email_to: str | None = setting(
        "Addresses that alerts are mailed to, comma-separated; empty for none.", default=None
    )
    smtp_host: str | None = setting("The server that takes their mail.", default=None)
    smtp_port: int = setting("Its port.", default=587, at_least=1)
    smtp_security: SmtpSecurity = setting(
        "starttls, tls from the first byte (port 465), or none.", default="starttls"
    )
    smtp_user: str | None = setting("Its account; empty for none.", default=None)
    smtp_password: str | None = setting("Its password.", default=None, secret=True)
    smtp_from: str | None = setting("The address that alerts are from.", default=None)
    alert_silence: timedelta = setting(
        "How long a site that usually has events may have none; 0 for no such alert.",
        default=timedelta(hours=6),
        at_least=0,
    )
    alert_duplicates_percent: int = setting(
        "Share of duplicates that is a spike, in percent; 0 for no such alert. A tracker sends what"
        " a page said as it was left once more: up to half of short visits' events.",
        default=60,
        at_least=0,
    )
    alert_refusals_percent: int = setting(
        "Share of refused events that is a spike; 0 for no such alert.", default=20, at_least=0
    )
    alert_disk_free_percent: int = setting(
        "Free share of a disk that is too little; 0 for no such alert.", default=10, at_least=0
    )


def alert_problems(settings: AlertSettings) -> list[str]:
    """What contradicts itself, in words."""
    return [*_webhook_problems(settings), *_mail_problems(settings)]


def mail_recipients(settings: AlertSettings) -> list[str]:
    """The addresses, one by one."""
    return [a.strip() for a in (settings.alert_email_to or "").split(",") if a.strip()]


def webhook_key(secret: str) -> bytes:
    """The bytes of a Standard Webhooks secret; raises ValueError when it is none."""
    try:
        key = b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("it is not base64") from None
    if not 24 <= len(key) <= 64:
        raise ValueError(f"it has {len(key)} bytes")
    return key


def _webhook_problems(settings: AlertSettings) -> list[str]:
    url, secret = settings.alert_webhook_url, settings.alert_webhook_secret
    problems = []
    if bool(url) != bool(secret):
        problems.append(
            "ALERT_WEBHOOK_URL and ALERT_WEBHOOK_SECRET go together: set both, or neither."
        )
    if url and not _is_http(url):
        problems.append(
            "ALERT_WEBHOOK_URL=(secret): must be https://… or http://…, without spaces,"
            " user or password, and with a port that is one."
        )
    if secret:
        try:
            webhook_key(secret)
        except ValueError as exc:
            problems.append(
                f"ALERT_WEBHOOK_SECRET=(secret): {exc}; `echo whsec_$(openssl rand -base64 32)`"
                " makes one."
            )
    return problems


def _mail_problems(settings: AlertSettings) -> list[str]:
    problems = []
    addresses = mail_recipients(settings)
    if addresses and not (settings.smtp_host and settings.smtp_from):
        problems.append("ALERT_EMAIL_TO needs SMTP_HOST and SMTP_FROM.")
    if bool(settings.smtp_user) != bool(settings.smtp_password):
        problems.append("SMTP_USER and SMTP_PASSWORD go together: set both, or neither.")
    if settings.smtp_password and settings.smtp_security == "none":
        problems.append("SMTP_PASSWORD is not sent over SMTP_SECURITY=none.")
    named = [("ALERT_EMAIL_TO", a) for a in addresses]
    named += [("SMTP_FROM", settings.smtp_from)] if settings.smtp_from else []
    problems += [f"{name}={a!r}: is no address." for name, a in named if not _is_address(a)]
    return problems


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        return is_whole and "@" not in parts.netloc and url.isprintable() and " " not in url
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    try:
        address = Address(addr_spec=text)
    except Exception:  # the parser raises what its grammar's helpers raise
        return False
    return bool(address.username and address.domain) and text.isascii()
