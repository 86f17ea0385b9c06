"""What OpenSSH's programs need to know of a cluster's nodes: an options' list per node and one file of pinned keys.

Each node is known by an alias of its own (``coopr-<cluster>-<node>``) instead of its address, so an address that comes
back with another machine is refused. The file of pinned keys is in the state folder and written anew whenever the
cluster's nodes are exported.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from coopr_core.folders import known_hosts_of, make_folder
from coopr_core.providers.contract import Machine
from coopr_core.remote.endpoint import Endpoint

if TYPE_CHECKING:
    from coopr_core.model.records import ClusterRecord, NodeRecord


def pin_hosts(cluster: ClusterRecord, nodes: Iterable[NodeRecord]) -> Path:
    """Write the file with the host keys of the cluster's nodes, whole or not at all; where it is."""
    machines = [Machine.from_json(node.machine) for node in nodes if node.machine]
    text = "".join(f"{alias(machine)} {key}\n" for machine in machines for key in machine.host_keys)
    path = known_hosts_of(cluster.id)
    make_folder(path.parent)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)
    return path


def alias(machine: Machine) -> str:
    """The name a machine's host key is known by."""
    return f"coopr-{machine.cluster_id}-{machine.node}"


def options(machine: Machine, key: Path, known_hosts: Path) -> dict[str, str]:
    """The options of ``ssh_config`` that reach a machine, and nothing but that machine, in their order."""
    return {
        "HostName": Endpoint.of(machine).address,
        "Port": str(machine.port),
        "User": machine.ssh_user or "root",
        "IdentityFile": quoted(key),
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "HostKeyAlias": alias(machine),
        "UserKnownHostsFile": quoted(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "CheckHostIP": "no",
        "UpdateHostKeys": "no",
    }


def quoted(path: Path) -> str:
    """A path as ``ssh_config`` takes it: ``%`` begins a token there, blanks end a word."""
    text = str(path).replace("%", "%%")
    return f'"{text}"' if any(character.isspace() for character in text) else text
