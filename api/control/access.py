"""Who may use the management routes: anyone on loopback in development, a token's bearer else."""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from typing import Annotated

from fastapi import HTTPException, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.addresses import read_address

_bearer = HTTPBearer(auto_error=False, description="API_TOKEN; in development not needed locally")


def require_access(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> None:
    """Raises 401 for a wrong or missing token."""
    settings = request.app.state.settings
    token = settings.api_token
    if (
        token
        and credentials
        and hmac.compare_digest(credentials.credentials.encode(), token.encode())
    ):
        return
    if settings.sluice_env == "development" and not credentials and _is_local(request):
        return
    raise HTTPException(
        401,
        "This route needs `Authorization: Bearer <API_TOKEN>`.",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _is_local(request: Request) -> bool:
    # A proxy that forwards strangers is not local, whatever its own address is; and a page on
    # some site must not read this through a visitor's browser (DNS rebinding).
    if request.client is None or "x-forwarded-for" in request.headers:
        return False
    if request.url.hostname not in ("localhost", "127.0.0.1", "::1"):
        return False
    address = read_address(request.client.host)
    if address is None:
        return False
    caller = ip_address(address)
    return any(caller in network for network in request.app.state.settings.machine_networks)
