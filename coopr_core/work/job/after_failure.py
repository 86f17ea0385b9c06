"""What a job does about nodes that could not be made: it goes on without them, or deletes all it has made.

Promise: what is deleted is named; what cannot be deleted is named too, and then the job can still be retried, because
tasks wait again before what they did is undone. Machines are deleted a few at a time. Never imports Prefect.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coopr_core.errors import CooprError
from coopr_core.model.policies import FailurePolicy
from coopr_core.model.records import JobRecord, TaskRecord
from coopr_core.work.patience import patiently

if TYPE_CHECKING:
    from coopr_core.store import Store
    from coopr_core.work.actions import Actions

AT_ONCE = 8


@dataclass
class AfterFailure:
    """The failure policy of one job, and what it has led to."""

    store: Store
    job: JobRecord
    actions: Actions
    policy: FailurePolicy
    rolled_back: bool = False
    """Whether everything the job made is gone."""
    removed: list[str] = field(default_factory=list)
    """The nodes whose machines were deleted, by host name."""
    left: list[str] = field(default_factory=list)
    """Those that could not be deleted, and why."""

    def tolerates(self, task: TaskRecord) -> bool:
        """Give up the failed task's node if the policy allows that, and tell whether it does."""
        if self.policy.on_failure != "continue" or not self.actions.picture.may_lose(task.node, self.policy.min_nodes):
            return False
        self.actions.picture.leave_out(task.node)
        return True

    def clear_up(self) -> str:
        """Delete what there is of the nodes that were given up, and return in words what was done."""
        self._discard(self.actions.picture.membership.given_up)
        return self._told("went on without")

    def roll_back(self) -> str:
        """Delete all nodes that the job made; return in words what was done, "" when that was not asked for."""
        made = self.actions.picture.membership.created
        if self.policy.on_failure != "rollback" or not made:
            return ""
        self._discard(made)
        if not self.left and made >= set(self.actions.picture.nodes):
            try:
                self.actions.machines.delete_strays()
            except CooprError as error:
                self.left.append(f"what belongs to the whole cluster: {error}")
        self.rolled_back = not self.left
        return self._told("rolled back: deleted")

    def _discard(self, numbers: Iterable[int]) -> None:
        wanted = sorted(numbers)
        names = {number: self.actions.picture.node(number).host_name for number in wanted}

        def discard(number: int) -> str:
            try:
                self.store.undo_tasks(self.job.id, number)
                patiently(lambda: self.actions.machines.discard(number))
            except CooprError as error:
                return f"{names[number]}: {error}"
            return ""

        with ThreadPoolExecutor(AT_ONCE) as threads:
            for number, problem in zip(wanted, threads.map(discard, wanted), strict=True):
                if problem:
                    self.left.append(problem)
                else:
                    self.removed.append(names[number])

    def _told(self, what: str) -> str:
        lines = [f"{what} {', '.join(self.removed)}"] if self.removed else []
        lines += [f"could not be deleted: {problem}" for problem in self.left]
        return "; ".join(lines)
