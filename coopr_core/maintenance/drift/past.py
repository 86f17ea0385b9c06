"""What the jobs so far did to the services of a cluster's nodes, as far as drift is told from it.

Cost: one look at the tasks of each job that the cluster ever had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coopr_core.model.courses import Action
from coopr_core.model.states import TaskState

if TYPE_CHECKING:
    from coopr_core.store import Store

Place = tuple[int, str]
"""A node's number and a service on it."""


class Past:
    """``configured``: the tasks that configured each place, newest first; ``stopped``: where STOP came last.

    What was done before a node's machine was made (anew) does not count.
    """

    def __init__(self, store: Store, cluster_id: str) -> None:
        self.configured: dict[Place, list[str]] = {}
        self.stopped: set[Place] = set()
        decided: set[Place] = set()
        made: set[int] = set()
        for job in reversed(store.jobs(cluster_id)):
            for task in reversed(store.tasks(job.id, state=TaskState.SUCCEEDED)):
                place = (task.node, task.service)
                if task.node in made:
                    continue
                if task.action == Action.CREATE:
                    made.add(task.node)
                elif task.action == Action.CONFIGURE:
                    self.configured.setdefault(place, []).append(task.id)
                elif task.action in (Action.START, Action.STOP) and place not in decided:
                    decided.add(place)
                    if task.action == Action.STOP:
                        self.stopped.add(place)
