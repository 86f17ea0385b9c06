"""The flows ``scale-cluster`` and ``replace-nodes``: nodes come and go, or are made anew, while the others serve."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from coopr_core.model.policies import FailurePolicy
from coopr_core.operations.scale import prepare_replace, prepare_scale
from coopr_core.settings import Concurrency
from coopr_core.store import Store
from flows.changes.running import run_change
from flows.cluster_flow import cluster_flow


@cluster_flow("scale-cluster", "scale-cluster {cluster}")
def scale_cluster(
    cluster: str,
    size: Annotated[int, Field(ge=1)] | None = None,
    counts: dict[str, Annotated[int, Field(ge=0)]] | None = None,
    catalog: list[str] | None = None,
    on_failure: Literal["hold", "rollback", "continue"] = "hold",
    min_nodes: Annotated[int, Field(ge=1)] | None = None,
    max_concurrency: Concurrency | None = None,
    confirmed: str = "",
) -> dict[str, Any]:
    """Give a cluster more or fewer nodes; what leaves is stopped, removed and deleted, what stays adapts.

    Args:
        cluster: The cluster's name or id.
        size: How many nodes it shall have; or say counts.
        counts: On how many nodes services shall be, such as webapp-app 5; or say size.
        catalog: Folders with hardware and image types, laid over the catalog the cluster was made from.
        on_failure: hold leaves what was made for a retry, rollback deletes it, continue goes on without failed nodes.
        min_nodes: With continue, how many nodes with the same services must be left.
        max_concurrency: How many tasks may run at once; as the setting of that name says when left out.
        confirmed: The digest of what was shown and confirmed; refused when this would be anything else.

    Returns:
        The cluster's id, name, state, job, links and nodes.
    """
    policy = FailurePolicy.of(on_failure, min_nodes)
    with Store.open() as store:
        return run_change(
            store,
            lambda: prepare_scale(store, cluster, size=size, counts=counts, catalog=catalog or (), policy=policy),
            max_concurrency=max_concurrency,
            confirmed=confirmed,
        )


@cluster_flow("replace-nodes", "replace-nodes {cluster}")
def replace_nodes(
    cluster: str,
    nodes: list[str],
    catalog: list[str] | None = None,
    max_concurrency: Concurrency | None = None,
    confirmed: str = "",
) -> dict[str, Any]:
    """Make nodes of a cluster anew: new machines under the same numbers and host names, with the same services.

    Args:
        cluster: The cluster's name or id.
        nodes: The nodes to replace, by number or host name.
        catalog: Folders with hardware and image types, laid over the catalog the cluster was made from.
        max_concurrency: How many tasks may run at once; as the setting of that name says when left out.
        confirmed: The digest of what was shown and confirmed; refused when this would be anything else.

    Returns:
        The cluster's id, name, state, job, links and nodes.
    """
    with Store.open() as store:
        return run_change(
            store,
            lambda: prepare_replace(store, cluster, nodes, catalog=catalog or ()),
            max_concurrency=max_concurrency,
            confirmed=confirmed,
        )
