"""The shell automator: a service's actions are scripts, or shell text, that run on the node.

``action`` is what the catalog says about an action, ``automator`` makes a program of it.
"""

from coopr_core.automators.shell.automator import ShellAutomator

__all__ = ["ShellAutomator"]
