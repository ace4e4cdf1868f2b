from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.collector.redaction import Detector
from api.settings import ApiSettings
from core.settings import CommonSettings, SettingsError, masked, read_settings
from exporter.settings import ExporterSettings, parse_tags

PASSWORD = "hunter2-is-not-for-logs"
URL = f"postgresql://sluice:{PASSWORD}@db:5432/sluice"
GOOD_TOKEN = "0f5c2f0f9e1f4a3f8f7e6d5c4b3a29180f5c2f0f9e1f4a3f"
API = {"DATABASE_URL": URL}
EXPORTER = {
    "DATABASE_URL": URL,
    "CLIENT_S3_BUCKET": "client-bucket",
    "METERING_S3_BUCKET": "metering-bucket",
}


def test_defaults_are_enough_for_development() -> None:
    settings = read_settings(ApiSettings, API)
    assert settings.sluice_env == "development"
    assert settings.database_url == URL


def test_every_bad_setting_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(
            ApiSettings,
            {
                "API_PORT": "eighty",
                "MAX_DEPTH": "1",
                "LOG_LEVEL": "LOUD",
                "COMMIT_TIMEOUT": "soon",
                "SLUICE_ENV": "staging",
            },
        )
    message = str(raised.value)
    for name in ("DATABASE_URL", "API_PORT", "MAX_DEPTH", "LOG_LEVEL", "COMMIT_TIMEOUT"):
        assert name in message
    assert "SLUICE_ENV='staging': must be one of development, production" in message
    assert len(raised.value.problems) == 6


def test_a_missing_token_is_named_together_with_whatever_else_is_wrong() -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(ApiSettings, {"SLUICE_ENV": "production", "LOG_LEVEL": "LOUD"})
    message = str(raised.value)
    assert "DATABASE_URL" in message
    assert "LOG_LEVEL" in message
    assert "API_TOKEN is missing" in message


def test_an_empty_variable_counts_as_unset() -> None:
    assert read_settings(ApiSettings, API | {"API_PORT": "", "API_TOKEN": "  "}).api_port == 8000


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("90", timedelta(seconds=90)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("1h", timedelta(hours=1)),
        ("3d", timedelta(days=3)),
        ("2 h", timedelta(hours=2)),
    ],
)
def test_durations(raw: str, expected: timedelta) -> None:
    settings = read_settings(ExporterSettings, EXPORTER | {"DEDUP_WINDOW": raw})
    assert settings.dedup_window == expected


@pytest.mark.parametrize("raw", ["-1s", "1.5h", "1w", "h", "0", "0s"])
def test_bad_durations(raw: str) -> None:
    with pytest.raises(SettingsError, match="EXPORT_INTERVAL"):
        read_settings(ExporterSettings, EXPORTER | {"EXPORT_INTERVAL": raw})


@given(
    name=st.sampled_from(["API_PORT", "COMMIT_TIMEOUT", "SLUICE_ENV", "LOG_LEVEL", "TRACKER_DIR"]),
    raw=st.text(max_size=30),
)
@example(name="COMMIT_TIMEOUT", raw="99999999999999999999d")
@example(name="API_PORT", raw="9" * 5_000)
def test_whatever_a_variable_holds_is_a_setting_or_a_settings_error(name: str, raw: str) -> None:
    try:
        read_settings(ApiSettings, API | {name: raw})
    except SettingsError as exc:
        problems = exc.problems
    else:
        problems = []
    assert all(problem.startswith(name) for problem in problems)


def test_paths_and_optional_settings() -> None:
    settings = read_settings(CommonSettings, API | {"LOG_FILE": "/var/log/sluice.log"})
    assert settings.log_file == Path("/var/log/sluice.log")
    assert read_settings(CommonSettings, API).log_file is None


def test_secrets_stay_out_of_repr_messages_and_the_masked_view() -> None:
    api = read_settings(ApiSettings, API | {"API_TOKEN": GOOD_TOKEN})
    exporter = read_settings(
        ExporterSettings,
        EXPORTER
        | {"CLIENT_S3_ACCESS_KEY_ID": "AKIASECRETID", "CLIENT_S3_SECRET_ACCESS_KEY": "verysecret"},
    )
    shown = repr(api) + repr(exporter) + str(masked(api)) + str(masked(exporter))
    for secret in (PASSWORD, GOOD_TOKEN, "AKIASECRETID", "verysecret"):
        assert secret not in shown
    assert masked(api)["API_TOKEN"] == "(set)"
    assert masked(exporter)["METERING_S3_SECRET_ACCESS_KEY"] == "(not set)"
    assert masked(exporter)["CLIENT_S3_BUCKET"] == "client-bucket"


def test_a_rejected_token_is_not_repeated_in_the_message() -> None:
    token = "changeme-0123456789-0123456789"
    with pytest.raises(SettingsError) as raised:
        read_settings(ApiSettings, API | {"SLUICE_ENV": "production", "API_TOKEN": token})
    assert "API_TOKEN" in str(raised.value)
    assert token not in str(raised.value)


@pytest.mark.parametrize(
    "token", [None, "", "short", "x" * 23, "my-production-password-is-long", "CHANGEME" * 5]
)
def test_production_does_not_start_without_a_good_token(token: str | None) -> None:
    environment = API | {"SLUICE_ENV": "production"} | ({"API_TOKEN": token} if token else {})
    with pytest.raises(SettingsError, match="API_TOKEN"):
        read_settings(ApiSettings, environment)


def test_production_starts_with_a_good_token_and_without_the_demo_bucket() -> None:
    environment = API | {"SLUICE_ENV": "production", "API_TOKEN": GOOD_TOKEN}
    assert read_settings(ApiSettings, environment).api_token == GOOD_TOKEN
    with pytest.raises(SettingsError, match="DEMO_BUCKET_DIR"):
        read_settings(ApiSettings, environment | {"DEMO_BUCKET_DIR": "/buckets"})


@pytest.mark.parametrize(
    ("different", "named"),
    [
        ({"CLIENT_S3_ACCESS_KEY_ID": "AKIA"}, "CLIENT_S3_SECRET_ACCESS_KEY"),
        ({"METERING_S3_SECRET_ACCESS_KEY": "s"}, "METERING_S3_ACCESS_KEY_ID"),
        ({"METERING_S3_BUCKET": "client-bucket"}, "two buckets"),
        ({"CLIENT_PREFIX": "../up"}, "CLIENT_PREFIX"),
        ({"CLIENT_PREFIX": "/a"}, "CLIENT_PREFIX"),
        ({"METERING_PREFIX": "a//b"}, "METERING_PREFIX"),
        ({"METERING_MODE": "everything"}, "METERING_MODE"),
        ({"CLIENT_S3_BUCKET": "file://folder/without/third/slash"}, "CLIENT_S3_BUCKET"),
        (
            {"CLIENT_S3_BUCKET": "file:///buckets/a", "METERING_S3_BUCKET": "file:///buckets/a/"},
            "two buckets",
        ),
    ],
)
def test_exporter_settings_that_contradict_each_other(
    different: dict[str, str], named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        read_settings(ExporterSettings, EXPORTER | different)


def test_write_keys_stay_out_of_whatever_shows_settings() -> None:
    settings = read_settings(ApiSettings, API | {"WRITE_KEYS": "very-secret-key=shop.example"})
    assert "very-secret-key" not in repr(settings)
    assert masked(settings)["WRITE_KEYS"] == "(set)"
    assert settings.keys_of_servers is not None
    assert read_settings(ApiSettings, API).keys_of_servers is None


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"WRITE_KEYS": "very-secret-key"}, "WRITE_KEYS: key 1 names no site"),
        ({"REQUIRE_WRITE_KEY": "server"}, "REQUIRE_WRITE_KEY=server needs WRITE_KEYS"),
        ({"NEW_SITES": "maybe"}, "NEW_SITES='maybe': must be one of accept, quarantine, refuse"),
        ({"CONSENT_MODE": "no"}, "CONSENT_MODE='no': must be one of ignore, respect_signals"),
        ({"MAX_SITES": "0"}, "MAX_SITES='0': must be at least 1"),
    ],
)
def test_rules_of_intake_that_contradict_themselves(
    variables: dict[str, str], problem: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(ApiSettings, API | variables)
    assert problem in str(raised.value)
    assert "very-secret-key" not in str(raised.value)


def test_the_default_rules_let_every_site_in() -> None:
    settings = read_settings(ApiSettings, API)
    assert settings.site_policy.allows("anything at all")
    assert settings.site_policy.new_sites == "accept"
    assert "signed_up" in settings.identity_event_names


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"REDACT": "card,iris"}, "REDACT: 'iris' is not a valid Detector; there are card, ssn,"),
        ({"REDACT": "none,card"}, "REDACT: 'none' is not a valid Detector"),
        ({"REDACT_ALLOW": "sku"}, "REDACT_ALLOW: 'sku' is no site=field"),
        ({"REDACT_ALLOW": "shop.example=sku,=sku"}, "REDACT_ALLOW: '=sku' is no site=field"),
        ({"REDACT_ALLOW": "shop.example= "}, "REDACT_ALLOW: 'shop.example=' is no site=field"),
        ({"IP_MODE": "whole"}, "IP_MODE='whole': must be one of truncate, drop"),
        ({"BOTS": "ignore"}, "BOTS='ignore': must be one of flag, drop"),
        ({"COOKIELESS": "on"}, "COOKIELESS='on': must be one of off, dialects, missing, always"),
        ({"RATE_LIMIT_PER_IP": "-1"}, "RATE_LIMIT_PER_IP='-1': must be at least 0"),
        ({"MAX_STRING_CHARS": "99"}, "MAX_STRING_CHARS='99': must be at least 100"),
        ({"BODY_TIMEOUT": "0s"}, "BODY_TIMEOUT"),
    ],
)
def test_bad_settings_of_privacy_and_limits(variables: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(ApiSettings, API | variables)
    assert problem in str(raised.value)


def test_what_is_wrong_with_redaction_is_named_all_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(ApiSettings, API | {"REDACT": "iris", "REDACT_ALLOW": "sku"})
    for name in ("REDACT: ", "REDACT_ALLOW: "):
        assert name in str(raised.value)


def test_what_is_redacted_and_what_is_allowed() -> None:
    def read(**variables: str) -> ApiSettings:
        return read_settings(ApiSettings, API | variables)

    assert read().redaction_detectors == frozenset(Detector)
    assert read(REDACT="").redaction_detectors == frozenset(Detector)
    assert read(REDACT=" Card, ssn ,").redaction_detectors == {Detector.CARD, Detector.SSN}
    assert read(REDACT="none").redaction_detectors == frozenset()
    allowed = read(REDACT_ALLOW="*=sku, a.example=order.code,a.example = ean")
    assert allowed.redaction_allow_list == {
        "*": {"sku"},
        "a.example": {"order.code", "ean"},
    }


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"CLIENT_S3_TAGS": "team"}, "CLIENT_S3_TAGS: 'team' is no tag"),
        ({"CLIENT_S3_TAGS": "team=a&b"}, "CLIENT_S3_TAGS: 'team=a&b' is no tag"),
        ({"METERING_S3_TAGS": "a=1,a=2"}, "METERING_S3_TAGS: 'a' stands there twice"),
        ({"CLIENT_S3_TAGS": ",".join(f"t{n}=" for n in range(11))}, "ten tags at most"),
        ({"CLIENT_S3_EXTERNAL_ID": "x"}, "CLIENT_S3_EXTERNAL_ID is for CLIENT_S3_ROLE_ARN"),
        ({"CLIENT_S3_KMS_KEY_ID": "k"}, "CLIENT_S3_KMS_KEY_ID is for CLIENT_S3_ENCRYPTION=aws:kms"),
        ({"CLIENT_S3_STORAGE_CLASS": "GLACIER"}, "must be one of STANDARD"),
    ],
)
def test_what_no_bucket_takes_is_told_at_start(variables: dict[str, str], problem: str) -> None:
    required = {
        "DATABASE_URL": "postgresql://db/sluice",
        "CLIENT_S3_BUCKET": "client",
        "METERING_S3_BUCKET": "metering",
    }
    with pytest.raises(SettingsError) as failed:
        read_settings(ExporterSettings, required | variables)
    assert problem in str(failed.value)


def test_tags_are_read_by_name() -> None:
    assert parse_tags("team=data, env=a b=c") == {"team": "data", "env": "a b=c"}
    assert parse_tags(None) == {}
