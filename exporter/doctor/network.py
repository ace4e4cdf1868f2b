"""The way to a bucket's server: its name, its port, its certificate."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from botocore.httpsession import get_cert_path

from exporter.doctor.check import Check, CheckFailed, CheckSkipped

_SOCKET_SECONDS: Final = 8.0
_DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Way:
    """The server at the end of it."""

    host: str
    port: int
    is_encrypted: bool

    @classmethod
    def to(cls, url: str) -> Way:
        """The way that a client's endpoint names."""
        parts = urlsplit(url)
        is_encrypted = parts.scheme == "https"
        return cls(parts.hostname or "", parts.port or (443 if is_encrypted else 80), is_encrypted)

    def checks(self) -> list[Check]:
        """Name, port, certificate."""
        return [
            Check("dns", self.resolve),
            Check("connect", self.connect, needs=("dns",)),
            Check("tls", self.shake_hands, needs=("connect",)),
        ]

    def resolve(self) -> str:
        """Have the name resolved."""
        self._skip_behind_proxy()
        if _is_address(self.host):
            raise CheckSkipped(f"{self.host} is an address, not a name")
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as exc:
            raise CheckFailed(
                f"{self.host} does not resolve: {exc}",
                "Correct the region or the …_ENDPOINT_URL, or the machine's name server"
                " (/etc/resolv.conf).",
            ) from exc
        addresses = sorted({str(each[4][0]) for each in found})
        more = f" and {len(addresses) - 3} more" if len(addresses) > 3 else ""
        return f"{self.host} is {', '.join(addresses[:3])}{more}"

    def connect(self) -> str:
        """Open a connection."""
        self._skip_behind_proxy()
        with self._connection():
            return f"{self.host}:{self.port} takes connections"

    def shake_hands(self) -> str:
        """Have the certificate checked, against the authorities that the exporter trusts."""
        self._skip_behind_proxy()
        if not self.is_encrypted:
            raise CheckSkipped("http: nothing is encrypted on the way")
        context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or _bundle())
        try:
            with (
                self._connection() as plain,
                context.wrap_socket(plain, server_hostname=self.host) as encrypted,
            ):
                certificate = encrypted.getpeercert() or {}
                version = encrypted.version()
        except ssl.SSLCertVerificationError as exc:
            raise CheckFailed(
                f"the certificate is not to be trusted: {exc.verify_message}",
                "Renew the server's certificate, or name the authority that signed it in"
                " AWS_CA_BUNDLE=/path/of/ca.pem. A proxy that opens TLS looks like this too.",
            ) from exc
        except (ssl.SSLError, OSError) as exc:
            raise CheckFailed(
                f"no TLS: {exc}", "Is the port one for https? If it is not, write http://…"
            ) from exc
        return f"{version}, the certificate is good for {_days_left(certificate)} days"

    def _connection(self) -> socket.socket:
        try:
            return socket.create_connection((self.host, self.port), timeout=_SOCKET_SECONDS)
        except OSError as exc:
            raise CheckFailed(
                f"{self.host}:{self.port} takes no connection: {exc}",
                "Is the server up, the port right, and open in the firewall on the way out?",
            ) from exc

    def _skip_behind_proxy(self) -> None:
        proxy = getproxies().get("https" if self.is_encrypted else "http")
        if proxy and not proxy_bypass(self.host):
            raise CheckSkipped("a proxy goes there: the steps below tell whether it does")


def _bundle() -> str:
    """The certificates of authorities that boto3 trusts."""
    path: str = get_cert_path(True)
    return path


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _days_left(certificate: Mapping[str, object]) -> int:
    expires = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return int((expires - time.time()) // _DAY_SECONDS)
