from __future__ import annotations

import pytest

from api.aliases import COLLECT, TRACKER, Aliases
from api.app import DIALECTS, create_app
from api.settings import ApiSettings
from core.settings import SettingsError, read_settings
from tests.conftest import ROOT

API = {"DATABASE_URL": "postgresql://nowhere/sluice"}


def test_the_folder_of_the_alias_has_what_js_has() -> None:
    aliases = Aliases(tracker="/a/b/app.js", collect="/a/b/x")
    for path, meant in {
        "/a/b/app.js": TRACKER,
        "/a/b/app.0123abcd.js": "/js/tracking.0123abcd.js",
        "/a/b/views.js": "/js/views.js",
        "/a/b/views.0123abcd.js": "/js/views.0123abcd.js",
        "/a/b/0123abcdz.js": "/js/0123abcdz.js",
        "/a/b/x": COLLECT,
    }.items():
        assert aliases.resolve(path) == meant


@pytest.mark.parametrize(
    "path",
    ["/", "/js/tracking.js", "/collect", "/a/b/", "/a/app.js", "/a/b/c/app.js",
     "/a/b/app.0123ABCD.js", "/a/b/app.js\n", "/a/b/0123abcd.js", "/a/b/tracking.js",
     "/a/b/assets.json",
     "/a/b/x/", "/a/b/X"],
)  # fmt: skip
def test_other_paths_are_what_they_are(path: str) -> None:
    assert Aliases(tracker="/a/b/app.js", collect="/a/b/x").resolve(path) == path
    assert Aliases().resolve(path) == path


def test_an_alias_may_be_in_the_first_folder() -> None:
    aliases = Aliases(tracker="/app.js", collect="/x")
    assert aliases.resolve("/app.js") == TRACKER
    assert aliases.resolve("/0123abcd0.js") == "/js/0123abcd0.js"
    assert aliases.resolve("/x") == COLLECT


@pytest.mark.parametrize(
    "alias",
    ["a/app.js", "/a/app", "/", "/a/../app.js", "/a//app.js", "/a/.app.js", "/a b/app.js",
     "/ä/app.js", "/a/$uri.js", '/a/";.js', "/a/app.js?x", "/a%2fapp.js", "/a/app.js\n",
     "/" + "a" * 200 + ".js", "/js/tracking.js", "/a/views.js", "/a/0123abcd0.js",
     "/events/app.js", "/v1/app.js",
     "/assets/a.js", "https://a.example/app.js"],
)  # fmt: skip
def test_an_alias_of_the_script_that_cannot_be_is_named(alias: str) -> None:
    with pytest.raises(ValueError, match="TRACKER_ALIAS="):
        Aliases(tracker=alias)


@pytest.mark.parametrize(
    "alias",
    ["x", "/", "/a/", "/collect", "/collect/x", "/js/x", "/health", "/pixel.gif", "/a/app.js",
     "/a/app.0123abcd.js", "/a/views.js", "/a/0123abcd0.js"],
)  # fmt: skip
def test_an_alias_of_the_endpoint_that_cannot_be_is_named(alias: str) -> None:
    with pytest.raises(ValueError, match="COLLECT_ALIAS="):
        Aliases(tracker="/a/app.js", collect=alias)


def test_both_are_named_at_once_among_the_settings() -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(ApiSettings, API | {"TRACKER_ALIAS": "app.js", "COLLECT_ALIAS": "/health"})
    assert [problem.split("=")[0] for problem in raised.value.problems] == [
        "TRACKER_ALIAS", "COLLECT_ALIAS",
    ]  # fmt: skip


def test_no_alias_can_hide_a_path_of_the_stack() -> None:
    app = create_app(read_settings(ApiSettings, API)).management
    paths = {path for dialect in DIALECTS for path in dialect.routes}
    paths |= set(app.openapi()["paths"])
    paths |= {route.path for route in app.routes if hasattr(route, "path")}
    paths |= {f"/{folder.name}/x" for folder in (ROOT / "nginx/site").iterdir() if folder.is_dir()}
    paths.add("/demo/bucket/x")
    paths -= {""}
    assert {"/collect", "/health", "/docs", "/sites/{site_id}", "/assets/x"} <= paths
    for path in sorted(paths):
        first = "/" + path.split("/")[1]
        for alias in (first, first + "/x"):
            with pytest.raises(ValueError, match="the stack's own"):
                Aliases(collect=alias)
        with pytest.raises(ValueError, match="the stack's own"):
            Aliases(tracker=first + "/x.js")
