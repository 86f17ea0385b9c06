"""A real PostgreSQL server for tests, from its Debian package, in a folder of its own.

Import the fixture where it is wanted: ``from postgresql_server import postgresql  # noqa: F401``. Started once per
session; root may not run PostgreSQL, so as root it runs as ``postgres`` or ``nobody``.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from free_ports import free_port

PASSWORD = "swordfish-4711"
"""The password of the server's only user; tests look that it shows nowhere."""


def programs() -> Path:
    """The folder of the newest ``initdb`` and ``pg_ctl``, or a skip that says what is missing."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    for folder in [*folders, *([Path(on_path).parent] if on_path else [])]:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    pytest.skip("PostgreSQL is not installed: apt-get install postgresql")


class PostgresqlServer:
    """A running server; ``new_database()`` is the URL of an empty database."""

    def __init__(self, port: int, restart: Callable[[str], None]) -> None:
        self.port = port
        self.restart = restart
        """Stops it, in the mode given (``fast``, ``immediate``), and starts it again."""

    def url(self, database: str) -> str:
        """The URL of a database of this server, as a user would write it."""
        return f"postgresql://coopr:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database; its URL."""
        name = f"test_{uuid4().hex[:12]}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)


def _unprivileged() -> dict[str, object]:
    """How to start a process that is not root."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server that ends with the session."""
    bin_folder = programs()
    identity = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="coopr-pg-"))
    if "user" in identity:
        os.chown(folder, int(str(identity["user"])), int(str(identity["group"])))
    environment = {"PATH": f"{bin_folder}:{os.environ.get('PATH', os.defpath)}", "LC_ALL": "C", "HOME": str(folder)}

    def run(*command: str) -> None:
        done = subprocess.run(
            [str(bin_folder / command[0]), *command[1:]],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            **identity,  # type: ignore[call-overload]  # user, group and extra_groups
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {(folder / 'log').read_text(errors='replace')[-2000:]}")

    with (folder / "log").open("wb") as log:
        try:
            (folder / "password").write_text(PASSWORD)
            (folder / "password").chmod(0o644)
            data = str(folder / "data")
            run(
                "initdb",
                "-D",
                data,
                "-U",
                "coopr",
                "-A",
                "scram-sha-256",
                "--pwfile=password",
                "-E",
                "UTF8",
                "--no-sync",
            )
            port = free_port()
            options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
            run("pg_ctl", "-D", data, "-w", "-t", "60", "-o", options, "start")
            try:
                restart = ("pg_ctl", "-D", data, "-w", "-t", "60", "-o", options, "restart", "-m")
                yield PostgresqlServer(port, lambda mode: run(*restart, mode))
            finally:
                run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
