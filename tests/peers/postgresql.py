"""A real PostgreSQL with its own data, on a free port of 127.0.0.1."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from peers.certificate import Authority
from peers.ports import free_port

_START_SECONDS = "60"
_DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
_PATH = os.pathsep.join([*map(str, reversed(_DEBIAN)), os.environ.get("PATH", "")])

# The role `guarded` needs a password and `certified` a client certificate, the others neither.
_ACCESS = """
local all all trust
host all guarded 127.0.0.1/32 scram-sha-256
hostssl all certified 127.0.0.1/32 cert
host all certified 127.0.0.1/32 reject
host all all 127.0.0.1/32 trust
"""
_SETTINGS = """
port = {port}
listen_addresses = '127.0.0.1'
unix_socket_directories = '{directory}'
shared_buffers = 16MB
max_connections = 40
"""


def installed() -> bool:
    """Return whether there is a PostgreSQL on this machine."""
    return shutil.which("initdb", path=_PATH) is not None


class PostgreSQL:
    """A server that has started, with a database ``golo`` that its role ``golo`` owns."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._data = directory / "data"
        if not installed():
            pytest.skip("there is no initdb here (Debian: postgresql)")
        self._run("initdb", "--no-sync", "--username=postgres", "--encoding=UTF8", "--locale=C")
        (self._data / "pg_hba.conf").write_text(_ACCESS)
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS.format(port=self.port, directory=directory))
        self.start()
        self.execute("CREATE ROLE golo LOGIN", database="postgres")
        self.execute("CREATE DATABASE golo OWNER golo", database="postgres")

    @property
    def url(self) -> str:
        """Its address for an output."""
        return f"postgresql://golo@127.0.0.1:{self.port}/golo"

    @property
    def log(self) -> str:
        """The lines that the server has logged."""
        return (self.directory / "log").read_text(errors="replace")

    def query(self, text: str, *values: object, database: str = "golo") -> list[tuple[Any, ...]]:
        """Return the rows of a query of the superuser."""
        with self._connect(database) as connection:
            return connection.execute(text, values or None).fetchall()

    def execute(self, text: str, database: str = "golo") -> None:
        """Execute a statement of the superuser."""
        with self._connect(database) as connection:
            connection.execute(text)

    def use_tls(self, authority: Authority, host: str = "127.0.0.1") -> None:
        """Accept TLS too, with a certificate for a host; clients may have one of the authority."""
        certificate, key = authority.certify(host)
        contents = {"ssl_ca_file": authority.pem, "ssl_cert_file": certificate, "ssl_key_file": key}
        owner = self.directory.stat()
        for setting, content in contents.items():
            path = self._data / f"{host}.{setting}"
            path.write_bytes(content)
            path.chmod(0o600)
            os.chown(path, owner.st_uid, owner.st_gid)
            self.execute(f"ALTER SYSTEM SET {setting} = '{path}'")
        self.execute("ALTER SYSTEM SET ssl = on")
        self.stop()
        self.start()

    def start(self) -> None:
        """Start it and wait until it accepts connections, also after `kill`."""
        # The processes of a server that was killed may hold its memory for a moment.
        for _ in range(20):
            done = self._pg_ctl("start", "--wait", f"--timeout={_START_SECONDS}")
            if done.returncode == 0:
                return
        raise AssertionError(self.log)

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` ends transactions, `immediate` needs a recovery."""
        if self._pid is not None:
            self._pg_ctl("stop", "--wait", f"--mode={mode}")

    def kill(self) -> None:
        """Kill all its processes with signal 9."""
        self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all its processes, such as SIGSTOP."""
        pid = self._pid
        assert pid is not None
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(one, number)

    @property
    def _pid(self) -> int | None:
        """The process ID of the server, or None if it was stopped."""
        try:
            return int((self._data / "postmaster.pid").read_text().split()[0])
        except FileNotFoundError:
            return None

    def _connect(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=str(self.directory),
            port=self.port,
            user="postgres",
            dbname=database,
            autocommit=True,
        )

    def _pg_ctl(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return self._run("pg_ctl", f"--log={self.directory / 'log'}", *arguments, is_checked=False)

    def _run(
        self, program: str, *arguments: str, is_checked: bool = True
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program of PostgreSQL, none of which runs as root."""
        path = shutil.which(program, path=_PATH)
        assert path is not None
        owner = self.directory.stat()
        is_root = os.geteuid() == 0
        done = subprocess.run(
            [path, f"--pgdata={self._data}", *arguments],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            env={"PATH": _PATH, "LC_ALL": "C"},
            user=owner.st_uid if is_root else None,
            group=owner.st_gid if is_root else None,
            extra_groups=[] if is_root else None,
            check=False,
        )
        assert done.returncode == 0 or not is_checked, done.stdout
        return done


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """Run a server; its directory is a temporary one that an unprivileged user can reach."""
    directory = Path(tempfile.mkdtemp(prefix="golo-pg-", dir="/tmp"))
    server: PostgreSQL | None = None
    try:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(directory, nobody.pw_uid, nobody.pw_gid)
        server = PostgreSQL(directory)
        yield server
    finally:
        if server is not None:
            server.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)
