#!/usr/bin/env python3
"""webapp-app: one application server (``app.py``), which START leaves able to reach its database."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, os.path.join(os.environ["COOPR_DATA"], "..", "node-tools", "lib"))

from coopr_node.account import hand_over
from coopr_node.daemon import Daemon
from coopr_node.network import Endpoint, get, members, this_member
from coopr_node.packages import install as install_packages
from coopr_node.task import DATA, bind_address, config, number, remove_data, run_action, say, values, write

CONF = DATA / "conf"
SETTINGS = CONF / "app.json"
PROGRAM = DATA / "app.py"

daemon = Daemon("app")


def install() -> None:
    """Fetch the database driver and what it needs."""
    install_packages(values("webapp.app.packages"), DATA / "software")


def configure() -> None:
    """Write the application and its settings; only the account it runs as may read them, the password is in there."""
    me = this_member(members("webapp.app.hosts", "webapp.app.servers"))
    settings = {
        "host": me.host,
        "address": bind_address(),
        "port": me.port(number("webapp.app.port")),
        "connections": number("webapp.app.connections"),
        "database": {
            "host": config("webapp.database.host"),
            "port": number("webapp.database.port"),
            "database": config("webapp.database.name"),
            "user": config("webapp.database.name"),
            "password": config("webapp.database.password"),
        },
    }
    write(SETTINGS, json.dumps(settings, indent=2), 0o600)
    hand_over(CONF)
    write(PROGRAM, Path("app.py").read_text(encoding="utf-8"))
    say(f"{me.host} serves at {me.address}:{settings['port']}; {SETTINGS} written")


def start() -> None:
    """Start the server and wait until it reaches its database."""
    port = _port()
    daemon.start(
        [sys.executable, "-u", PROGRAM, SETTINGS],
        ready=lambda: _missing(port),
        timeout=number("webapp.app.start_timeout"),
        listens=[Endpoint(bind_address(), port, "webapp.app.port")],
        environment={"PYTHONPATH": str(DATA / "software"), "PYTHONDONTWRITEBYTECODE": "1"},
    )


def health() -> None:
    """The server answers and reaches its database."""
    port = _port()
    daemon.check(lambda: _missing(port))


def _port() -> int:
    return this_member(members("webapp.app.hosts", "webapp.app.servers")).port(number("webapp.app.port"))


def _missing(port: int) -> str:
    url = f"http://{bind_address()}:{port}/healthz"
    status, body = get(url, timeout=6)
    return "" if status == 200 else f"{url}: {body.strip()}"


run_action(
    {
        "install": install,
        "configure": configure,
        "start": start,
        "stop": daemon.stop,
        "remove": remove_data,
        "health": health,
    }
)
