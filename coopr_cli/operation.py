"""What the commands of all operations on a cluster have in common: prepare, show, ask, run the flow, tell.

What a command is shown is what its flow does: both prepare by the same declaration, and the flow is given the digest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from coopr_cli.confirm import confirm
from coopr_cli.failure import tell_given_up
from coopr_cli.job import run_flow
from coopr_cli.output import output_option, print_data
from coopr_cli.run_options import run_options

if TYPE_CHECKING:
    from coopr_core.model.operations import Verb
    from coopr_core.operations.change import PreparedChange
    from coopr_core.operations.declaration import Declaration
    from coopr_core.store import Store

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Face:
    """How a command shows a change and what came of it.

    ``show`` prints what would be done, ``data`` is what programs are told beside the summary, ``done`` is the last line
    about a summary.
    """

    show: Callable[[Store, PreparedChange], None]
    data: Callable[[PreparedChange], dict[str, Any]]
    done: Callable[[PreparedChange, dict[str, Any]], str]


def asking_options(command: F) -> F:
    """Add ``-y``, how the job runs and ``-o``; the command passes them on to ``carry_out``."""
    asked = click.option("-y", "--yes", is_flag=True, help="Do not ask.")(output_option(command))
    return run_options(asked)


def carry_out(
    verb: Verb,
    cluster: str,
    parameters: Mapping[str, Any],
    face: Face,
    *,
    output: str,
    yes: bool = True,
    **how: Any,
) -> None:
    """Prepare what ``verb`` asks for, show it, ask if it is to be asked, and do it; tell what came of it.

    ``parameters`` are those of the declaration's ``prepare``, ``how`` says how the job runs. Nothing is asked or run
    when there is nothing to do, but for what never asks. Raises what preparing and running raise, ``Refused`` on "no".
    """
    from coopr_core.operations.registry import declaration
    from coopr_core.store import Store

    declared = declaration(verb)
    with Store.open() as store:
        prepared: PreparedChange = cast("PreparedChange", declared.prepare(store, cluster, **parameters))
        found = prepared.cluster
        if declared.question:
            if prepared.nothing_to_do:
                _tell_nothing(prepared, face, output)
                return
            if output == "table":
                face.show(store, prepared)
            confirm(f"{declared.question.format(cluster=found.name)}?", yes=yes)
        flow = flow_of(declared, found.id, parameters, how, prepared.digest)
        summary = run_flow(store, found.id, prepared.operation, flow, quiet=output != "table")
        tell_given_up(store, summary["job"])
        if output != "table":
            print_data({**summary, **face.data(prepared)}, output)
            return
        click.echo(face.done(prepared, summary))


def flow_of(
    declared: Declaration, cluster: str, parameters: Mapping[str, Any], how: Mapping[str, Any], digest: str
) -> Callable[[], Any]:
    """Return what runs the flow of a declaration on a cluster, as it was shown and confirmed."""

    def call() -> Any:
        import flows

        return getattr(flows, declared.verb.flow)(cluster, **parameters, **how, confirmed=digest)

    return call


def _tell_nothing(prepared: PreparedChange, face: Face, output: str) -> None:
    cluster = prepared.cluster
    if output == "table":
        click.echo(f"Cluster {cluster.name} is as it should be: nothing to do.")
        return
    known = {"cluster_id": cluster.id, "name": cluster.name, "state": cluster.state, "job": ""}
    print_data({**known, **face.data(prepared)}, output)
