"""What can be said about macros before there is a cluster: which there are, and which can never be resolved."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from coopr_core.errors import Problem
from coopr_core.macros.context import config_value
from coopr_core.macros.differences import is_secret_key
from coopr_core.macros.forms import CONFIG, BadMacro, Name
from coopr_core.macros.syntax import Macro, parse, unreadable
from coopr_core.suggestions import did_you_mean

ADDRESS_TYPES = ("access_v4", "bind_v4")
"""The addresses every confirmed machine has."""


@dataclass(frozen=True, slots=True)
class Use:
    """A macro that stands somewhere in a tree; ``name`` is None and ``flaw`` is a sentence when it cannot be read."""

    path: tuple[str | int, ...]
    source: str
    name: Name | None = None
    flaw: str = ""

    @property
    def needs(self) -> str:
        """The service without which the macro has no value, or ""."""
        return self.name.needs if self.name else ""

    @property
    def is_own(self) -> bool:
        """Whether the macro's value depends on the node it is expanded for."""
        return self.name is not None and self.name.is_own

    @property
    def secret(self) -> str:
        """The name of the secret the macro stands for, or ""."""
        return self.name.secret if self.name else ""


def uses(tree: Any, path: tuple[str | int, ...] = (), *, loose: bool = False) -> Iterator[Use]:
    """Every macro in a tree, in the order of the tree; ``loose`` is for an action's fields."""
    if isinstance(tree, str):
        if "%" not in tree:
            return
        try:
            pieces = parse(tree, loose)
        except BadMacro as error:
            yield Use(path, error.source, flaw=unreadable(error, tree, any(is_secret_key(str(step)) for step in path)))
            return
        for piece in pieces:
            if isinstance(piece, Macro):
                yield Use(path, piece.source, piece.name)
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from uses(value, (*path, key), loose=loose)
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from uses(value, (*path, index), loose=loose)


def check_macros(
    tree: Any,
    services: Collection[str],
    path: str = "config",
    *,
    has_self: bool = True,
    addresses: Collection[str] = ADDRESS_TYPES,
    config: Mapping[str, Any] | None = None,
    loose: bool = False,
) -> list[Problem]:
    """Return the macros that cannot be resolved on a cluster with these services, each as an error with its path.

    ``has_self`` is False for texts that belong to no node (links); ``config`` is what ``config.KEY`` looks into, None
    when it is not known; ``loose`` is for an action's fields.
    """
    found = []
    for use in uses(tree, loose=loose):
        why = unresolvable(use, services, has_self=has_self, addresses=addresses, config=config)
        if why:
            where = path + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in use.path)
            found.append(Problem(why, path=where))
    return found


def unresolvable(
    use: Use,
    services: Collection[str],
    *,
    has_self: bool = True,
    addresses: Collection[str] = ADDRESS_TYPES,
    config: Mapping[str, Any] | None = None,
) -> str:
    """Why a macro cannot be resolved on a cluster with these services, or "" when nothing speaks against it."""
    if use.name is None:
        return use.flaw
    start = f"macro {use.source} cannot be resolved: "
    if use.needs and use.needs not in services:
        meant = did_you_mean(use.needs, services)
        return f"{start}no node has the service {use.needs}" + (f": {meant}" if meant else "")
    if use.name.address and use.name.address not in addresses:
        return f"{start}nodes have no address {use.name.address}, only {' and '.join(addresses)}"
    if use.name.form is CONFIG and config is not None:
        try:
            config_value(config, use.name.key)
        except LookupError as error:
            return f"{start}{error.args[0]}"
    if use.name.is_own and not has_self:
        return f"{start}there is no node that is meant by self"
    return ""
