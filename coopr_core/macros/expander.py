"""Macros in a tree of config, replaced by their values.

Promise: a text is expanded wholly or not at all. A macro that has no value is an ``UnresolvedMacro`` that names the
macro, the config path and the node, for all of them at once (rule D14); lists are in the order of the nodes' numbers;
keys are never expanded, nor is what a macro gave. One macro may have no value on a node and be right:
``instance.self.service.S`` on a node without S, where the text stays as it is, as in the original. Cost: linear in the
texts and the values; texts that do not depend on the node are expanded once per cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coopr_core.errors import InvalidInput, Problem
from coopr_core.macros.context import MacroContext, MacroNode, config_value
from coopr_core.macros.differences import is_secret_key
from coopr_core.macros.syntax import ESCAPE, BadMacro, Macro, Name, parse, unreadable


class UnresolvedMacro(InvalidInput):
    """A macro has no value on a node: bad syntax, a service that is not on the cluster, an address not known."""

    code = "unresolved-macro"


class _NoValue(Exception):
    """A macro cannot be resolved, and why."""


class _NotForThisNode(Exception):
    """A macro is about a service that other nodes of the cluster have and this one does not."""


def expand(tree: Any, context: MacroContext, path: str = "config", *, loose: bool = False) -> Any:
    """Return the tree with every macro in its texts expanded; ``loose`` is for an action's fields.

    Raises ``UnresolvedMacro`` with all that cannot be.
    """
    problems: list[Problem] = []
    expanded = _expand(tree, context, path, problems, loose)
    if problems:
        where = "" if context.self_number is None else f" on node {context.self_number}"
        raise UnresolvedMacro(
            f"{len(problems)} macros cannot be resolved{where}"
            if len(problems) > 1
            else f"{problems[0].path}: {problems[0].message}",
            hint=f"correct the config, or add the service the macro names to the cluster; {ESCAPE}",
            problems=problems,
        )
    return expanded


def _expand(tree: Any, context: MacroContext, path: str, problems: list[Problem], loose: bool) -> Any:
    if isinstance(tree, str):
        return _text(tree, context, path, problems, loose) if "%" in tree else tree
    if isinstance(tree, Mapping):
        return {key: _expand(value, context, f"{path}.{key}", problems, loose) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_expand(value, context, f"{path}[{index}]", problems, loose) for index, value in enumerate(tree)]
    return tree


def _text(text: str, context: MacroContext, path: str, problems: list[Problem], loose: bool) -> str:
    known = context.cluster.expanded.get((text, loose))
    if known is not None:
        return known
    try:
        pieces = parse(text, loose)
    except BadMacro as error:
        problems.append(Problem(unreadable(error, text, is_secret_key(path), _on(context)), path=path))
        return text
    values = []
    for piece in pieces:
        if isinstance(piece, str):
            values.append(piece)
            continue
        try:
            values.append(_value(piece, context))
        except _NotForThisNode:
            return "".join(piece.source if isinstance(piece, Macro) else piece for piece in pieces)
        except _NoValue as error:
            problems.append(Problem(f"macro {piece.source} cannot be resolved{_on(context)}: {error}", path=path))
            return text
    expanded = "".join(values)
    if not any(isinstance(piece, Macro) and (piece.name.is_own or piece.name.secret) for piece in pieces):
        context.cluster.expanded[text, loose] = expanded
    return expanded


def _value(macro: Macro, context: MacroContext) -> str:
    elements = _elements(macro.name, context)
    if macro.pattern is not None:
        elements = [element.join(macro.pattern) for element in elements]
    return macro.separator.join(elements)


def _elements(name: Name, context: MacroContext) -> list[str]:
    match name.form:
        case "owner":
            return [context.owner]
        case "secret":
            if context.secret is None:
                raise _NoValue("secrets are known only on the way to a node")
            return [context.secret(name.secret)]
        case "config":
            try:
                return [config_value(context.config, name.key)]
            except LookupError as error:
                raise _NoValue(error.args[0]) from None
        case "num":
            return [str(len(context.cluster.by_service.get(name.service, ())))]
        case "instance":
            number = _self(context).number
            _nodes_with(name.service, context)
            if (name.service, number) not in context.cluster.instance:
                raise _NotForThisNode
            return [str(context.cluster.instance[name.service, number])]
        case "host" | "ip":
            nodes = _nodes_with(name.service, context) if name.service else [_self(context)]
            if name.service and name.index is not None:
                if name.index >= len(nodes):
                    raise _NoValue(f"the cluster has fewer than {name.index + 1} nodes with {name.service}")
                nodes = [nodes[name.index]]
            return [_of_node(node, name) for node in nodes]


def _of_node(node: MacroNode, name: Name) -> str:
    value = node.host_name if name.form == "host" else node.addresses.get(name.address, "")
    if not value:
        what = "host name" if name.form == "host" else f"address {name.address}"
        raise _NoValue(f"node {node.number} has no {what}")
    return value


def _self(context: MacroContext) -> MacroNode:
    if context.self_number is None:
        raise _NoValue("there is no node that is meant by self")
    node = context.cluster.by_number.get(context.self_number)
    if node is None:
        raise _NoValue(f"the cluster has no node {context.self_number}")
    return node


def _nodes_with(service: str, context: MacroContext) -> list[MacroNode]:
    nodes = context.cluster.by_service.get(service)
    if not nodes:
        raise _NoValue(f"no node of the cluster has the service {service}")
    return nodes


def _on(context: MacroContext) -> str:
    return "" if context.self_number is None else f" on node {context.self_number}"
