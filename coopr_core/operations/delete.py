"""Deleting a cluster with all its machines, whatever state it is in.

Also machines the store lost sight of are found, by their tag. What is kept is the record that there was a cluster; its
logs go with it unless they are asked for.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from coopr_core.folders import known_hosts_of, logs_of
from coopr_core.model.operations import Operation
from coopr_core.model.records import ClusterRecord, NodeRecord
from coopr_core.model.states import ClusterState
from coopr_core.operations.confirmation import Part, Parts, Prepared, setting_parts
from coopr_core.operations.declaration import Declaration, Ending
from coopr_core.operations.job import PreparedJob, part_of_nodes
from coopr_core.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal(PreparedJob):
    """A deletion that may start: the cluster with all its nodes."""

    nodes: tuple[NodeRecord, ...]

    @property
    def parts(self) -> Parts:
        """The cluster, its nodes with their machines, and how its newest job stands."""
        return {
            **self.origin,
            "the nodes": part_of_nodes(self.nodes),
            "the plan": Part.of_plan(self.plan),
            **setting_parts(self.settings),
        }

    @property
    def nothing_to_do(self) -> bool:
        """Whether the cluster is deleted already."""
        return self.cluster.state is ClusterState.TERMINATED

    def check(self, confirmed: str) -> None:
        """Raise ``Refused`` naming what is not as it was ``confirmed``; a deleted cluster is as it was wanted."""
        if not self.nothing_to_do:
            Prepared.check(self, confirmed)


def prepare_delete(store: Store, cluster: str, keep_logs: bool = False, only_expired: bool = False) -> Removal:
    """Delete a cluster with all its machines.

    Whether it may be deleted is for the store to say; a cluster that is deleted already is a success.

    Args:
        keep_logs: Keep the logs of the cluster's tasks.
        only_expired: Delete it only if its lease has run out.
    """
    found = store.cluster(cluster, terminated=True)
    return prepare_removal(store, found, keep_logs=keep_logs, only_expired=only_expired)


def prepare_removal(
    store: Store, cluster: ClusterRecord, *, keep_logs: bool = False, only_expired: bool = False
) -> Removal:
    """Find out what deleting the cluster would do; whether it may be deleted is for the store to say."""
    from coopr_core.planner import plan

    operation = Operation.CLUSTER_DELETE
    store.end_abandoned_job(cluster.id)
    newest = store.newest_job(cluster.id)
    return Removal(
        cluster=cluster,
        newest=newest,
        nodes=tuple(store.nodes(cluster.id)),
        operation=operation,
        plan=plan(operation, store.layout(cluster.id)),
        parameters={"keep_logs": keep_logs},
        only_expired=only_expired,
    )


def clear_up(ending: Ending) -> None:
    """Leave nothing but the record that there was a cluster."""
    ending.machines.delete_strays()
    ending.forget_secrets()
    known_hosts_of(ending.cluster.id).unlink(missing_ok=True)
    if not ending.parameters.keep_logs:
        shutil.rmtree(logs_of(ending.cluster.id), ignore_errors=True)


DELETE = Declaration(
    Operation.CLUSTER_DELETE.verb, prepare_delete, question="Delete cluster {cluster}", finish=clear_up
)
