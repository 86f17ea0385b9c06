"""Names that are too long for what is made of them: folders and files on nodes, names of clusters.

Cost: linear in the names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from coopr_core.catalog.entities import ClusterTemplate, Service
from coopr_core.catalog.places import Finding
from coopr_core.model.names import new_name_problem

LONGEST_FILE_NAME = 255
"""The most bytes the name of a file or folder has on the file systems of nodes."""

_SHORT = 16
"""A name with as few characters as this is never too long."""


def of_services(services: Iterable[Service]) -> Iterator[Finding]:
    """Services whose folder, or whose files, no node can have."""
    for service in services:
        if length := _too_long(service.name):
            yield Finding(service, ("name",), f"is too long for a folder on the nodes: {length}")
        for path in sorted(service.files):
            for part in path.split("/"):
                if length := _too_long(part):
                    yield Finding(service, ("files", path), f"is too long for a file on the nodes: {length}")


def of_templates(templates: Iterable[ClusterTemplate], *, too_long: bool) -> Iterator[Finding]:
    """Templates after which no cluster can be called, for the length of their name or for what is in it."""
    for template in templates:
        problem = new_name_problem(f"{template.name}-1")
        if problem and too_long is not bool(new_name_problem(f"{template.name[:_SHORT]}-1")):
            message = f"no cluster can be called after the template, so each needs a name: {problem}"
            yield Finding(template, ("name",), message)


def _too_long(name: str) -> str:
    """How long a name is, when that is too much."""
    length = len(name.encode("utf-8", "surrogatepass"))
    return f"{length} bytes, and at most {LONGEST_FILE_NAME} are possible" if length > LONGEST_FILE_NAME else ""
