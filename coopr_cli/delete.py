"""`coopr delete`: removes a cluster with all its machines."""

from __future__ import annotations

from typing import Any

import click

from coopr_cli.confirm import confirm
from coopr_cli.job import run_flow
from coopr_cli.operation import asking_options, flow_of
from coopr_cli.output import print_data
from coopr_core.errors import CooprError, Refused
from coopr_core.model.operations import Operation, check_allowed
from coopr_core.model.states import ClusterState


@click.command("delete")
@click.argument("clusters", nargs=-1, required=True, metavar="CLUSTER...")
@asking_options
def delete_command(clusters: tuple[str, ...], yes: bool, output: str, **how: Any) -> None:
    """Delete clusters, by name or id: ends everything on their nodes and removes the machines."""
    from coopr_core.operations.delete import DELETE, prepare_removal
    from coopr_core.store import Store

    with Store.open() as store:
        found = list({cluster.id: cluster for cluster in map(store.cluster, clusters)}.values())
        for cluster in found:
            store.end_abandoned_job(cluster.id)
            state = store.cluster_with_id(cluster.id).state
            check_allowed(state, Operation.CLUSTER_DELETE, cluster=cluster.name)
            if cluster.protected:
                raise Refused(
                    f"Cluster {cluster.name} ({cluster.id}) is protected against deletion",
                    hint=f"`coopr unprotect {cluster.handle}` first.",
                )
        removals = {cluster.id: prepare_removal(store, cluster) for cluster in found}
        digests = {cluster_id: removal.digest for cluster_id, removal in removals.items()}
        count = sum(len(removal.nodes) for removal in removals.values())
        names = ", ".join(cluster.name for cluster in found)
        confirm(f"Delete {names} with {count} nodes?", yes=yes)
        for cluster in map(store.cluster_with_id, digests):  # all before the first is touched; each flow looks again
            if cluster.state is not ClusterState.TERMINATED:
                prepare_removal(store, cluster).check(digests[cluster.id])
        summaries = []
        for cluster in found:
            flow = flow_of(DELETE, cluster.id, {}, how, digests[cluster.id])
            summary = run_flow(store, cluster.id, Operation.CLUSTER_DELETE, flow, quiet=output != "table")
            if summary["state"] != ClusterState.TERMINATED:
                raise CooprError(f"Cluster {cluster.name} ({cluster.id}) is not deleted: it is {summary['state']}")
            summaries.append(summary)
            if output == "table":
                click.echo(f"Cluster {cluster.name} ({cluster.id}) is deleted.")
    if output != "table":
        print_data(summaries if len(summaries) > 1 else summaries[0], output)
