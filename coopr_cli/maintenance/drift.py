"""`coopr drift`: how clusters differ from what is recorded of them; reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from coopr_cli.output import output_option, print_data
from coopr_cli.tables import print_table
from coopr_cli.vault import ready_prefect

if TYPE_CHECKING:
    from coopr_core.maintenance.drift import Drift

DIFFERENCES = 2
"""The exit code when something was found."""

MOST_HINTS = 5


@click.command("drift")
@click.argument("clusters", nargs=-1, metavar="[CLUSTER]...")
@output_option
def drift_command(clusters: tuple[str, ...], output: str) -> int:
    """Look for drift on CLUSTERs (default: all): machines that are gone, failing services, config that differs.

    Changes nothing. Exit code 2 when something was found, 0 when nothing was. A busy cluster cannot be looked at: exit
    code 9 when it was named, otherwise it is left out with a word on stderr.
    """
    from coopr_core.errors import Busy
    from coopr_core.maintenance.drift import find_drift
    from coopr_core.store import Store
    from flows.vault import VAULT

    drifts = []
    with Store.open() as store:
        for cluster in [store.cluster(name) for name in clusters] or store.clusters():
            ready_prefect(store, cluster, passwords=True)
            try:
                drifts.append(find_drift(store, cluster, VAULT))
            except Busy as error:
                if clusters:
                    raise
                click.echo(f"{cluster.name} is left out: {error.message}", err=True)
    if output != "table":
        found: list[dict[str, Any]] = [drift.to_json() for drift in drifts]
        print_data(found[0] if len(clusters) == 1 else found, output)
    else:
        _print(drifts)
    return DIFFERENCES if any(drift.findings for drift in drifts) else 0


def _print(drifts: list[Drift]) -> None:
    several = len(drifts) > 1
    print_table(
        (*(("cluster",) if several else ()), "drift", "node", "service", "what"),
        [
            (
                *((drift.cluster.name,) if several else ()),
                finding.kind,
                finding.host_name.partition(".")[0],
                finding.service,
                finding.message,
            )
            for drift in drifts
            for finding in drift.findings
        ],
        wrap=("what",),
    )
    hints = dict.fromkeys(finding.hint for drift in drifts for finding in drift.findings if finding.hint)
    for hint in list(hints)[:MOST_HINTS]:
        click.echo(f"  {hint}", err=True)
    if len(hints) > MOST_HINTS:
        click.echo(f"  ... and {len(hints) - MOST_HINTS} more: -o json", err=True)
    for drift in drifts:
        verdict = f"{len(drift.findings)} differences" if drift.findings else "no drift"
        checks = f"{drift.nodes} nodes, {drift.checked} health checks"
        click.echo(f"{drift.cluster.name}: {verdict} ({checks})", err=bool(drift.findings))
        for unknown in drift.unchecked:
            click.echo(f"  not checked: {unknown}", err=True)
    if not drifts:
        click.echo("No clusters.", err=True)
