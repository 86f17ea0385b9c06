"""The shell automator: a service's actions are scripts, or shell text, that run on the node.

``action`` reads what the catalog says about an action, ``bundle`` is what a node must hold to run it, ``task_files``
what one task brings along, ``automator`` does it.
"""

from coopr_core.automators.shell.automator import ShellAutomator

__all__ = ["ShellAutomator"]
