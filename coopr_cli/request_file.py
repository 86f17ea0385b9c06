"""A request read from a file: what `coopr show CLUSTER -o yaml` prints, or just the fields of a request."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coopr_core.errors import InvalidInput

if TYPE_CHECKING:
    from coopr_core.model.layout import ClusterLayout

STANDARD_INPUT = "-"


NodeKind = tuple[str, str, tuple[str, ...]]
"""A node's hardware type, image type and services."""


@dataclass(frozen=True, slots=True)
class RequestFile:
    """What a file says: the fields of a request, catalog folders, and the nodes of the cluster it was printed from.

    Catalog folders are meant from where the file is; ``nodes`` is empty when the file does not describe a cluster.
    """

    fields: Mapping[str, Any]
    catalog: tuple[str, ...] = ()
    nodes: tuple[NodeKind, ...] = ()


def read_request(file: str) -> RequestFile:
    """Read a request. Raises ``InvalidInput`` for what cannot be read or is no request.

    Whether its fields are right is for ``ClusterRequest`` to say.
    """
    from coopr_core.documents.document import parse, read, text_of
    from coopr_core.documents.written_numbers import number_problems

    if file == STANDARD_INPUT:
        name = "standard input"
        document, folder = parse(text_of(sys.stdin.buffer.read(), name), name), Path.cwd()
    else:
        document, folder = read(Path(file)), Path(file).absolute().parent
    value = document.value
    found = value.get("request", value) if isinstance(value, dict) else None
    if not isinstance(found, dict) or "template" not in found:
        raise InvalidInput(
            f"{document.file} is no request: it has no 'template', nor a 'request' with one",
            hint="for one to start from: coopr show CLUSTER -o yaml > FILE",
        )
    if problems := number_problems(found, document.file):
        raise InvalidInput(f"{document.file} has numbers that would be changed", problems=problems)
    request = dict(found)
    if request.get("name", "none") in (None, ""):
        raise InvalidInput(f"{document.file}: 'name' is empty", hint="write one, or leave it out for one of our making")
    catalog = request.pop("catalog", None) or []
    if not isinstance(catalog, list) or not all(isinstance(path, str) for path in catalog):
        raise InvalidInput(f"{document.file}: 'catalog' must be a list of folders")
    config = request.get("config")
    if config is not None and not isinstance(config, dict):
        raise InvalidInput(f"{document.file}: 'config' must be a map of keys")
    return RequestFile(request, tuple(str(folder / path) for path in catalog), _nodes(value))


def _nodes(value: dict[str, Any]) -> tuple[NodeKind, ...]:
    nodes = value.get("nodes") if "request" in value else None
    described = [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []
    return tuple(
        (
            str(node.get("hardware_type")),
            str(node.get("image_type")),
            tuple(sorted(map(str, node.get("services") or ()))),
        )
        for node in described
    )


def other_layout(wanted: Sequence[NodeKind], layout: ClusterLayout) -> bool:
    """Whether a layout has other nodes than those, whatever their order."""
    found = Counter((node.hardware_type, node.image_type, tuple(sorted(node.services))) for node in layout.nodes)
    return bool(wanted) and found != Counter(wanted)
