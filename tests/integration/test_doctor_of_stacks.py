"""What the doctor finds in a stack, and what it prints."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.clock import utc_now
from core.settings import read_settings
from database.engine import sync_engine
from database.migrate import newest_migration
from exporter.doctor.check import Check, CheckFailed, Finding, Outcome, run_checks
from exporter.doctor.report import run_doctor
from exporter.doctor.stack import StackChecks
from exporter.settings import ExporterSettings
from tests.conftest import HandClock, an_event
from tests.integration.building import Exporting, query, write_now


@pytest.fixture
def exporting(database_url: str, engine: Engine, tmp_path: Path) -> Exporting:
    return Exporting(database_url, engine, tmp_path / "buckets")


def examine(exporting: Exporting, *, clock: HandClock | None = None) -> dict[str, Finding]:
    checks = StackChecks(exporting.settings, exporting.engine, clock=clock or utc_now).checks()
    return {f.step: f for f in run_checks(checks)}


def failed(found: Mapping[str, Finding]) -> list[str]:
    return [f.step for f in found.values() if f.outcome is Outcome.FAILED]


def environment_of(exporting: Exporting) -> dict[str, str]:
    return {
        "DATABASE_URL": exporting.database_url,
        "CLIENT_S3_BUCKET": exporting.client_root.as_uri(),
        "METERING_S3_BUCKET": exporting.metering_root.as_uri(),
        "SIGNING_KEY_DIR": str(exporting.folder / "keys"),
    }


def test_a_stack_that_runs_passes(exporting: Exporting) -> None:
    exporting.exporter.say_state()
    found = examine(exporting)
    # The tests' server is one that forgets, and their disk may be full.
    assert set(failed(found)) <= {"durability", "disk"}
    assert found["migrations"].seen == newest_migration()
    assert found["exporter"].outcome is Outcome.PASSED
    assert found["signing keys"].outcome is Outcome.PASSED


def test_a_server_that_forgets_is_found(exporting: Exporting) -> None:
    found = examine(exporting)
    assert found["durability"].seen == "fsync is off"
    assert "power cut" in found["durability"].remedy


def test_an_exporter_that_fell_silent_is_found(exporting: Exporting) -> None:
    assert examine(exporting)["exporter"].outcome is Outcome.SKIPPED
    exporting.exporter.say_state()
    query(
        exporting.database_url,
        "UPDATE exporter_state SET last_seen_at = now() - interval '5 minutes'",
    )
    assert "300 s ago" in examine(exporting)["exporter"].seen
    assert "exporter" in failed(examine(exporting))


@pytest.mark.parametrize(
    ("revision", "remedy"), [("0001", "python -m database"), ("9999", "run the newer one")]
)
def test_a_database_of_another_release_is_found(
    exporting: Exporting, revision: str, remedy: str
) -> None:
    query(exporting.database_url, "UPDATE alembic_version SET version_num = %s", revision)
    found = examine(exporting)
    assert remedy in found["migrations"].remedy
    assert found["exporter"].outcome is Outcome.SKIPPED


def test_a_database_without_any_table_is_found(exporting: Exporting) -> None:
    query(exporting.database_url, "DROP TABLE alembic_version")
    assert "at none" in examine(exporting)["migrations"].seen


def test_keys_that_were_lost_are_found_once_something_was_signed(exporting: Exporting) -> None:
    for path in (exporting.folder / "keys").iterdir():
        path.unlink()
    assert examine(exporting)["signing keys"].outcome is Outcome.SKIPPED
    write_now(exporting.database_url, an_event())
    exporting.run()
    found = examine(exporting)
    assert "signing keys" in failed(found)
    assert "backup" in found["signing keys"].remedy


def test_a_clock_that_is_off_is_found(exporting: Exporting) -> None:
    clock = HandClock(utc_now() + timedelta(minutes=1))
    assert "postgresql's clock" in failed(examine(exporting, clock=clock))


def test_a_database_that_is_away_is_found(exporting: Exporting) -> None:
    engine = sync_engine("postgresql://me:hunter2@127.0.0.1:9/sluice", application_name="tests")
    settings = read_settings(ExporterSettings, environment_of(exporting))
    found = {f.step: f for f in run_checks(StackChecks(settings, engine).checks())}
    assert failed(found)[0] == "postgresql"
    assert "DATABASE_URL" in found["postgresql"].remedy
    assert found["migrations"].outcome is Outcome.SKIPPED
    assert "hunter2" not in repr(found)


def test_the_report_names_each_step_and_ends_with_1_when_one_failed(
    exporting: Exporting, capsys: pytest.CaptureFixture[str]
) -> None:
    exporting.exporter.say_state()
    assert run_doctor(environment_of(exporting)) == 1  # the tests' server forgets
    printed = capsys.readouterr().out
    assert "FAILED   durability: fsync is off\n         → Turn it on" in printed
    assert printed.count("PASSED   read-back: 32 bytes, as they were put") == 2
    assert "SKIPPED  kms: a folder has none" in printed
    assert " failed, " in printed.splitlines()[-1]


def test_settings_that_cannot_be_read_are_named_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_doctor({"EXPORT_INTERVAL": "soon"}) == 1
    printed = capsys.readouterr().out
    for name in ("EXPORT_INTERVAL", "DATABASE_URL", "CLIENT_S3_BUCKET", "METERING_S3_BUCKET"):
        assert f"FAILED   settings: {name}" in printed


def test_an_address_that_is_none_is_a_finding(
    exporting: Exporting, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = environment_of(exporting) | {
        "CLIENT_S3_BUCKET": "bucket",
        "CLIENT_S3_ENDPOINT_URL": "not an address",
    }
    assert run_doctor(bad) == 1
    assert "FAILED   buckets: Invalid endpoint" in capsys.readouterr().out


def test_a_mistake_in_one_step_hides_no_other() -> None:
    def break_down() -> str:
        raise ZeroDivisionError

    def fail() -> str:
        raise CheckFailed("seen", "remedy")

    checks = [
        Check("broken", break_down),
        Check("failing", fail),
        Check("waiting", lambda: "", needs=("failing",)),
        Check("waiting longer", lambda: "", needs=("waiting",)),
        Check("good", lambda: "x" * 10_000),
    ]
    found = list(run_checks(checks))
    assert [f.outcome for f in found] == ["FAILED", "FAILED", "SKIPPED", "SKIPPED", "PASSED"]
    assert found[3].seen == "needs failing, which failed"
    assert len(found[4].seen) == 400
