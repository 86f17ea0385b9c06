"""Host names across clusters: no new cluster gets an id with which its host names would be a living cluster's.

Names and ids run together in a host name: node 1000 of ``a1``, cluster 5, and of ``a``, cluster 15, are both called
``a15-1000``. So ``a`` is given the id 16 then. Clusters of all tenants and domains count: they may share a network, and
tools know a node by the first label of its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import takewhile

from sqlalchemy import func, select, text
from sqlalchemy.engine import Connection

from coopr_core.model import ids
from coopr_core.model.names import dns_name
from coopr_core.store.references import LIVING
from coopr_core.store.schema import clusters, nodes

_NUMBERED = re.compile(r"(.*)-[0-9]+")

_ANY_NODE = 1000

_NEXT = {
    "sqlite": "SELECT seq + 1 FROM sqlite_sequence WHERE name = 'clusters'",
    "postgresql": "SELECT last_value + CASE WHEN is_called THEN 1 ELSE 0 END FROM clusters_id_seq",
}
"""What gives the id that the database would give next, whatever has been deleted."""


class Hosts:
    """The host names of living clusters that a new cluster called ``name`` could collide with."""

    def __init__(self, connection: Connection, name: str, suffix: str | None) -> None:
        self._name, self._suffix = name, suffix
        start = _common_start([self._first(1), self._first(2), self._first(99999999)]).lower()
        query = select(nodes.c.host_name).join(clusters, nodes.c.cluster == clusters.c.id).where(LIVING)
        found = connection.execute(query.where(func.lower(nodes.c.host_name).startswith(start, autoescape=True)))
        self._families = set(_families(found.scalars()))

    def clash(self, number: int) -> bool:
        """Tell whether cluster ``number``, of that name, has or will have a host name that is another's."""
        return not self._families.isdisjoint(_families([self._first(number)]))

    def _first(self, number: int) -> str:
        return dns_name(self._name, ids.cluster_id(number), _ANY_NODE, self._suffix)


def next_id(connection: Connection, name: str, suffix: str | None) -> str:
    """Return the id that a cluster called ``name`` would get if it were recorded now."""
    number: int = connection.execute(text(_NEXT[connection.dialect.name])).scalar_one_or_none() or 1
    hosts = Hosts(connection, name, suffix)
    while hosts.clash(number):
        number += 1
    return ids.cluster_id(number)


def owners(connection: Connection, cluster: int, host_names: Iterable[str]) -> dict[str, str]:
    """Return which of these host names nodes of other living clusters have, and the name of their cluster."""
    wanted = {_label(name) for name in host_names}
    query = select(nodes.c.host_name, clusters.c.name, clusters.c.id).join(clusters, nodes.c.cluster == clusters.c.id)
    query = query.where(LIVING, clusters.c.id != cluster)
    start = _common_start(wanted)
    rows = connection.execute(query.where(func.lower(nodes.c.host_name).startswith(start, autoescape=True)))
    return {host: f"{name} ({ids.cluster_id(id)})" for host, name, id in rows if _label(host) in wanted}


def _common_start(texts: Iterable[str]) -> str:
    """Return what all the texts begin with."""
    known = sorted(texts)
    same = takewhile(lambda pair: pair[0] == pair[1], zip(known[0], known[-1], strict=False)) if known else ()
    return "".join(letter for letter, _ in same)


def _label(host_name: str) -> str:
    """Return a host name without its domain, which is what people and tools know a node by."""
    return host_name.partition(".")[0].lower()


def _families(host_names: Iterable[str]) -> Iterator[str]:
    """Each label without its node's number: what all nodes of one cluster have in common."""
    for label in map(_label, host_names):
        match = _NUMBERED.fullmatch(label)
        yield match[1] if match else label
