"""Settings and `.env.example` say the same."""

from __future__ import annotations

import dataclasses
import re

import pytest

from api.settings import ApiSettings
from core.settings import CommonSettings, read_settings
from exporter.settings import ExporterSettings
from tests.conftest import ROOT

FILE = ROOT / ".env.example"
# What only compose, PostgreSQL's container and nginx read.
COMPOSE_ONLY = re.compile(
    r"POSTGRES_\w+|COMPOSE_\w+|\w+_IMAGE|\w+_MEMORY|HTTPS?_PORT|HTTPS?_PROXY|NO_PROXY|TLS_\w+"
    r"|SITE_ROOT|GEO_FOLDER|LOCAL_NETWORKS|NETWORK_PREFIX|DEMO_BUCKET_VOLUME|SLUICE_VERSION"
)
SETTINGS = {
    field.name.upper(): field
    for cls in (CommonSettings, ApiSettings, ExporterSettings)
    for field in dataclasses.fields(cls)
}


REQUIRED = {
    "DATABASE_URL": "postgresql://db/sluice",
    "CLIENT_S3_BUCKET": "client",
    "METERING_S3_BUCKET": "metering",
}


def documented(*, commented: bool | None = None) -> dict[str, str]:
    """Variables of the file with the values they have there."""
    lines = re.findall(r"^(#? ?)([A-Z][A-Z0-9_]*)=(.*)$", FILE.read_text(), re.MULTILINE)
    return {
        name: value.strip()
        for mark, name, value in lines
        if commented is None or bool(mark) is commented
    }


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_every_setting_has_a_line_in_the_example(name: str) -> None:
    assert name in documented()


def test_every_line_of_the_example_is_a_setting() -> None:
    unknown = set(documented()) - set(SETTINGS)
    assert {name for name in unknown if not COMPOSE_ONLY.fullmatch(name)} == set()


def test_what_only_compose_reads_stands_in_the_compose_file() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    for name in documented():
        if COMPOSE_ONLY.fullmatch(name) and not name.startswith("COMPOSE_"):
            assert name in compose, name


@pytest.mark.parametrize("name", sorted(documented(commented=True)))
def test_a_line_that_is_commented_out_shows_the_default(name: str) -> None:
    value = documented(commented=True)[name]
    if name not in SETTINGS or not value:
        return
    cls = next(c for c in (ApiSettings, ExporterSettings) if name.lower() in c.__dataclass_fields__)
    settings = read_settings(cls, REQUIRED | {name: value})
    assert getattr(settings, name.lower()) == SETTINGS[name].default


def test_the_example_holds_no_secret() -> None:
    for name, value in documented().items():
        if name in SETTINGS and SETTINGS[name].metadata["secret"] and name != "DATABASE_URL":
            assert value.strip() == "", name


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_every_setting_says_what_it_is_for(name: str) -> None:
    assert SETTINGS[name].metadata["meaning"].endswith((".", "; empty for none."))
