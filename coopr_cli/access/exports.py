"""`coopr ssh-config` and `coopr inventory`: a cluster's nodes as OpenSSH and Ansible want them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coopr_cli.access.openssh import (
    flags,
    gateway_alias,
    gateway_options,
    options,
    pin_hosts,
    proxy_command,
    proxy_jump,
)
from coopr_cli.access.selectors import select, selector_options, short_name
from coopr_cli.output import print_data
from coopr_cli.vault import ready_prefect
from coopr_core.errors import InvalidInput, NotFound
from coopr_core.providers.contract import Machine

if TYPE_CHECKING:
    from coopr_core.model.records import ClusterRecord, NodeRecord
    from coopr_core.store import Store


@click.command("ssh-config")
@click.argument("cluster")
@selector_options
def ssh_config_command(cluster: str, nodes: tuple[str, ...], services: tuple[str, ...], failed: bool) -> None:
    """Print CLUSTER's nodes as an ssh_config: coopr ssh-config demo > demo.ssh; ssh -F demo.ssh demo1-1000.

    The nodes' host keys are pinned in a file of the state folder that this writes.
    """
    from coopr_core.store import Store

    with Store.open() as store:
        record = store.cluster(cluster)
        chosen = select(store, record, nodes=nodes, services=services, failed=failed)
        click.echo(f"# Cluster {record.name} ({record.id})")
        found = _reachable(store, record, chosen)
        gateways = {gateway_alias(machine): machine for _, machine in found.nodes if machine.gateway}
        for name, machine in gateways.items():
            _print_host(name, gateway_options(machine, found.key, found.known_hosts))
        for node, machine in found.nodes:
            names = dict.fromkeys((short_name(node), node.host_name))
            _print_host(" ".join(names), options(machine, found.key, found.known_hosts) | proxy_jump(machine))


def _print_host(names: str, wanted: Mapping[str, str]) -> None:
    click.echo(f"\nHost {names}")
    for name, value in wanted.items():
        click.echo(f"  {name} {value}")


@click.command("inventory")
@click.argument("cluster")
@selector_options
@click.option(
    "-o",
    "--output",
    type=click.Choice(["ansible", "yaml", "json"]),
    default="ansible",
    help="Ansible's inventory as YAML (ansible and yaml are the same), or as JSON.",
)
def inventory_command(
    cluster: str, nodes: tuple[str, ...], services: tuple[str, ...], failed: bool, output: str
) -> None:
    """Print CLUSTER as an inventory for Ansible, a group per service: coopr inventory demo > demo.yaml.

    Then: ansible -i demo.yaml webapp_app -m ping. Group names have _ where service names have other characters.
    """
    from coopr_core.store import Store

    with Store.open() as store:
        record = store.cluster(cluster)
        chosen = select(store, record, nodes=nodes, services=services, failed=failed)
        print_data(_inventory(record, _reachable(store, record, chosen)), "json" if output == "json" else "yaml")


@dataclass(frozen=True, slots=True)
class _Reachable:
    """The nodes that have an address, and what reaches them."""

    nodes: list[tuple[NodeRecord, Machine]]
    key: Path
    known_hosts: Path


def _reachable(store: Store, cluster: ClusterRecord, chosen: list[NodeRecord]) -> _Reachable:
    """Return the nodes that have an address; the others are named on stderr."""
    from coopr_core.remote.keys import client_key
    from flows.vault import VAULT

    ready_prefect(store, cluster)
    key = client_key(cluster, VAULT)
    known_hosts = pin_hosts(cluster, store.nodes(cluster.id))
    found = []
    for node in chosen:
        if node.machine and node.addresses:
            found.append((node, Machine.from_json(node.machine)))
        else:
            click.echo(f"node {node.number} has no address yet (state {node.state.value}): left out", err=True)
    if not found:
        raise NotFound(f"no node of cluster {cluster.name} has an address yet")
    return _Reachable(found, key, known_hosts)


def _inventory(cluster: ClusterRecord, found: _Reachable) -> dict[str, Any]:
    hosts: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {}
    group_of = _groups({service for node, _ in found.nodes for service in node.services})
    for node, machine in found.nodes:
        name = short_name(node)
        wanted = options(machine, found.key, found.known_hosts)
        own = {"HostName", "Port", "User", "IdentityFile"}
        others = {option: value for option, value in wanted.items() if option not in own}
        words = flags(others | proxy_command(machine, found.key, found.known_hosts))
        root = machine.root
        # Ansible asks for ~USER, which is not where a node that shares a machine has its home.
        own_tmp = {} if root == "/" else {"ansible_remote_tmp": f"{root}/tmp/ansible"}
        hosts[name] = {
            "ansible_host": wanted["HostName"],
            "ansible_port": int(wanted["Port"]),
            "ansible_user": wanted["User"],
            "ansible_ssh_private_key_file": str(found.key),
            "ansible_ssh_common_args": shlex.join(["-F", "/dev/null", *words]),
            **own_tmp,
            "coopr_node": node.number,
            "coopr_host_name": node.host_name,
            "coopr_services": list(node.services),
            "coopr_root": root,
            "coopr_hardware_type": node.hardware_type,
            "coopr_image_type": node.image_type,
        }
        for service in node.services:
            groups.setdefault(group_of[service], {"hosts": {}})["hosts"][name] = {}
    about = {"coopr_cluster": cluster.name, "coopr_cluster_id": cluster.id, "coopr_template": cluster.template}
    return {"all": {"vars": about, "hosts": hosts, "children": dict(sorted(groups.items()))}}


def _groups(services: Iterable[str]) -> dict[str, str]:
    """Return the group of each service. Raises ``InvalidInput`` when two services would be one group."""
    found: dict[str, str] = {}
    for service in sorted(services):
        same = next((other for other, group in found.items() if group == _group(service)), None)
        if same is not None:
            raise InvalidInput(
                f"services {same} and {service} would both be the group {_group(service)} of the inventory",
                hint="Ansible's groups take letters, digits and _ alone: call one of the services otherwise",
            )
        found[service] = _group(service)
    return found


def _group(service: str) -> str:
    """Return a service's name as Ansible lets a group be called."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", service)
    return f"_{name}" if name[0].isdigit() or name in ("all", "ungrouped") else name
