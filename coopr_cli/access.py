"""`coopr ssh` and `coopr exec`: getting on to the nodes of a cluster, host keys pinned."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coopr_cli.output import output_option, print_data
from coopr_core.errors import InvalidInput, NotFound, Unreachable

if TYPE_CHECKING:
    from coopr_core.remote.pool import Sessions

    from coopr_core.cluster.records import ClusterRecord, NodeRecord
    from coopr_core.providers.contract import Machine
    from coopr_core.store import Store


@click.command("ssh", context_settings={"ignore_unknown_options": True})
@click.argument("cluster")
@click.argument("node", default="")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh_command(cluster: str, node: str, command: tuple[str, ...]) -> int:
    """Log in to NODE of CLUSTER (number or host name; default: the first), or run COMMAND there with a terminal."""
    from coopr_core.store import Store

    with Store.open() as store:
        record = store.cluster(cluster)
        nodes = store.nodes(record.id)
        chosen = _select(record, nodes, (node,) if node else (), ())[0]
        machine = _woken(store, record, chosen)
    program = shutil.which("ssh")
    if program is None:
        raise NotFound("the OpenSSH client 'ssh' is not installed", hint="install it, or use 'coopr exec'")
    return _openssh(program, machine, command)


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("cluster")
@click.option("--node", "numbers", multiple=True, help="Only this node (number or host name); may be repeated.")
@click.option("--service", "services", multiple=True, help="Only nodes with this service; may be repeated.")
@click.option("--timeout", type=float, default=None, help="Seconds a node may take.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@output_option
def exec_command(
    cluster: str,
    numbers: tuple[str, ...],
    services: tuple[str, ...],
    timeout: float | None,
    command: tuple[str, ...],
    output: str,
) -> int:
    """Run COMMAND on the nodes of CLUSTER at once; each line is prefixed with its node, the worst exit code wins."""
    from concurrent.futures import ThreadPoolExecutor

    from coopr_core.remote.pool import Sessions
    from flows.runtime import client_key

    from coopr_core.store import Store

    with Store.open() as store:
        record = store.cluster(cluster)
        nodes = _select(record, store.nodes(record.id), numbers, services)
        machines = {node.number: _woken(store, record, node) for node in nodes}
    text = command[0] if len(command) == 1 else shlex.join(command)
    sessions = Sessions(client_key())
    try:
        with ThreadPoolExecutor(max_workers=min(32, len(nodes))) as threads:
            runs = [
                threads.submit(_run_on, sessions, machines[node.number], node, text, timeout, output == "table")
                for node in nodes
            ]
            results = [run.result() for run in runs]
    finally:
        sessions.close()
    if output != "table":
        print_data(results, output)
    return max((int(str(result["exit_status"])) for result in results), default=0)


def _run_on(
    sessions: Sessions, machine: Machine, node: NodeRecord, command: str, timeout: float | None, echo: bool
) -> dict[str, object]:
    name = node.host_name.split(".")[0]
    lines: dict[str, list[str]] = {"stdout": [], "stderr": []}

    def on_line(stream: str, line: str) -> None:
        lines[stream].append(line)
        if echo:
            click.echo(f"{name}: {line}", err=stream == "stderr")

    found: dict[str, object] = {"node": node.number, "host_name": node.host_name}
    try:
        result = sessions.session(machine).run(command, timeout=timeout, on_line=on_line)
    except Unreachable as error:
        if echo:
            click.echo(f"{name}: {error}", err=True)
        return {**found, "exit_status": Unreachable.exit_code, "error": str(error)}
    return {**found, "exit_status": result.exit_status, **{key: "\n".join(text) for key, text in lines.items()}}


def _select(
    cluster: ClusterRecord, nodes: list[NodeRecord], names: tuple[str, ...], services: tuple[str, ...]
) -> list[NodeRecord]:
    chosen = []
    for name in names:
        matching = [n for n in nodes if name in (str(n.number), n.host_name, n.host_name.split(".")[0])]
        if not matching:
            known = ", ".join(str(node.number) for node in nodes)
            raise NotFound(f"cluster {cluster.name} has no node {name}", hint=f"its nodes: {known}")
        chosen += matching
    for service in services:
        if not any(service in node.services for node in nodes):
            raise NotFound(f"no node of cluster {cluster.name} has service {service}")
    selected = [node for node in chosen or nodes if not services or set(services) & set(node.services)]
    if not selected:
        raise InvalidInput(f"no node of cluster {cluster.name} fits both --node and --service")
    return selected


def _woken(store: Store, cluster: ClusterRecord, node: NodeRecord) -> Machine:
    from flows.runtime import cluster_provider

    from coopr_core.providers.contract import Machine

    if not node.machine:
        raise NotFound(f"node {node.number} of cluster {cluster.name} has no machine (state {node.state.value})")
    return cluster_provider(store, cluster).confirm(Machine.from_json(node.machine))


def _openssh(program: str, machine: Machine, command: tuple[str, ...]) -> int:
    import subprocess

    from flows.runtime import client_key

    address = machine.addresses["access_v4"]
    host = address if machine.port == 22 else f"[{address}]:{machine.port}"
    with tempfile.TemporaryDirectory(prefix="coopr-") as folder:
        known_hosts = Path(folder, "known_hosts")
        known_hosts.write_text("".join(f"{host} {key}\n" for key in machine.host_keys))
        words = [
            program,
            *("-i", str(client_key()), "-p", str(machine.port), "-o", "IdentitiesOnly=yes", "-F", os.devnull),
            *("-o", f"UserKnownHostsFile={known_hosts}", "-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=ERROR"),
            *(("-t",) if command and os.isatty(0) else ()),
            f"{machine.ssh_user}@{address}" if machine.ssh_user else address,
            *(("--", *command) if command else ()),
        ]
        return subprocess.call(words)
