"""What the doctor finds in a bucket: a good one, and each thing that can be wrong with one."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.settings import read_settings
from exporter.doctor.check import Finding, Outcome
from exporter.doctor.probe import checks_of, examine_sink
from exporter.doctor.target import Target, targets_of
from exporter.settings import ExporterSettings
from tests.conftest import S3_KEYS, S3_REGION, needs_own_s3
from tests.integration.bucket_gate import DENIED, Asked, Rule, Told, gate, policy_of_the_docs
from tests.integration.certificate import server_context
from tests.integration.test_buckets import unprivileged

PROBE = "analytics/_sluice/probe/object"
DENIALS = [
    "denied: delete what was committed",
    "denied: list outside of the prefix",
    "denied: write outside of the prefix",
    "denied: read without credentials",
]


def the_target(address: str, **variables: str) -> Target:
    """The client's sink."""
    settings = read_settings(
        ExporterSettings,
        {
            "DATABASE_URL": "postgresql://nowhere/sluice",
            "CLIENT_S3_BUCKET": address,
            "METERING_S3_BUCKET": "file:///nowhere",
            "CLIENT_S3_REGION": S3_REGION,
            "CLIENT_S3_ACCESS_KEY_ID": S3_KEYS["access_key_id"],
            "CLIENT_S3_SECRET_ACCESS_KEY": S3_KEYS["secret_access_key"],
        }
        | {f"CLIENT_S3_{name}": value for name, value in variables.items()},
    )
    return targets_of(settings)[0]


def examine(target: Target, *, seconds: float = 20) -> dict[str, Finding]:
    return {f.step: f for f in examine_sink(target, seconds=seconds)}


def failed(found: dict[str, Finding]) -> list[str]:
    return [f.step for f in found.values() if f.outcome is Outcome.FAILED]


def through(s3_endpoint: str, bucket: str, rule: Rule, **different: Any) -> dict[str, Finding]:
    """What is found through a gate."""
    with gate(s3_endpoint, rule, **different) as url:
        return examine(the_target(bucket, ENDPOINT_URL=url))


# --- as it should be ---------------------------------------------------------------------------


def test_a_bucket_with_the_policy_of_the_docs_passes_every_step(
    s3_endpoint: str, s3_bucket: str, s3_client: Any
) -> None:
    found = through(s3_endpoint, s3_bucket, policy_of_the_docs("analytics"))
    assert failed(found) == []
    assert all(f.remedy == "" for f in found.values())
    skipped = {f.step for f in found.values() if f.outcome is Outcome.SKIPPED}
    assert skipped == {"dns", "tls", "region", "kms"}
    for step in DENIALS:
        assert found[step].outcome is Outcome.PASSED
    assert "it is used again" in found["remove the probe"].seen
    assert found["credentials"].seen.endswith("…" + S3_KEYS["access_key_id"][-4:])
    assert keys_of(s3_client, s3_bucket) == [PROBE]


def test_examining_again_leaves_no_second_object(
    s3_endpoint: str, s3_bucket: str, s3_client: Any
) -> None:
    for _ in range(3):
        assert not failed(through(s3_endpoint, s3_bucket, policy_of_the_docs("analytics")))
    assert keys_of(s3_client, s3_bucket) == [PROBE]
    assert not s3_client.list_multipart_uploads(Bucket=s3_bucket).get("Uploads")


def test_what_is_allowed_and_should_be_denied_fails_and_leaves_nothing(
    s3_endpoint: str, s3_bucket: str, s3_client: Any
) -> None:
    found = examine(the_target(s3_bucket, ENDPOINT_URL=s3_endpoint))
    # moto denies what is not signed, and nothing else.
    assert failed(found) == DENIALS[:3]
    assert "docs/buckets.md" in found[DENIALS[0]].remedy
    assert found["remove the probe"].seen == "removed"
    assert keys_of(s3_client, s3_bucket) == []
    assert not s3_client.list_multipart_uploads(Bucket=s3_bucket).get("Uploads")


def test_a_bucket_that_anybody_can_read_fails(s3_endpoint: str, s3_bucket: str) -> None:
    def rule(asked: Asked) -> Told | None:
        signed = asked.headers.get("Authorization")
        return None if signed else Told(200)

    found = through(s3_endpoint, s3_bucket, rule)
    assert "anybody can read" in found["denied: read without credentials"].seen
    assert found["denied: read without credentials"].outcome is Outcome.FAILED


def test_a_folder_passes_and_what_it_has_not_is_skipped(tmp_path: Path) -> None:
    target = the_target((tmp_path / "bucket").as_uri())
    found = examine(target)
    passed = [f.step for f in found.values() if f.outcome is Outcome.PASSED]
    assert passed == ["list", "put", "head", "read-back", "conditional put", "remove the probe"]
    assert failed(found) == []
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_a_folder_and_a_bucket_have_the_same_steps(tmp_path: Path) -> None:
    names = [
        [check.name for check in checks_of(the_target(address))]
        for address in (tmp_path.as_uri(), "bucket")
    ]
    assert names[0] == names[1]


def test_a_folder_that_belongs_to_somebody_else_fails() -> None:
    # Not in pytest's own folders, which nobody else may even look into.
    folder = Path(tempfile.gettempdir()) / f"closed-{os.getpid()}"
    folder.mkdir(mode=0o555)
    try:
        with unprivileged():
            found = examine(the_target((folder / "bucket").as_uri()))
    finally:
        folder.rmdir()
    assert failed(found) == ["put"]
    assert "account that the exporter runs as" in found["put"].remedy
    assert found["read-back"].seen == "needs put, which failed"


# --- on the way --------------------------------------------------------------------------------


def test_a_name_that_does_not_resolve(s3_bucket: str) -> None:
    found = examine(the_target(s3_bucket, ENDPOINT_URL="http://no-such-host.invalid:9000"))
    assert failed(found) == ["dns"]
    assert "name server" in found["dns"].remedy
    assert found["put"].seen == "needs dns, which failed"


def test_a_name_that_resolves(s3_endpoint: str, s3_bucket: str) -> None:
    found = examine(
        the_target(s3_bucket, ENDPOINT_URL=s3_endpoint.replace("127.0.0.1", "localhost"))
    )
    assert found["dns"].outcome is Outcome.PASSED
    assert "127.0.0.1" in found["dns"].seen


def test_a_port_that_nobody_listens_on() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        found = examine(the_target("bucket", ENDPOINT_URL=f"http://127.0.0.1:{port}"))
    assert failed(found) == ["connect"]
    assert "refused" in found["connect"].seen
    assert "firewall" in found["connect"].remedy


def test_a_certificate_that_nobody_vouches_for(s3_endpoint: str, tmp_path: Path) -> None:
    with gate(s3_endpoint, tls=server_context(tmp_path)) as url:
        found = examine(the_target("bucket", ENDPOINT_URL=url))
    assert failed(found) == ["tls"]
    assert "AWS_CA_BUNDLE" in found["tls"].remedy
    assert found["put"].outcome is Outcome.SKIPPED


def test_a_certificate_that_the_bundle_vouches_for(
    s3_endpoint: str, s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = server_context(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    rule = policy_of_the_docs("analytics")
    with gate(s3_endpoint, rule, tls=context) as url:
        found = examine(the_target(s3_bucket, ENDPOINT_URL=url))
    assert failed(found) == []
    assert "good for 9 days" in found["tls"].seen


def test_http_where_https_is_meant(s3_endpoint: str) -> None:
    found = examine(the_target("bucket", ENDPOINT_URL=s3_endpoint.replace("http:", "https:")))
    assert failed(found) == ["tls"]
    assert "http://" in found["tls"].remedy


def test_a_server_that_says_nothing_holds_nobody_up(s3_endpoint: str) -> None:
    begun = time.monotonic()
    with gate(s3_endpoint, hangs=True) as url:
        found = examine(the_target("bucket", ENDPOINT_URL=url), seconds=0.5)
        assert failed(found) == ["region"]
        assert found["region"].seen == "no answer within 0.5 s"
    assert time.monotonic() - begun < 15


def test_a_proxy_is_not_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    found = examine(the_target("bucket", ENDPOINT_URL="http://s3.example"))
    assert found["dns"].outcome is Outcome.SKIPPED
    assert "proxy" in found["dns"].seen
    assert failed(found)[0] == "region"
    assert "ProxyConnectionError" in found["region"].seen


# --- of the bucket -----------------------------------------------------------------------------


def test_a_bucket_that_does_not_exist(s3_endpoint: str) -> None:
    found = examine(the_target("no-such-bucket", ENDPOINT_URL=s3_endpoint))
    assert failed(found) == ["region"]
    assert "create it, or correct its name" in found["region"].remedy


def test_a_name_that_no_bucket_can_have() -> None:
    with gate("http://127.0.0.1:9", lambda _: DENIED) as url:
        found = examine(the_target("Not/A/Bucket", ENDPOINT_URL=url))
    assert failed(found) == ["region"]
    assert "bucket's name" in found["region"].remedy


def test_a_bucket_in_another_region_that_says_so(s3_endpoint: str, s3_bucket: str) -> None:
    def rule(asked: Asked) -> Told | None:
        return Told(301, "PermanentRedirect", {"x-amz-bucket-region": "us-west-2"})

    found = through(s3_endpoint, s3_bucket, rule)
    assert failed(found) == ["region"]
    assert found["region"].seen == f"the bucket is in us-west-2, the settings say {S3_REGION}"
    assert found["region"].remedy == "Set CLIENT_S3_REGION=us-west-2."


def test_a_bucket_that_names_another_region_to_strangers(s3_endpoint: str, s3_bucket: str) -> None:
    def rule(asked: Asked) -> Told | None:
        if asked.method == "HEAD" and not asked.key:
            return Told(403, "", {"x-amz-bucket-region": "us-west-2"})
        return None

    found = through(s3_endpoint, s3_bucket, rule)
    assert failed(found) == ["region"]


def test_credentials_that_are_not_there(
    s3_endpoint: str, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    target = the_target(s3_bucket, ENDPOINT_URL=s3_endpoint, ACCESS_KEY_ID="", SECRET_ACCESS_KEY="")
    found = examine(target)
    assert failed(found) == ["credentials"]
    assert "CLIENT_S3_ACCESS_KEY_ID" in found["credentials"].remedy


def test_a_role_that_may_not_be_taken(s3_endpoint: str, s3_bucket: str) -> None:
    def rule(asked: Asked) -> Told | None:
        return DENIED if asked.method == "POST" and not asked.bucket else None

    with gate(s3_endpoint, rule) as url:
        target = the_target(
            s3_bucket,
            ENDPOINT_URL=url,
            ROLE_ARN="arn:aws:iam::123456789012:role/sluice",
            EXTERNAL_ID="acme-7",
        )
        found = examine(target)
    assert failed(found) == ["credentials"]


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("AccessDenied", "docs/buckets.md"),
        ("InvalidAccessKeyId", "replace it in the settings"),
        ("SignatureDoesNotMatch", "does not fit"),
        ("ExpiredToken", "renew"),
        ("KMS.DisabledException", "enable it"),
    ],
)
def test_a_put_that_is_refused_says_what_to_do(
    s3_endpoint: str, s3_bucket: str, code: str, remedy: str
) -> None:
    def rule(asked: Asked) -> Told | None:
        return Told(403, code) if asked.method == "PUT" else None

    found = through(s3_endpoint, s3_bucket, rule)
    assert failed(found) == (["put", "kms"] if code.startswith("KMS") else ["put"])
    assert code in found["put"].seen
    assert remedy in found["put"].remedy


def test_listing_that_is_denied_hides_no_other_step(s3_endpoint: str, s3_bucket: str) -> None:
    def rule(asked: Asked) -> Told | None:
        return DENIED if "list-type" in asked.query else policy_of_the_docs("analytics")(asked)

    assert failed(through(s3_endpoint, s3_bucket, rule)) == ["list"]


def test_a_server_without_conditional_puts(s3_endpoint: str, s3_bucket: str) -> None:
    policy = policy_of_the_docs("analytics")
    ignoring = through(
        s3_endpoint,
        s3_bucket,
        lambda a: Told(200) if a.headers.get("If-None-Match") else policy(a),
    )
    refusing = through(
        s3_endpoint,
        s3_bucket,
        lambda a: Told(501, "NotImplemented") if a.headers.get("If-None-Match") else policy(a),
    )
    assert failed(ignoring) == failed(refusing) == ["conditional put"]
    assert "exactly once" in ignoring["conditional put"].remedy


def test_uploads_that_cannot_be_given_up(s3_endpoint: str, s3_bucket: str, s3_client: Any) -> None:
    policy = policy_of_the_docs("analytics")
    found = through(s3_endpoint, s3_bucket, lambda a: DENIED if a.method == "DELETE" else policy(a))
    assert failed(found) == ["multipart abort"]
    assert found["multipart abort"].remedy


def test_an_object_that_is_changed_on_its_way(s3_endpoint: str, s3_bucket: str) -> None:
    policy = policy_of_the_docs("analytics")
    found = through(
        s3_endpoint,
        s3_bucket,
        lambda a: Told(200) if a.method == "GET" and a.key == PROBE else policy(a),
    )
    assert "read-back" in failed(found)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_clock_that_is_off(s3_endpoint: str, s3_bucket: str, minutes: int) -> None:
    policy = policy_of_the_docs("analytics")
    found = through(s3_endpoint, s3_bucket, policy, clock_off=timedelta(minutes=minutes))
    assert failed(found) == ["clock"]
    assert ("behind" if minutes > 0 else "ahead") in found["clock"].seen
    assert "timedatectl" in found["clock"].remedy


def test_a_clock_that_the_bucket_refuses(s3_endpoint: str, s3_bucket: str) -> None:
    found = through(
        s3_endpoint,
        s3_bucket,
        lambda _: Told(403, "RequestTimeTooSkewed"),
        clock_off=timedelta(hours=1),
    )
    assert failed(found)[0] == "clock"
    assert "timedatectl" in found["put"].remedy


def test_a_clock_that_is_a_little_off_passes(s3_endpoint: str, s3_bucket: str) -> None:
    policy = policy_of_the_docs("analytics")
    found = through(s3_endpoint, s3_bucket, policy, clock_off=timedelta(minutes=4))
    assert found["clock"].outcome is Outcome.PASSED


@needs_own_s3
def test_encryption_by_kms_is_looked_for(s3_endpoint: str, s3_bucket: str) -> None:
    asked_for = {"ENCRYPTION": "aws:kms", "KMS_KEY_ID": "1234abcd"}
    with gate(s3_endpoint, policy_of_the_docs("analytics")) as url:
        found = examine(the_target(s3_bucket, ENDPOINT_URL=url, **asked_for))
    assert failed(found) == []
    assert "1234abcd" in found["kms"].seen

    def forgets(asked: Asked) -> Told | None:
        if asked.method == "HEAD" and asked.key == PROBE:
            return Told(200, headers={"Content-Length": "32"})
        return policy_of_the_docs("analytics")(asked)

    with gate(s3_endpoint, forgets) as url:
        found = examine(the_target(s3_bucket, ENDPOINT_URL=url, **asked_for))
    assert failed(found) == ["kms"]


def test_no_secret_stands_in_what_is_found(s3_endpoint: str, s3_bucket: str) -> None:
    found = through(s3_endpoint, s3_bucket, lambda _: Told(403, "SignatureDoesNotMatch"))
    assert "test-secret" not in repr(found)


def keys_of(s3_client: Any, bucket: str) -> list[str]:
    listed = s3_client.list_objects_v2(Bucket=bucket).get("Contents", [])
    return [each["Key"] for each in listed]
