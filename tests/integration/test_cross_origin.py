"""What a browser must be told for a tracker on another origin to send, and read the answer."""

from __future__ import annotations

from api.app import DIALECTS
from tests.integration.building import collect, serving

PATHS = [path for dialect in DIALECTS for path in dialect.routes]
ALLOWED = {"ALLOWED_ORIGINS": "https://a.example"}


async def test_a_tracker_may_send_credentials_and_headers_of_its_own(
    read_database_url: str,
) -> None:
    asked = "content-type,sp-anonymous,x-umami-cache,x-umami-website-id"
    headers = {"origin": "https://a.example", "access-control-request-headers": asked}
    async with serving(read_database_url, **ALLOWED) as http:
        for path in PATHS:
            answer = await http.options(path, headers=headers)
            assert answer.headers["access-control-allow-origin"] == "https://a.example"
            assert answer.headers["access-control-allow-credentials"] == "true"
            assert answer.headers["access-control-allow-headers"] == asked


async def test_it_may_read_what_is_wrong(read_database_url: str) -> None:
    headers = {"origin": "https://a.example"}
    async with serving(read_database_url, **ALLOWED) as http:
        for path in (path for d in DIALECTS for path in d.routes if "POST" in d.routes[path]):
            answer = await http.post(path, headers=headers, content=b"{")
            assert answer.headers["access-control-allow-credentials"] == "true", path


async def test_another_origin_is_told_of_no_credentials(read_database_url: str) -> None:
    async with serving(read_database_url, **ALLOWED) as http:
        answer = await collect(http, b"{", origin="https://b.example")
        preflight = await http.options("/collect", headers={"origin": "https://b.example"})
    for told in (answer.headers, preflight.headers):
        assert not {"access-control-allow-origin", "access-control-allow-credentials"} & set(told)
