"""A task: one action on one node, for one service or for the node itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Task:
    """What is to be done: ``action`` on node ``node``, for ``service`` or ("" ) for the machine."""

    node: int
    action: str
    service: str = ""

    def __str__(self) -> str:
        return f"{task_type(self.action, self.service)} @ {self.node}"


def task_type(action: str, service: str = "") -> str:
    """Return what tasks of all nodes have in common, as text: ``START hadoop-hdfs-namenode``, ``CREATE``."""
    return f"{action} {service}" if service else action
