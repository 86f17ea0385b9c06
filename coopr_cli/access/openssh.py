"""What OpenSSH's programs need to know of a cluster's nodes: an options' list per node and one file of pinned keys.

Each node is known by an alias of its own (``coopr-<cluster>-<node>``) instead of its address, so an address that comes
back with another machine is refused; a gateway has an alias too. The file of pinned keys is in the state folder and
written anew whenever the cluster's nodes are exported.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from coopr_core.folders import known_hosts_of, make_folder
from coopr_core.providers.contract import Machine
from coopr_core.remote.endpoint import Endpoint

if TYPE_CHECKING:
    from coopr_core.model.records import ClusterRecord, NodeRecord


def pin_hosts(cluster: ClusterRecord, nodes: Iterable[NodeRecord]) -> Path:
    """Write the file with the host keys of the cluster's nodes and gateways, whole or not at all; return its path."""
    machines = [Machine.from_json(node.machine) for node in nodes if node.machine]
    pins = {alias(machine): machine.host_keys for machine in machines}
    pins |= {gateway_alias(machine): machine.gateway.host_keys for machine in machines if machine.gateway}
    text = "".join(f"{name} {key}\n" for name, keys in pins.items() for key in keys)
    path = known_hosts_of(cluster.id)
    make_folder(path.parent)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)
    return path


def alias(machine: Machine) -> str:
    """Return the name a machine's host key is known by."""
    return f"coopr-{machine.cluster_id}-{machine.node}"


def gateway_alias(machine: Machine) -> str:
    """Return the name by which the gateway of a machine, which has one, is known to OpenSSH."""
    assert machine.gateway is not None
    address = re.sub(r"[^A-Za-z0-9.-]", "-", machine.gateway.address)
    return f"coopr-{machine.cluster_id}-gateway-{address}-{machine.gateway.port}"


def options(machine: Machine, key: Path, known_hosts: Path) -> dict[str, str]:
    """Return the options of ``ssh_config`` that reach a machine, and nothing but that machine, in their order.

    A machine behind a gateway is reached with ``proxy_jump`` or ``proxy_command`` besides.
    """
    return _options(Endpoint.of(machine), alias(machine), key, known_hosts)


def gateway_options(machine: Machine, key: Path, known_hosts: Path) -> dict[str, str]:
    """Return the options that reach the gateway of a machine, none for a machine without one."""
    if machine.gateway is None:
        return {}
    return _options(Endpoint.of_gateway(machine.gateway), gateway_alias(machine), key, known_hosts)


def proxy_jump(machine: Machine) -> dict[str, str]:
    """Return the option that leads through the gateway, for a file that has a section with the gateway's options."""
    return {"ProxyJump": gateway_alias(machine)} if machine.gateway else {}


def proxy_command(machine: Machine, key: Path, known_hosts: Path) -> dict[str, str]:
    """Return the option that leads through the gateway where there is no such file: what ``ssh -J`` would run.

    OpenSSH hands the options of its command line to no gateway, nor quotes the file it hands on.
    """
    wanted = gateway_options(machine, key, known_hosts)
    if not wanted:
        return {}
    words = ["ssh", "-F", os.devnull, *flags(wanted), "-W", "TARGET", wanted["HostName"]]
    return {"ProxyCommand": shlex.join(words).replace("%", "%%").replace(" TARGET ", " '[%h]:%p' ")}


def flags(wanted: Mapping[str, str]) -> list[str]:
    """Return options as words of a command line."""
    return [word for name, value in wanted.items() for word in ("-o", f"{name}={value}")]


def _options(endpoint: Endpoint, host_key_alias: str, key: Path, known_hosts: Path) -> dict[str, str]:
    return {
        "HostName": endpoint.address,
        "Port": str(endpoint.port),
        "User": endpoint.user,
        "IdentityFile": quoted(key),
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "HostKeyAlias": host_key_alias,
        "UserKnownHostsFile": quoted(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "CheckHostIP": "no",
        "UpdateHostKeys": "no",
    }


def quoted(path: Path) -> str:
    """Return a path as ``ssh_config`` takes it: ``%`` begins a token there, blanks end a word."""
    text = str(path).replace("%", "%%")
    return f'"{text}"' if any(character.isspace() for character in text) else text
