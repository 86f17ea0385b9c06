"""Who belongs to a cluster while a job changes it, as each node sees it; never imports Prefect.

Nodes that stay see the cluster as it will be, without those that leave; a node that leaves still sees all of them, so
that it can hand over what it keeps. What only adapts to replaced nodes has nothing to do where those got the addresses
they had.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from coopr_core.model.courses import Action
from coopr_core.model.job_parameters import JobParameters
from coopr_core.model.operations import Operation
from coopr_core.model.records import JobRecord, NodeRecord, TaskRecord


@dataclass
class Membership:
    """What a job does to the nodes: ``leaving`` go, ``replaced`` are made anew (with the addresses they had).

    ``created`` are the nodes that the job makes and that were not there before; ``given_up`` those of them that the
    job goes on without.
    """

    leaving: frozenset[int] = frozenset()
    created: frozenset[int] = frozenset()
    replaced: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    given_up: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, job: JobRecord, parameters: JobParameters, tasks: Iterable[TaskRecord]) -> Membership:
        """Return what a job with these tasks does to the nodes."""
        if job.operation is Operation.CLUSTER_DELETE:
            return cls()
        made: set[int] = set()
        deleted: set[int] = set()
        for task in tasks:
            if task.action in (Action.CREATE, Action.DELETE):
                (made if task.action == Action.CREATE else deleted).add(task.node)
        return cls(
            leaving=frozenset(deleted - made),
            created=frozenset(made - deleted),
            replaced={number: parameters.addresses.get(number, {}) for number in made & deleted},
        )

    def hidden_from(self, number: int) -> frozenset[int]:
        """Return the nodes of the cluster that node ``number`` is not to know."""
        if number in self.leaving:
            return frozenset(self.given_up - {number})
        return (self.leaving | self.given_up) - {number}

    def leaving_with(self, service: str, number: int, nodes: Iterable[NodeRecord]) -> list[str]:
        """Return the host names of the leaving nodes with ``service``, for one of them; none for a node that stays."""
        if number not in self.leaving:
            return []
        return [node.host_name for node in nodes if node.number in self.leaving and service in node.services]

    def unaffected(self, task: TaskRecord, nodes: Mapping[int, NodeRecord]) -> bool:
        """Tell whether the task adapts a node to replaced ones that have turned out as they were."""
        if not self.replaced or task.node in self.replaced:
            return False
        return all(before and nodes[number].addresses == before for number, before in self.replaced.items())
