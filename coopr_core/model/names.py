"""Names of clusters, host names of nodes and DNS suffixes (section 7 of the original's semantics).

``demo_1``, cluster 15, node 1000 becomes ``demo-115-1000.local``. The first label is at most 63 characters, so two
nodes of one cluster never share a host name, and neither do two clusters with the same name. Two clusters with other
names may (``a1``, cluster 5, and ``a``, cluster 15): the store gives no new cluster an id with which it would.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING

from coopr_core.model.ids import parse_cluster_id
from coopr_core.text_form import composed

if TYPE_CHECKING:
    from coopr_core.model.layout import ClusterLayout

DEFAULT_SUFFIX = "local"
"""The DNS suffix when neither the request nor the template has one."""

LONGEST_SUFFIX = 191
LONGEST_LABEL = 63

_CLUSTER_NAME = re.compile(r"[\w.-]{1,255}")
_LABEL = re.compile(r"[A-Za-z0-9-]{1,63}")


def cluster_name_problem(name: str) -> str:
    """Return what is wrong with a cluster name, or "" when nothing is."""
    if _CLUSTER_NAME.fullmatch(name):
        return ""
    return f'"{name}" is no cluster name: it takes 1 to 255 letters, digits, "_", "." or "-"'


def id_like_problem(name: str) -> str:
    """Why a name could be taken for an id, or "": digits alone, in whatever script, mean the cluster of that number."""
    if not (name.isdigit() or unicodedata.normalize("NFKC", name).isdecimal()):
        return ""
    return f'"{name}" is no name for a new cluster: digits alone mean the cluster with that id'


def handle(name: str, cluster_id: str) -> str:
    """Return what to type for a cluster: its name.

    Its id where an earlier version gave it a name that looks like an id.
    """
    return cluster_id if id_like_problem(name) else name


def new_name_problem(name: str) -> str:
    """Return what is wrong with the name of a new cluster, or "": it also has to give valid host names."""
    if problem := cluster_name_problem(name) or id_like_problem(name):
        return problem
    label = _stem(name)
    if label.startswith("-"):
        digits = "without its leading digits " if name[0].isdecimal() else ""
        return f'"{name}" gives no host names: {digits}it does not begin with a letter'
    if label.startswith("xn--"):
        return f'"{name}" gives no host names: "xn--" is how names in other scripts begin in DNS'
    if len(label) > LONGEST_LABEL:
        return f'"{name}" is too long: host names begin with it, and take at most {LONGEST_LABEL} letters before a dot'
    try:
        _in_dns(f"{label}1-1000")
    except ValueError as error:
        return f'"{name}" gives no host names: {error}'
    return ""


def dns_suffix_problem(suffix: str) -> str:
    """Return what is wrong with a DNS suffix, or "" when nothing is. A leading dot is not part of a suffix."""
    if len(suffix) > LONGEST_SUFFIX:
        return f"a DNS suffix has at most {LONGEST_SUFFIX} characters, not {len(suffix)}"
    for label in suffix.split("."):
        if not _LABEL.fullmatch(label):
            what = f'"{label}" in it is none' if label else "one of them is empty"
            return f'"{suffix}" is no DNS suffix: its labels take 1 to 63 letters, digits or "-", {what}'
    return ""


def host_name(cluster_name: str, cluster_id: str, node_number: int, suffix: str | None = None) -> str:
    """Return the host name of a node as people read it: ``<cluster name><cluster number>-<node number>.<suffix>``.

    Leading digits of the cluster name are stripped, ``_`` and ``.`` become ``-``, letters lower case, and the name is
    cut so that the first label fits 63 characters. The suffix is kept as it is written.
    """
    tail = f"{parse_cluster_id(cluster_id)}-{node_number}"
    return f"{_stem(cluster_name)[: LONGEST_LABEL - len(tail)]}{tail}.{suffix or DEFAULT_SUFFIX}"


def dns_name(cluster_name: str, cluster_id: str, node_number: int, suffix: str | None = None) -> str:
    """Return the host name of a node as DNS takes it, which is what the node is called.

    That is ``host_name``; where letters beyond ASCII are in it, their IDNA form (``xn--...``), cut until it fits.
    """
    name = host_name(cluster_name, cluster_id, node_number, suffix)
    if cluster_name.isascii():
        return name
    label, _, rest = name.partition(".")
    tail = f"{parse_cluster_id(cluster_id)}-{node_number}"
    stem = label.removesuffix(tail)
    while True:
        try:
            return f"{_in_dns(stem + tail)}.{rest}"
        except ValueError:
            stem = stem[:-1]


def dns_form(host: str) -> str:
    """Return a host name, as it may be typed, in the form nodes have: letters beyond ASCII in their IDNA form."""
    label, dot, rest = composed(host).partition(".")
    try:
        return f"{_in_dns(label)}{dot}{rest}"
    except ValueError:
        return host


def _stem(cluster_name: str) -> str:
    """Return what the host names of a cluster's nodes begin with."""
    first = 0
    while first < len(cluster_name) and cluster_name[first].isdecimal():
        first += 1
    return cluster_name[first:].lower().replace("_", "-").replace(".", "-")


def _in_dns(label: str) -> str:
    """Return a label in its IDNA form (RFC 5891, characters mapped by UTS 46).

    Raises ``ValueError`` when it has none.
    """
    if label.isascii():
        return label
    import idna

    try:
        return idna.encode(label, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise ValueError(f"{error}") from None


def name_nodes(layout: ClusterLayout, cluster_name: str, cluster_id: str, suffix: str | None = None) -> ClusterLayout:
    """Return the layout with every node's host name set."""
    return replace(
        layout,
        nodes=tuple(
            replace(node, host_name=dns_name(cluster_name, cluster_id, node.number, suffix)) for node in layout.nodes
        ),
    )
