"""`coopr scp`: files and folders to and from the nodes of a cluster, over coopr's own connections."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coopr_cli.access.nodes import nodes_of
from coopr_cli.access.selectors import matching, short_name
from coopr_cli.output import output_option, print_data
from coopr_core.errors import CooprError, Interrupted, InvalidInput
from coopr_core.text_form import composed

if TYPE_CHECKING:
    from collections.abc import Callable

    from coopr_core.model.records import ClusterRecord, NodeRecord
    from coopr_core.remote.session import Session
    from coopr_core.remote.trees import Copied
    from coopr_core.store import Store

_REMOTE = re.compile(r"(?P<cluster>[^:/]+):(?P<node>[^:/]*):(?P<path>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """A path on one node, on the nodes of a service, or on all (``node`` empty) of a cluster."""

    cluster: str
    node: str
    path: str


@click.command("scp")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("target")
@output_option
def scp_command(sources: tuple[str, ...], target: str, output: str) -> int:
    """Copy SOURCEs, files or folders, to TARGET; one side is CLUSTER:NODE:PATH.

    NODE is a number, a host name, or a service for all nodes that have it; left out (demo::/tmp/) it is every node.
    From several nodes, each one's files go to a folder of its own below TARGET. PATH is meant from the home folder; an
    absolute one lies below the node's root, as with OpenSSH's scp: demo:1000:/tmp/x is $COOPR_ROOT/tmp/x to commands
    there. A local path with colons is written ./a:b:c.
    """
    places = [remote_place(source) for source in sources]
    there = remote_place(target)
    if there is None and all(places):
        clusters = {place.cluster for place in places if place}
        if len(clusters) > 1:
            raise InvalidInput(f"one command copies from one cluster, not from {' and '.join(sorted(clusters))}")
        results = _download([place for place in places if place], Path(target))
    elif there is not None and not any(places):
        results = _upload([Path(source) for source in sources], there)
    else:
        raise InvalidInput(
            "one side is local, the other is CLUSTER:NODE:PATH",
            hint="for example: coopr scp ./site demo:1000:/tmp/ or coopr scp demo:1000:app.log .",
        )
    if output != "table":
        print_data(results, output)
    else:
        _say(results)
    worst: int = max(result["exit_status"] for result in results)
    return worst


def remote_place(text: str) -> RemotePlace | None:
    """Return the place on nodes that a word names; None for a local path."""
    match = _REMOTE.fullmatch(text)
    return RemotePlace(match["cluster"], match["node"], match["path"]) if match else None


def _upload(sources: list[Path], place: RemotePlace) -> list[dict[str, Any]]:
    from coopr_core.errors import NotFound
    from coopr_core.remote.trees import send
    from coopr_core.store import Store

    if missing := [str(source) for source in sources if not source.exists()]:
        raise NotFound(f"there is no {', '.join(missing)}")
    with Store.open() as store:
        cluster = store.cluster(place.cluster)
        nodes = _nodes(store, cluster, place.node)
        with nodes_of(store, cluster) as way:
            return way.each(
                nodes, lambda node: _copied(node, lambda: way.on(node, lambda to: send(to, sources, place.path)))
            )


def _download(places: list[RemotePlace], target: Path) -> list[dict[str, Any]]:
    from coopr_core.remote.trees import fetch
    from coopr_core.store import Store

    with Store.open() as store:
        cluster = store.cluster(places[0].cluster)
        chosen = [(place, node) for place in places for node in _nodes(store, cluster, place.node)]
        nodes = list({node.number: node for _, node in chosen}.values())
        if len(chosen) > 1 and not target.is_dir():
            raise InvalidInput(f"{target} is not a folder, and what comes is more than one", hint=f"mkdir {target}")

        def own_folder(node: NodeRecord) -> Path:
            if len(nodes) == 1:
                return target
            folder = target / short_name(node)
            folder.mkdir(exist_ok=True)
            return folder

        def of_node(node: NodeRecord) -> list[dict[str, Any]]:
            def get(path: str) -> dict[str, Any]:
                def work(session: Session) -> Copied:
                    return fetch(session, path, own_folder(node))

                return _copied(node, lambda: way.on(node, work))

            return [get(place.path) for place, at in chosen if at.number == node.number]

        with nodes_of(store, cluster) as way:
            return [result for results in way.each(nodes, of_node) for result in results]


def _nodes(store: Store, cluster: ClusterRecord, name: str) -> list[NodeRecord]:
    nodes = store.nodes(cluster.id)
    if not name:
        return nodes
    return [node for node in nodes if composed(name) in node.services] or matching(cluster, nodes, name)


def _copied(node: NodeRecord, copy: Callable[[], Copied]) -> dict[str, Any]:
    """Return how copying went on one node; what kept it from being done is its ``error``, not an exception."""
    found: dict[str, Any] = {"node": node.number, "host_name": node.host_name, "exit_status": 0}
    try:
        done = copy()
    except Interrupted:
        raise
    except CooprError as error:
        return {**found, "exit_status": error.exit_code, "error": error.message, "files": 0, "bytes": 0}
    except OSError as error:
        message = f"{error.strerror}: {error.filename}"
        return {**found, "exit_status": CooprError.exit_code, "error": message, "files": 0, "bytes": 0}
    found |= {"files": done.files, "bytes": done.size, "skipped": list(done.skipped)}
    return {**found, "exit_status": CooprError.exit_code if done.skipped else 0}


def _say(results: list[dict[str, Any]]) -> None:
    for result in results:
        name = str(result["host_name"]).partition(".")[0]
        if "error" in result:
            click.echo(f"{name}: {result['error']}", err=True)
            continue
        for skipped in result["skipped"]:
            click.echo(f"{name}: left out: {skipped}", err=True)
        files = "1 file" if result["files"] == 1 else f"{result['files']} files"
        click.echo(f"{name}: {files}, {result['bytes']} bytes", err=True)
