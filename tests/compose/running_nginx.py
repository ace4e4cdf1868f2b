"""The real nginx with the stack's own configuration, moved to a folder and to free ports."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.system.running_collector import send
from tests.system.running_stack import ROOT, free_port, wait_until

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
# Root's nginx would read files as nobody, who may not look into a test's folders.
_AS_WE_ARE = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
_ENVIRONMENT = {
    "NETWORK_PREFIX": "127.0.0",
    "MAX_BODY_BYTES": "2000000",
    "SLUICE_ENV": "production",
    "TRACKER_ALIAS": "",
    "COLLECT_ALIAS": "",
}


@contextmanager
def running_nginx(
    collector_url: str,
    folder: Path,
    *,
    dist: Path = ROOT / "tracking/dist",
    **environment: str,
) -> Iterator[str]:
    """Where it listens; it passes on to the collector at that address, and serves that tracker."""
    assert NGINX is not None
    port, alive_port = free_port(), free_port()
    configuration = _render(
        folder,
        {
            "/etc/nginx/mime.types": "/etc/nginx/mime.types",
            "/etc/nginx/": f"{folder}/",
            "/srv": f"{folder}/srv",
            "/dev/stdout": f"{folder}/access.log",
            "/tmp/": f"{folder}/tmp/",
            "127.0.0.3:8000": urlsplit(collector_url).netloc,
            "listen 8080": f"listen 127.0.0.1:{port}",
            "127.0.0.1:8081": f"127.0.0.1:{alive_port}",
        },
        dist=dist,
        environment=_ENVIRONMENT | environment,
    )
    output = folder / "nginx.out"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [NGINX, "-e", "stderr", "-c", str(configuration), "-g", _AS_WE_ARE],
            stdout=out, stderr=out,
        )  # fmt: skip

    def is_alive() -> bool:
        assert process.poll() is None, output.read_text()
        try:
            return send(f"http://127.0.0.1:{alive_port}/alive")[0] == 204
        except OSError:
            return False

    try:
        wait_until(is_alive, seconds=10, what=f"nginx, see {output}")
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(10)


def _render(
    folder: Path, moved: dict[str, str], *, dist: Path, environment: dict[str, str]
) -> Path:
    """As the image does: the templates filled in, everything where nginx.conf looks for it."""
    for name in ("tmp", "conf.d", "tls", "srv"):
        (folder / name).mkdir(parents=True)
    (folder / "srv/js").symlink_to(dist)
    shutil.copytree(ROOT / "nginx/snippets", folder / "snippets")
    shutil.copy(ROOT / "nginx/nginx.conf", folder)
    for template in (ROOT / "nginx/templates").glob("*.template"):
        shutil.copy(template, folder / "conf.d" / template.stem)
    for path in [*folder.glob("*.conf"), *folder.glob("snippets/*"), *folder.glob("conf.d/*")]:
        path.write_text(_move(_fill_in(path.read_text(), environment), moved))
    return folder / "nginx.conf"


def _fill_in(text: str, environment: dict[str, str]) -> str:
    for name, value in environment.items():
        text = text.replace(f"${{{name}}}", value)
    return text


def _move(text: str, moved: dict[str, str]) -> str:
    marks = {old: f"\0{n}\0" for n, old in enumerate(moved)}
    for old, mark in marks.items():
        text = text.replace(old, mark)
    for old, mark in marks.items():
        text = text.replace(mark, moved[old])
    return text
