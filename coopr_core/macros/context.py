"""What macros are expanded with: the cluster's owner and nodes, the node itself, and where secrets come from.

The nodes are sorted by service once for a whole cluster; ``MacroContext.at`` gives the context of another node of it
at no cost, and what does not depend on the node is expanded once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from coopr_core.macros.forms import BadMacro
from coopr_core.macros.syntax import parse


@dataclass(frozen=True, slots=True)
class MacroNode:
    """A node as macros see it; ``addresses`` has ``bind_v4`` and ``access_v4`` once the machine is confirmed."""

    number: int
    host_name: str = ""
    services: Sequence[str] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)


class ClusterIndex:
    """The nodes of a cluster by number and by service, in number order, and the texts expanded already."""

    def __init__(self, nodes: Sequence[MacroNode]) -> None:
        self.by_number: dict[int, MacroNode] = {}
        self.by_service: dict[str, list[MacroNode]] = {}
        self.instance: dict[tuple[str, int], int] = {}
        self.expanded: dict[tuple[str, bool], str] = {}
        for node in sorted(nodes, key=lambda node: node.number):
            self.by_number[node.number] = node
            for service in dict.fromkeys(node.services):
                holders = self.by_service.setdefault(service, [])
                holders.append(node)
                self.instance[service, node.number] = len(holders)


@dataclass(frozen=True)
class MacroContext:
    """The values macros stand for.

    ``self_number`` is the node expanded for; None when there is none (a cluster's links): then ``self`` cannot be
    resolved. ``secret`` gives a secret by name; None where secrets must not be: then they cannot be resolved.
    ``config`` is the cluster's config, for ``config.KEY``.
    """

    owner: str
    nodes: Sequence[MacroNode]
    self_number: int | None = None
    secret: Callable[[str], str] | None = field(default=None, repr=False)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    index: ClusterIndex | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.index is None:
            object.__setattr__(self, "index", ClusterIndex(self.nodes))

    def at(self, number: int | None) -> MacroContext:
        """Return the same cluster seen from another node."""
        return replace(self, self_number=number)

    def config_value(self, key: str) -> str:
        """Return the plain value at a dotted path of the config. Raises ``LookupError``."""
        return config_value(self.config, key)

    @property
    def cluster(self) -> ClusterIndex:
        """The cluster's nodes by number and service."""
        assert self.index is not None
        return self.index


def config_value(config: Mapping[str, Any], key: str) -> str:
    """Return the plain value at a dotted path of the config; a key that has dots itself is found too.

    Raises ``LookupError`` when there is none, or when it holds macros: what a macro gives is not expanded again.
    """
    value: Any = config
    rest = key
    while rest:
        first = rest if isinstance(value, Mapping) and rest in value else rest.partition(".")[0]
        if not isinstance(value, Mapping) or first not in value:
            raise LookupError(f"the config has no value {key}")
        value, rest = value[first], rest[len(first) + 1 :]
    text = _literal(value) if isinstance(value, str) else value
    if not isinstance(text, str | int | float):
        raise LookupError(f"the config's {key} is not a plain value")
    return str(text).lower() if isinstance(text, bool) else str(text)


def _literal(value: str) -> str | None:
    """Return the text without escapes; None when there are macros in it."""
    try:
        pieces = parse(value)
    except BadMacro:
        return None
    literals = [piece for piece in pieces if isinstance(piece, str)]
    return "".join(literals) if len(literals) == len(pieces) else None
