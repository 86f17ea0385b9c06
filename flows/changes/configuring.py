"""The flows ``configure-cluster``, ``add-services`` and ``sync-cluster``: a running cluster takes what is new.

What is new is on record before the first task runs, so that a cluster whose change failed can be brought to it later.
"""

from __future__ import annotations

from typing import Any, Literal

from coopr_core.operations.services import prepare_add_services, prepare_configure, prepare_sync
from coopr_core.settings import Concurrency
from coopr_core.store import Store
from flows.changes.running import run_change
from flows.cluster_flow import cluster_flow


@cluster_flow("configure-cluster", "configure-cluster {cluster}")
def configure_cluster(
    cluster: str,
    config: dict[str, Any] | None = None,
    config_mode: Literal["merge", "replace"] = "merge",
    restart: bool = True,
    everything: bool = False,
    max_concurrency: Concurrency | None = None,
    confirmed: str = "",
) -> dict[str, Any]:
    """Change a cluster's config; only services that read what changes are touched.

    Args:
        cluster: The cluster's name or id.
        config: Settings laid over the cluster's config. Never put a secret here: write %secret.NAME% instead.
        config_mode: merge lays config over the cluster's, replace puts it in the place of the template's too.
        restart: Restart what takes new config; otherwise services are configured while they run.
        everything: Configure all services, whether anything changes for them or not.
        max_concurrency: How many tasks may run at once; as the setting of that name says when left out.
        confirmed: The digest of what was shown and confirmed; refused when this would be anything else.

    Returns:
        The cluster's id, name, state, job, links and nodes.
    """
    with Store.open() as store:
        return run_change(
            store,
            lambda: prepare_configure(store, cluster, config, mode=config_mode, restart=restart, everything=everything),
            max_concurrency=max_concurrency,
            confirmed=confirmed,
        )


@cluster_flow("add-services", "add-services {cluster}")
def add_services(
    cluster: str,
    services: list[str],
    catalog: list[str] | None = None,
    max_concurrency: Concurrency | None = None,
    confirmed: str = "",
) -> dict[str, Any]:
    """Put more services on the nodes of a cluster, wherever its template allows them.

    Args:
        cluster: The cluster's name or id.
        services: The services to add; those that are there already are left alone.
        catalog: Folders with services, laid over the catalog the cluster was made from.
        max_concurrency: How many tasks may run at once; as the setting of that name says when left out.
        confirmed: The digest of what was shown and confirmed; refused when this would be anything else.

    Returns:
        The cluster's id, name, state, job, links and nodes.
    """
    with Store.open() as store:
        return run_change(
            store,
            lambda: prepare_add_services(store, cluster, services, catalog=catalog or ()),
            max_concurrency=max_concurrency,
            confirmed=confirmed,
        )


@cluster_flow("sync-cluster", "sync-cluster {cluster}")
def sync_cluster(
    cluster: str,
    catalog: list[str] | None = None,
    restart: bool = True,
    max_concurrency: Concurrency | None = None,
    confirmed: str = "",
) -> dict[str, Any]:
    """Bring a cluster to today's version of its template, its services and its config; no node is added or moved.

    Args:
        cluster: The cluster's name or id.
        catalog: Folders with templates and services, laid over the catalog the cluster was made from.
        restart: Restart what takes something new; otherwise services are configured while they run.
        max_concurrency: How many tasks may run at once; as the setting of that name says when left out.
        confirmed: The digest of what was shown and confirmed; refused when this would be anything else.

    Returns:
        The cluster's id, name, state, job, links and nodes.
    """
    with Store.open() as store:
        return run_change(
            store,
            lambda: prepare_sync(store, cluster, catalog=catalog or (), restart=restart),
            max_concurrency=max_concurrency,
            confirmed=confirmed,
        )
