"""What docker-compose.yml hands on; `try-compose.sh` brings it up for real."""

from __future__ import annotations

import dataclasses
import re
from typing import Final

import pytest

from api.settings import ApiSettings
from exporter.settings import ExporterSettings
from tests.conftest import ROOT

COMPOSE: Final = (ROOT / "docker-compose.yml").read_text()
EXAMPLE: Final = (ROOT / ".env.example").read_text()
# Logs go to Docker, and nginx serves the files.
NOT_WITH_COMPOSE: Final = {"LOG_FILE", "TRACKER_DIR", "SITE_DIR", "DEMO_BUCKET_DIR"}
SETTINGS: Final = {
    field.name.upper(): field
    for cls in (ApiSettings, ExporterSettings)
    for field in dataclasses.fields(cls)
}
INTERPOLATED: Final = dict(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+):-([^}]*)\}", COMPOSE))


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - NOT_WITH_COMPOSE))
def test_every_setting_reaches_its_process(name: str) -> None:
    assert re.search(rf"^ +{name}: ", COMPOSE, re.MULTILINE)


def test_every_variable_is_described_in_the_example() -> None:
    described = set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=", EXAMPLE, re.MULTILINE))
    assert set(INTERPOLATED) - described == set()
    development = re.findall(r"^([A-Z0-9_]+)=", (ROOT / ".env.development").read_text(), re.M)
    assert set(development) - described == set()


def test_every_variable_may_be_unset() -> None:
    """`docker compose ps` and `logs` work without an env file; `migrate` says what is missing."""
    assert set(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)", COMPOSE)) == set(INTERPOLATED)


def test_a_forgotten_env_file_opens_nothing() -> None:
    assert INTERPOLATED["SLUICE_ENV"] == "production"
    assert INTERPOLATED["POSTGRES_PASSWORD"] == INTERPOLATED["API_TOKEN"] == ""


def test_only_nginx_listens_publicly() -> None:
    published = re.findall(r'^ +- "(.*):\d+"$', COMPOSE, re.MULTILINE)
    assert published == ["${HTTP_PORT:-80}", "127.0.0.1:${API_PORT:-8000}"]
