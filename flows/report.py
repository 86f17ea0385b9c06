"""What an operation leaves behind to look at: a summary of the cluster, and the same as an artifact of the flow run."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import httpx
from prefect.artifacts import create_markdown_artifact

from coopr_core.model.records import ClusterRecord
from coopr_core.operations.links import cluster_links

if TYPE_CHECKING:
    from coopr_core.store import Store


def summarize(store: Store, cluster: ClusterRecord, job_id: str, flow_run_url: str) -> dict[str, Any]:
    """Return the cluster as it is now, as JSON values: id, name, state, template, job, links and nodes."""
    now = store.cluster_with_id(cluster.id)
    nodes = []
    for node in store.nodes(cluster.id):
        machine = node.machine or {}
        nodes.append(
            {
                "number": node.number,
                "host_name": node.host_name,
                "state": str(node.state),
                "address": node.addresses.get("access_v4", ""),
                "port": machine.get("port", 0),
                "hardware_type": node.hardware_type,
                "image_type": node.image_type,
                "services": list(node.services),
            }
        )
    return {
        "cluster_id": now.id,
        "name": now.name,
        "state": str(now.state),
        "template": now.template,
        "provider": now.provider,
        "job": job_id,
        "flow_run_url": flow_run_url,
        "expires_at": now.expires_at.isoformat() if now.expires_at else None,
        "links": cluster_links(store, now),
        "nodes": nodes,
    }


def publish_cluster(store: Store, summary: dict[str, Any]) -> None:
    """Leave the summary as a page among the flow run's artifacts; one page per cluster, each run a new version.

    The installation is part of its key: others on the same server have clusters with the same ids.
    """
    lines = [f"# {summary['name']} is {summary['state']}", ""]
    lines.append(f"Cluster `{summary['cluster_id']}`, template `{summary['template']}`, job `{summary['job']}`.")
    if summary["links"]:
        lines += ["", "| link | |", "|---|---|"]
        lines += [f"| {_cell(link['label'])} | {_link(link['url'])} |" for link in summary["links"]]
    if summary["nodes"] and summary["state"] != "TERMINATED":
        lines += ["", "| node | host name | address | hardware | services |", "|---|---|---|---|---|"]
        lines += [
            f"| {n['number']} | {n['host_name']} | {n['address']}:{n['port']} | {n['hardware_type']} "
            f"| {_cell(', '.join(n['services']))} |"
            for n in summary["nodes"]
        ]
    with contextlib.suppress(httpx.HTTPError):
        create_markdown_artifact(
            "\n".join(lines),
            key=f"cluster-{store.installation}-{summary['cluster_id']}",
            description=f"Cluster {summary['name']}: {len(summary['nodes'])} nodes, {summary['state'].lower()}",
            _sync=True,  # type: ignore[call-arg]  # Prefect's wrapper takes it
        )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _link(url: str) -> str:
    return f"[{url}]({url})" if url.startswith(("http://", "https://")) else f"`{_cell(url)}`"
