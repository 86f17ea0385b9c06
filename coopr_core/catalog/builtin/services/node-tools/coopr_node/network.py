"""Addresses, ports and small HTTP questions.

Promise: nodes that share one address (a laptop that has no second loopback address) get successive ports, all others
the same; the others' ports are computed, not asked for. A port that is taken is reported before a daemon is started,
with its holder and the config key to change.
"""

from __future__ import annotations

import errno
import json
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coopr_node.task import Failed, host_name, values

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Member:
    """One of the nodes a service is on; ``shift`` counts the members before it that have the same address."""

    host: str
    address: str
    shift: int

    def port(self, base: int) -> int:
        """The member's own port of those that begin at ``base``."""
        return base + self.shift


@dataclass(frozen=True)
class Endpoint:
    """A port to listen on, and the config key it came from."""

    address: str
    port: int
    key: str


def members(hosts_path: str, addresses_path: str) -> list[Member]:
    """The nodes of a service, from two lists of the config in node-number order."""
    addresses = values(addresses_path)
    hosts = values(hosts_path)
    if len(hosts) != len(addresses):
        raise Failed(f"config '{hosts_path}' names {len(hosts)} nodes but '{addresses_path}' {len(addresses)}")
    return [
        Member(host, addresses[place], addresses[:place].count(addresses[place])) for place, host in enumerate(hosts)
    ]


def this_member(of: list[Member]) -> Member:
    """The member this node is."""
    for member in of:
        if member.host == host_name():
            return member
    raise Failed(f"{host_name()} is not among the service's nodes: {', '.join(member.host for member in of)}")


def check_free(endpoints: list[Endpoint]) -> None:
    """Fail, naming address, port, holder and config key, when one of the ports cannot be listened on."""
    for endpoint in endpoints:
        place = f"{endpoint.address}:{endpoint.port}"
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((endpoint.address, endpoint.port))
                probe.listen()
            except OSError as error:
                hint = f"choose another port with --set {endpoint.key}=PORT"
                if error.errno == errno.EADDRINUSE:
                    raise Failed(f"{place} is in use by {_holder(endpoint)}: stop it, or {hint}") from None
                if error.errno in (errno.EACCES, errno.EPERM):
                    raise Failed(f"{place} may not be listened on without root: {hint} above 1023") from None
                raise Failed(f"{place} cannot be listened on: {error.strerror}") from None


def get(url: str, timeout: float = 2.0) -> tuple[int, str]:
    """The status and body at ``url``, past any proxy; status 0 and the reason when there is no answer."""
    try:
        with _DIRECT.open(url, timeout=timeout) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        return 0, str(getattr(error, "reason", error))


def get_json(url: str) -> Any:
    """The JSON at ``url``, or None while there is no good answer."""
    status, body = get(url)
    if status != 200:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return None


def _holder(endpoint: Endpoint) -> str:
    """Who listens there, as far as this user may know."""
    pid = _listener_on_linux(endpoint) if Path("/proc/net/tcp").exists() else _listener_by_lsof(endpoint)
    if not pid:
        return "another process (of another user, it seems)"
    try:
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        name = "process"
    return f"{name} (pid {pid})"


def _listener_on_linux(endpoint: Endpoint) -> str:
    address = socket.inet_aton(endpoint.address)[::-1].hex().upper()
    wanted = {f"{address}:{endpoint.port:04X}", f"00000000:{endpoint.port:04X}"}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[1] in wanted and row[3] == "0A"}
    for handle in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(handle.readlink()) in sockets:
                return handle.parts[2]
        except OSError:
            continue
    return ""


def _listener_by_lsof(endpoint: Endpoint) -> str:
    if not shutil.which("lsof"):
        return ""
    command = ["lsof", "-nP", f"-iTCP:{endpoint.port}", "-sTCP:LISTEN", "-Fp"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    pid = re.search(r"^p(\d+)$", found.stdout, re.MULTILINE)
    return pid.group(1) if pid else ""
