"""As whom a bucket is opened, and on which way: roles, machines, proxies, regions, encryption."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs

import pytest

from exporter.sinks.s3 import ObjectOptions, S3Bucket, connect_s3
from exporter.sinks.sink import SinkRefused
from tests.conftest import S3_REGION, needs_own_s3
from tests.integration.bucket_gate import Asked, Told, gate
from tests.integration.certificate import server_context
from tests.integration.forward_proxy import forward_proxy

KEY = "analytics/a file"
ROLE = "arn:aws:iam::123456789012:role/sluice"
MACHINES = {
    "AccessKeyId": "MACHINEKEY", "SecretAccessKey": "secret", "Token": "machine-token",
    "Expiration": "2099-01-01T00:00:00Z", "Code": "Success", "LastUpdated": "2026-01-01T00:00:00Z",
}  # fmt: skip

pytestmark = needs_own_s3


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without keys, role or proxy."""
    for name in os.environ:
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


class Recorder:
    """Notes what is asked, and lets everything through."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def __call__(self, asked: Asked) -> None:
        self.asked.append(asked)

    def of_role_service(self) -> list[dict[str, list[str]]]:
        forms = [parse_qs(a.body.decode()) for a in self.asked if a.method == "POST"]
        return [form for form in forms if form.get("Action") == ["AssumeRole"]]

    def of_bucket(self, bucket: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.bucket == bucket]


def test_a_role_is_taken_with_its_external_id_before_anything_is_asked(
    s3_endpoint: str, s3_bucket: str
) -> None:
    seen = Recorder()
    with gate(s3_endpoint, seen) as url:
        client = connect_s3(
            region=S3_REGION, endpoint_url=url, access_key_id="test-key",
            secret_access_key="test-secret", role_arn=ROLE, external_id="acme-7",
        )  # fmt: skip
        bucket = S3Bucket(client, s3_bucket)
        bucket.put(KEY, b"one")
        assert bucket.get(KEY) == b"one"
    (form,) = seen.of_role_service()
    assert (form["RoleArn"], form["ExternalId"]) == ([ROLE], ["acme-7"])
    assert seen.asked[0].method == "POST"
    assert "Credential=test-key/" in seen.asked[0].headers["Authorization"]
    for asked in seen.of_bucket(s3_bucket):
        assert "Credential=test-key/" not in asked.headers["Authorization"]
        assert asked.headers["X-Amz-Security-Token"]


@contextmanager
def answering(answers: dict[str, object]) -> Iterator[str]:
    """A server that knows some paths."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            content = answers.get(self.path)
            self.send_response(200 if content is not None else 404)
            self.end_headers()
            text = content if isinstance(content, str) else json.dumps(content)
            self.wfile.write(text.encode())

        do_GET = do_PUT = _answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def on_a_machine(kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One that gives those on it a role."""
    role = "/latest/meta-data/iam/security-credentials/"
    answers = {
        "/latest/api/token": "token", role: "machines-role", f"{role}machines-role": MACHINES,
        "/credentials": MACHINES,
    }  # fmt: skip
    with answering(answers) as url:
        if kind == "instance":
            monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
            monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        else:
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/credentials")
        yield


@pytest.mark.parametrize("kind", ["instance", "container"])
@pytest.mark.parametrize("role_arn", [None, ROLE])
def test_without_keys_the_machine_s_own_role_is_used(
    s3_endpoint: str, s3_bucket: str, monkeypatch: pytest.MonkeyPatch, kind: str,
    role_arn: str | None,
) -> None:  # fmt: skip
    seen = Recorder()
    with on_a_machine(kind, monkeypatch), gate(s3_endpoint, seen) as url:
        client = connect_s3(
            region=S3_REGION, endpoint_url=url, access_key_id=None, secret_access_key=None,
            role_arn=role_arn, external_id="acme-7" if role_arn else None,
        )  # fmt: skip
        S3Bucket(client, s3_bucket).put(KEY, b"one")
    first, last = seen.asked[0], seen.asked[-1]
    assert "Credential=MACHINEKEY/" in first.headers["Authorization"]
    assert first.headers["X-Amz-Security-Token"] == "machine-token"
    assert ("Credential=MACHINEKEY/" in last.headers["Authorization"]) is (role_arn is None)
    assert len(seen.of_role_service()) == bool(role_arn)


def test_keys_that_are_set_go_before_the_machine_s_role(
    s3_endpoint: str, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Recorder()
    with on_a_machine("container", monkeypatch), gate(s3_endpoint, seen) as url:
        client = connect_s3(
            region=S3_REGION, endpoint_url=url, access_key_id="k", secret_access_key="s"
        )
        S3Bucket(client, s3_bucket).put(KEY, b"one")
    assert "Credential=k/" in seen.asked[0].headers["Authorization"]


def test_an_endpoint_has_the_bucket_in_the_path_and_options_arrive(
    s3_endpoint: str, s3_bucket: str
) -> None:
    seen = Recorder()
    options = ObjectOptions(encryption="aws:kms", kms_key_id="alias/sluice", tags={"team": "a b"})
    with gate(s3_endpoint, seen) as url:
        client = connect_s3(
            region=S3_REGION, endpoint_url=url, access_key_id="k", secret_access_key="s"
        )
        S3Bucket(client, s3_bucket, options).put_if_absent(KEY, b"one")
    (asked,) = seen.asked
    assert (asked.bucket, asked.headers["If-None-Match"]) == (s3_bucket, "*")
    assert asked.headers["x-amz-server-side-encryption"] == "aws:kms"
    assert asked.headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/sluice"
    assert asked.headers["x-amz-tagging"] == "team=a+b"
    assert "x-amz-acl" not in {name.lower() for name in asked.headers}


@pytest.mark.parametrize("passes", [False, True])
def test_a_proxy_for_http_is_taken_but_where_none_is_wanted(
    s3_endpoint: str, s3_bucket: str, monkeypatch: pytest.MonkeyPatch, passes: bool
) -> None:
    host = s3_endpoint.removeprefix("http://")
    with forward_proxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        if passes:
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        client = connect_s3(
            region=S3_REGION, endpoint_url=s3_endpoint, access_key_id="k", secret_access_key="s"
        )
        bucket = S3Bucket(client, s3_bucket)
        assert bucket.put_if_absent(KEY, b"one")
        assert bucket.get(KEY) == b"one"
    assert proxy.asked == ([] if passes else [("PUT", host), ("GET", host)])


def test_a_server_without_conditional_puts_is_none_to_deliver_to(
    s3_endpoint: str, s3_bucket: str
) -> None:
    with gate(s3_endpoint, lambda _: Told(501, "NotImplemented")) as url:
        client = connect_s3(
            region=S3_REGION, endpoint_url=url, access_key_id="k", secret_access_key="s"
        )
        with pytest.raises(SinkRefused, match="lacks what Sluice needs"):
            S3Bucket(client, s3_bucket).put_if_absent(KEY, b"one")


BUCKET = "acme-events"
FRANKFURT, DUBLIN = (f"{BUCKET}.s3.{region}.amazonaws.com"
                     for region in ("eu-central-1", "eu-west-1"))  # fmt: skip


@contextmanager
def amazon(folder: Path, monkeypatch: pytest.MonkeyPatch, told: Told) -> Iterator[list[str]]:
    """Amazon's own hosts behind a proxy; the bucket is in Dublin. Yields the hosts connected to."""

    def rule(asked: Asked) -> Told:
        return Told(200) if asked.headers["Host"] == DUBLIN else told

    context = server_context(folder, FRANKFURT, DUBLIN)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(folder / "certificate.pem"))
    with gate("http://127.0.0.1:9", rule, tls=context) as url:
        here = url.removeprefix("https://")
        with forward_proxy({f"{FRANKFURT}:443": here, f"{DUBLIN}:443": here}) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            hosts: list[str] = []
            yield hosts
            hosts += [place.removesuffix(":443") for _, place in proxy.asked]


def on_amazon() -> S3Bucket:
    client = connect_s3(
        region="eu-central-1", endpoint_url=None, access_key_id="k", secret_access_key="s"
    )
    return S3Bucket(client, BUCKET)


@pytest.mark.parametrize(
    "told",
    [
        Told(301, "PermanentRedirect", {"x-amz-bucket-region": "eu-west-1"}),
        Told(400, "IllegalLocationConstraintException", {"x-amz-bucket-region": "eu-west-1"}),
    ],
)
def test_a_bucket_in_another_region_is_followed_there_through_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    with amazon(tmp_path, monkeypatch, told) as hosts:
        bucket = on_amazon()
        assert bucket.put_if_absent(KEY, b"one")
        path = tmp_path / "file"
        path.write_bytes(b"two")
        bucket.put_file(KEY, path, sha256="0")
    assert hosts[0] == FRANKFURT
    assert set(hosts[1:]) == {DUBLIN}, "it is asked where it is only once"


def test_a_region_that_nobody_names_is_told_to_be_the_wrong_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        amazon(tmp_path, monkeypatch, Told(400, "AuthorizationHeaderMalformed")),
        pytest.raises(SinkRefused, match="in another region: set the right one"),
    ):
        on_amazon().put(KEY, b"one")
