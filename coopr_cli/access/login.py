"""`coopr ssh`: logging in to one node, host key pinned; also one command there, with a terminal if there is one."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import click

from coopr_cli.access.execution import command_text
from coopr_cli.access.nodes import machine_of, nodes_of, reviver
from coopr_cli.access.openssh import flags, options, pin_hosts, proxy_command
from coopr_cli.access.selectors import matching
from coopr_core.errors import NotFound

if TYPE_CHECKING:
    from coopr_core.model.records import ClusterRecord, NodeRecord
    from coopr_core.store import Store


@click.command("ssh", context_settings={"ignore_unknown_options": True})
@click.argument("cluster")
@click.argument("node", default="")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh_command(cluster: str, node: str, command: tuple[str, ...]) -> int:
    """Log in to NODE of CLUSTER (number or host name; default: the first), or run COMMAND there.

    Logging in needs OpenSSH's client; a COMMAND also runs without it, but then without a terminal:
    coopr ssh demo 1000 -- uptime
    """
    from coopr_core.store import Store

    with Store.open() as store:
        record = store.cluster(cluster)
        known = store.nodes(record.id)
        chosen = matching(record, known, node)[0] if node else known[0]
        machine_of(record, chosen)
        program = shutil.which("ssh")
        if program is not None:
            words = _openssh(store, record, chosen, program)
        elif command:
            return _without_openssh(store, record, chosen, command)
        else:
            raise NotFound(
                "logging in needs OpenSSH's client 'ssh', which is not installed",
                hint=f"install it (Debian: openssh-client), or run one command: "
                f"coopr ssh {record.handle} {chosen.number} -- COMMAND",
            )
    import subprocess

    from coopr_core.remote.login_shell import through_any_shell

    terminal = ("-t",) if command and os.isatty(0) and os.isatty(1) else ()
    # One word is for the user's own shell there; several were quoted as sh reads them, which other shells do not.
    text = command_text(command) if len(command) == 1 else through_any_shell(command_text(command))
    return subprocess.call([*words[:-1], *terminal, words[-1], *(("--", text) if command else ())])


def _openssh(store: Store, cluster: ClusterRecord, node: NodeRecord, program: str) -> list[str]:
    """Return the command line up to and with the host; the node is brought back first when it does not answer."""
    from coopr_cli.vault import ready_prefect
    from coopr_core.remote.keys import client_key
    from flows.vault import VAULT

    ready_prefect(store, cluster)
    machine = reviver(store, cluster)(machine_of(cluster, node))
    known_hosts = pin_hosts(cluster, store.nodes(cluster.id))
    key = client_key(cluster, VAULT)
    wanted = options(machine, key, known_hosts)
    words = [*flags(wanted), *flags(proxy_command(machine, key, known_hosts))]
    return [program, "-F", os.devnull, "-o", "LogLevel=ERROR", *words, wanted["HostName"]]


def _without_openssh(store: Store, cluster: ClusterRecord, node: NodeRecord, command: tuple[str, ...]) -> int:
    def on_line(stream: str, line: str) -> None:
        click.echo(line, err=stream == "stderr")

    with nodes_of(store, cluster) as way:
        (result,) = way.each(
            [node], lambda each: way.on(each, lambda session: session.run(command_text(command), on_line=on_line))
        )
    sys.stdout.flush()
    return result.exit_status
