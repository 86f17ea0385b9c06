"""Macros: ``%host.service.x%`` and its kin in config, links and fields of actions, expanded for each node.

``forms`` is the table of what there is, ``syntax`` parses, ``context`` holds the values, ``expander`` replaces,
``checks`` finds beforehand what cannot be; ``rendering`` tells which services a change of config reaches, and
``differences`` shows it (imported where they are used).
Beside the original's forms there is ``%secret.NAME%``, which has a value only on the way to a node.
"""

from coopr_core.macros.checks import Use, check_macros, unresolvable, uses
from coopr_core.macros.context import MacroContext, MacroNode
from coopr_core.macros.expander import UnresolvedMacro, expand

__all__ = ["MacroContext", "MacroNode", "UnresolvedMacro", "Use", "check_macros", "expand", "unresolvable", "uses"]
