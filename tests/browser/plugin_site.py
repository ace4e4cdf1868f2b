"""A site that loads one built plugin on each page, under a policy of no script but its own."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HOST = Path(__file__).parent / "pages" / "plugin_host.js"
BUNDLE = ROOT / "tracking" / "scripts" / "bundle.mjs"
ELSEWHERE = "<!doctype html><title>Elsewhere</title>"
POLICY = "default-src 'self'; style-src 'unsafe-inline'"


@dataclass
class Site:
    """A site of pages made by its tests; each page loads one plugin."""

    dist: Path
    url: str = ""
    files: dict[str, str] = field(default_factory=dict)

    def page(self, path: str, plugin: str, body: str, *, head: str = "", **options: str) -> str:
        chunk = json.loads((self.dist / "assets.json").read_text())["plugins"][plugin]
        data = "".join(f' data-{name.replace("_", "-")}="{said}"' for name, said in options.items())
        self.files[path] = (
            f"<!doctype html><title>A page</title>{head}{body}"
            f'<script src="/host.js" data-chunk="/dist/{chunk}"{data}></script>'
        )
        return self.url + path

    def find(self, path: str) -> str | None:
        if path.startswith("/dist/"):
            return (self.dist / path.removeprefix("/dist/")).read_text()
        return HOST.read_text() if path == "/host.js" else self.files.get(path)


def build_chunks(folder: Path) -> Path:
    """Build the tracker into folders below this one; returns where its chunks are."""
    folders = {name: str(folder / name) for name in ("dist", "site", "plugin")}
    script = f"(await import({json.dumps(BUNDLE.as_uri())})).bundleInto({json.dumps(folders)})"
    subprocess.run(["node", "--input-type=module", "-e", f"await {script}"], check=True)
    return folder / "dist"


@contextmanager
def serving_plugins(dist: Path) -> Iterator[Site]:
    """The site, served from an origin of its own."""
    site = Site(dist)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            found = site.find(path)
            content = (ELSEWHERE if found is None else found).encode()
            kind = "text/javascript" if path.endswith(".js") else "text/html; charset=utf-8"
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Security-Policy", POLICY)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    site.url = f"http://localhost:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
