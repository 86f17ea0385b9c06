"""`coopr list`, `status` and `show`: what clusters there are and how they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from coopr_cli.leases import lifetime
from coopr_cli.output import ago, output_option, print_data, seconds, span
from coopr_cli.tables import print_table
from coopr_core.model.states import ClusterState, TaskState

if TYPE_CHECKING:
    from coopr_core.model.records import ClusterRecord, JobRecord, NodeRecord
    from coopr_core.store import Store


@click.command("list")
@click.option("--mine", is_flag=True, help="Only those I own.")
@click.option("--all", "everybody", is_flag=True, help="Those of all tenants.")
@click.option("--deleted", is_flag=True, help="Also the deleted ones.")
@output_option
def list_command(mine: bool, everybody: bool, deleted: bool, output: str) -> None:
    """List the tenant's clusters: name, id, state, template, provider, nodes, owner, age and lease."""
    from coopr_core.settings import load_settings
    from coopr_core.store import Store

    owner = load_settings().owner if mine else None
    with Store.open() as store:
        tenant = None if everybody else store.tenant
        found = store.clusters(tenant=tenant, owner=owner, terminated=deleted)
        rows = [_summary(cluster) for cluster in _looked_after(store, found)]
    if output != "table":
        print_data(rows, output)
        return
    names = ("name", "id", "state", "template", "provider", "nodes", "owner", *(("tenant",) if everybody else ()))
    print_table(
        (*(">nodes" if name == "nodes" else name for name in names), "age", "lease"),
        [(*(row[name] for name in names), ago(row["created"]), _lease(row)) for row in rows],
        drop=("owner", "age", "provider", "template", "nodes", "lease", "tenant", "state"),
        empty="No clusters. Make one with 'coopr create --template nats --nodes 3'.",
    )


@click.command("status")
@click.argument("cluster", default="")
@output_option
def status_command(cluster: str, output: str) -> None:
    """Show how a cluster and its last job are doing; without CLUSTER, how all of them are."""
    from coopr_core.store import Store

    with Store.open() as store:
        found = _looked_after(store, [store.cluster(cluster)] if cluster else store.clusters())
        rows = [{**_summary(each), "job": _job_summary(store, each)} for each in found]
    if output != "table":
        print_data(rows[0] if cluster else rows, output)
        return
    print_table(
        ("cluster", "state", ">nodes", "last job", "operation", "job state", "tasks", "took"),
        [(r["name"], r["state"], r["nodes"], *_job_cells(r["job"])) for r in rows],
        drop=("took", "nodes", "tasks", "operation", "job state", "state"),
        empty="No clusters.",
    )
    for row in rows:
        if row["job"] and row["job"]["message"]:
            click.echo(f"\n{row['name']}: {row['job']['message']}")


@click.command("show")
@click.argument("cluster")
@output_option
def show_command(cluster: str, output: str) -> None:
    """Show everything known about a cluster: its nodes with addresses and services, its links and jobs.

    With -o yaml or json also what asks for a cluster like it: `coopr create --from FILE` accepts the output.
    """
    from coopr_core.operations.export import request_of
    from coopr_core.store import Store

    with Store.open() as store:
        record = _looked_after(store, [store.cluster(cluster, terminated=True)])[0]
        nodes = store.nodes(record.id)
        jobs, counts = store.jobs(record.id), store.task_counts_of(record.id)
        details = {
            **_summary(record),
            "services": sorted({service for node in nodes for service in node.services}),
            "links": _links(store, record),
            "nodes": [_node(node) for node in nodes],
            "jobs": [_job(job, counts.get(job.id, {})) for job in jobs],
            "request": request_of(store, record),
        }
    if output != "table":
        print_data(details, output)
        return
    click.secho(f"{record.name} ({record.id})", bold=True, nl=False)
    click.echo(f"  {details['state']}  template {record.template}  provider {record.provider}  owner {record.owner}")
    if record.state is not ClusterState.TERMINATED:
        click.echo(f"It {lifetime(record)}" + ("; it is protected against deletion." if record.protected else "."))
    click.echo()
    print_table(
        (">node", "host name", "address", "state", "hardware type", "services"),
        [
            (n["number"], n["host_name"], n["address"], n["state"], n["hardware_type"], ", ".join(n["services"]))
            for n in details["nodes"]
        ],
        wrap=("services",),
        drop=("hardware type", "state", "services"),
    )
    if details["links"]:
        click.echo()
        print_table(("link", "url"), [(link["label"], link["url"]) for link in details["links"]])
    click.echo()
    print_table(
        ("job", "operation", "state", "tasks", "took", "Prefect flow run"),
        [
            (j["id"], j["operation"], j["state"], j["done"], span(j["seconds"]), j["flow_run_id"])
            for j in details["jobs"]
        ],
        drop=("took", "tasks", "Prefect flow run", "operation"),
    )


def _looked_after(store: Store, clusters: list[ClusterRecord]) -> list[ClusterRecord]:
    """Return the clusters as they are, once jobs whose worker is gone are seen to have ended."""
    return [
        store.cluster_with_id(cluster.id)
        if cluster.state is ClusterState.PENDING and _ended(store, cluster)
        else cluster
        for cluster in clusters
    ]


def _ended(store: Store, cluster: ClusterRecord) -> bool:
    """Whether the cluster's job turned out to be abandoned and was ended; not where nothing can be written."""
    from coopr_core.store.failures import NotWritable

    try:
        return store.end_abandoned_job(cluster.id) is not None
    except NotWritable:
        return False


def _summary(cluster: ClusterRecord) -> dict[str, Any]:
    return {
        "name": cluster.name,
        "id": cluster.id,
        "state": cluster.state.value,
        "template": cluster.template,
        "provider": cluster.provider,
        "nodes": cluster.size,
        "created": cluster.created,
        "expires_at": cluster.expires_at,
        "protected": cluster.protected,
        "owner": cluster.owner,
        "tenant": cluster.tenant,
    }


def _lease(summary: dict[str, Any]) -> str:
    """How much of the lease is left."""
    if summary["protected"]:
        return "protected"
    if summary["expires_at"] is None or summary["state"] == ClusterState.TERMINATED:
        return ""
    left = (summary["expires_at"] - datetime.now(UTC)).total_seconds()
    return span(left) if left > 0 else "expired"


def _job(job: JobRecord, counts: Mapping[TaskState, int]) -> dict[str, Any]:
    return {
        "id": job.id,
        "operation": job.operation,
        "state": job.state.value,
        "done": f"{counts.get(TaskState.SUCCEEDED, 0)}/{sum(counts.values())}",
        "tasks": {state.value: count for state, count in counts.items() if count},
        "started": job.started,
        "ended": job.ended,
        "seconds": seconds(job),
        "flow_run_id": job.flow_run_id,
        "message": job.message,
    }


def _job_summary(store: Store, cluster: ClusterRecord) -> dict[str, Any] | None:
    if cluster.last_job is None:
        return None
    progress = store.progress(cluster.last_job)
    return _job(progress.job, progress.counts)


def _job_cells(job: dict[str, Any] | None) -> tuple[object, ...]:
    if job is None:
        return ("", "", "", "", "")
    return (job["id"], job["operation"], job["state"], job["done"], span(job["seconds"]))


def _node(node: NodeRecord) -> dict[str, Any]:
    machine = node.machine or {}
    address = node.addresses.get("access_v4", "")
    return {
        "number": node.number,
        "host_name": node.host_name,
        "state": node.state.value,
        "address": f"{address}:{machine['port']}" if address else "",
        "hardware_type": node.hardware_type,
        "image_type": node.image_type,
        "services": list(node.services),
        "provider_id": machine.get("provider_id", ""),
    }


def _links(store: Store, cluster: ClusterRecord) -> list[dict[str, str]]:
    from coopr_core.operations.links import cluster_links

    return cluster_links(store, cluster)
