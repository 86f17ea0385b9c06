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
from coopr_core.macros.context import MacroContext
from coopr_core.macros.differences import is_secret_key
from coopr_core.macros.forms import BadMacro, NotForThisNode, NoValue
from coopr_core.macros.syntax import ESCAPE, Macro, parse, unreadable


class UnresolvedMacro(InvalidInput):
    """A macro has no value on a node: bad syntax, a service that is not on the cluster, an address not known."""

    code = "unresolved-macro"


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
        except NotForThisNode:
            return "".join(piece.source if isinstance(piece, Macro) else piece for piece in pieces)
        except NoValue as error:
            problems.append(Problem(f"macro {piece.source} cannot be resolved{_on(context)}: {error}", path=path))
            return text
    expanded = "".join(values)
    if not any(isinstance(piece, Macro) and (piece.name.is_own or piece.name.secret) for piece in pieces):
        context.cluster.expanded[text, loose] = expanded
    return expanded


def _value(macro: Macro, context: MacroContext) -> str:
    elements = macro.name.elements(context)
    if macro.pattern is not None:
        elements = [element.join(macro.pattern) for element in elements]
    return macro.separator.join(elements)


def _on(context: MacroContext) -> str:
    return "" if context.self_number is None else f" on node {context.self_number}"
