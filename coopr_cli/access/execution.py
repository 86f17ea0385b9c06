"""`coopr exec`: one command on many nodes at once."""

from __future__ import annotations

import shlex
import threading
from typing import TYPE_CHECKING, Any

import click

from coopr_cli.access.nodes import ClusterNodes, nodes_of
from coopr_cli.access.selectors import select, selector_options, short_name
from coopr_cli.output import output_option, print_data
from coopr_cli.typed import Seconds
from coopr_core.errors import CooprError, Interrupted

if TYPE_CHECKING:
    from coopr_core.model.records import NodeRecord


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("cluster")
@selector_options
@click.option("--timeout", type=Seconds(), default=None, help="Seconds a node may take.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@output_option
def exec_command(
    cluster: str,
    nodes: tuple[str, ...],
    services: tuple[str, ...],
    failed: bool,
    timeout: float | None,
    command: tuple[str, ...],
    output: str,
) -> int:
    """Run COMMAND on the nodes of CLUSTER at once; each line is prefixed with its node, the worst exit code wins.

    A COMMAND of one word is given to the shell as it stands: coopr exec demo 'df -h | tail -1'. Put -- before a COMMAND
    with options that coopr has too. It starts in the node's home folder; $COOPR_ROOT is the root of a node that shares
    its machine, and empty elsewhere. A node that cannot be reached counts as 4, one that takes too long as 7.
    """
    from coopr_core.store import Store

    with Store.open() as store:
        record = store.cluster(cluster)
        chosen = select(store, record, nodes=nodes, services=services, failed=failed)
        with nodes_of(store, record) as way:
            run = _Run(way, command_text(command), timeout, echo=output == "table")
            results = way.each(chosen, run.on)
    if output != "table":
        print_data(results, output)
    elif bad := [result for result in results if result["exit_status"]]:
        each = ", ".join(f"{str(result['host_name']).partition('.')[0]} ({result['exit_status']})" for result in bad)
        click.echo(f"{len(bad)} of {len(results)} nodes failed: {each}", err=True)
    worst: int = max(result["exit_status"] for result in results)
    return worst


def command_text(words: tuple[str, ...]) -> str:
    """Return the words as one shell command: a single one is shell text already, several are quoted."""
    return words[0] if len(words) == 1 else shlex.join(words)


class _Run:
    """One command, on whichever node."""

    def __init__(self, way: ClusterNodes, command: str, timeout: float | None, *, echo: bool) -> None:
        self._way = way
        self._command = command
        self._timeout = timeout
        self._echo = echo
        self._printing = threading.Lock()

    def on(self, node: NodeRecord) -> dict[str, Any]:
        """Return how the command ended on a node; what kept it from running is its ``error``, not an exception."""
        lines: dict[str, list[str]] = {"stdout": [], "stderr": []}

        def on_line(stream: str, line: str) -> None:
            if self._echo:
                self._print(node, stream, line)
            else:
                lines[stream].append(line)

        found: dict[str, Any] = {"node": node.number, "host_name": node.host_name, "exit_status": 0}
        try:
            result = self._way.on(
                node, lambda session: session.run(self._command, timeout=self._timeout, on_line=on_line)
            )
        except Interrupted:
            raise
        except CooprError as error:
            if self._echo:
                self._print(node, "stderr", error.message)
            found |= {"exit_status": error.exit_code, "error": error.message}
        else:
            found["exit_status"] = result.exit_status
        return found if self._echo else {**found, **{stream: "\n".join(text) for stream, text in lines.items()}}

    def _print(self, node: NodeRecord, stream: str, line: str) -> None:
        with self._printing:
            click.echo(f"{short_name(node)}: {line}", err=stream == "stderr")
