"""Post a notice, signed as Standard Webhooks are (https://www.standardwebhooks.com)."""

from __future__ import annotations

import hmac
import http.client
import json
import ssl
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from core.clock import Clock
from core.version import VERSION
from exporter.alerts.settings import webhook_key
from exporter.alerts.tell import DueNotice, NotTold
from exporter.deadline import DeadlineExceeded, call_in_time

_SECONDS: Final = 15.0


def sign(key: bytes, *, notice_id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 of id, time and body, in base64."""
    content = f"{notice_id}.{timestamp}.".encode() + body
    return "v1," + b64encode(hmac.digest(key, content, sha256)).decode()


def encode_body(body: Mapping[str, Any]) -> bytes:
    """The same bytes for the same notice, however often it is tried."""
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


class Webhook:
    """Somebody's address that takes notices."""

    def __init__(self, url: str, secret: str, *, clock: Clock, seconds: float = _SECONDS) -> None:
        self._url = url
        self._key = webhook_key(secret)
        self._clock = clock
        self._seconds = seconds

    def tell(self, notices: Sequence[DueNotice]) -> None:
        """Post each; any 2xx takes it. Redirects are not followed. Raises NotTold."""
        for notice in notices:
            try:
                status = call_in_time(lambda n=notice: self._post(n), seconds=self._seconds)  # type: ignore[misc]
            except (http.client.HTTPException, ValueError) as exc:
                # Their text may hold the address, which is a secret: so may the chain's.
                raise NotTold(type(exc).__name__) from None
            except (OSError, DeadlineExceeded) as exc:
                raise NotTold(f"{type(exc).__name__}: {_reason(exc)}") from exc
            if not 200 <= status < 300:
                raise NotTold(f"the webhook answers {status}")

    def _post(self, notice: DueNotice) -> int:
        body = encode_body(notice.body)
        notice_id = str(notice.notice_id)
        timestamp = int(self._clock().timestamp())
        request = urllib.request.Request(  # noqa: S310 - the settings let in http and https only
            self._url,
            data=body,
            headers={
                "Content-Type": "application/json",
                "User-Agent": f"Sluice/{VERSION}",
                "webhook-id": notice_id,
                "webhook-timestamp": str(timestamp),
                "webhook-signature": sign(
                    self._key, notice_id=notice_id, timestamp=timestamp, body=body
                ),
            },
            method="POST",
        )
        opener = urllib.request.build_opener(
            _NoRedirects, urllib.request.HTTPSHandler(context=ssl.create_default_context())
        )
        try:
            with opener.open(request, timeout=self._seconds) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A notice is signed for one address; another one is told to nobody."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _reason(exc: Exception) -> str:
    """Of urllib's errors the cause: the address is a secret."""
    return str(getattr(exc, "reason", None) or exc)
