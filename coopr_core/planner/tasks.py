"""A task: one action on one node, for one service or for the node itself."""

from __future__ import annotations

from typing import NamedTuple


class Task(NamedTuple):
    """What is to be done: ``action`` on node ``node``, for ``service`` or ("" ) for the machine.

    A tuple, because plans have hundreds of thousands of them: it is made and looked up three times as fast as a class.
    """

    node: int
    action: str
    service: str = ""

    def __str__(self) -> str:
        return f"{task_type(self.action, self.service)} @ {self.node}"


def task_type(action: str, service: str = "") -> str:
    """Return what tasks of all nodes have in common, as text: ``START hadoop-hdfs-namenode``, ``CREATE``."""
    return f"{action} {service}" if service else action
