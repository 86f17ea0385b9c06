"""How a job may run, and what becomes of it when one of its tasks has failed for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from coopr_core.errors import InvalidInput

OnFailure = Literal["hold", "rollback", "continue"]


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """The policy of one job.

    ``hold`` leaves everything as it is, to be looked at and retried. ``rollback`` deletes the machines the job made.
    ``continue`` gives up a node the job is making when a task on it has failed, as long as ``min_nodes`` nodes of its
    layout (those with the same services) are left.
    """

    on_failure: OnFailure = "hold"
    min_nodes: int = 1

    @classmethod
    def of(cls, on_failure: OnFailure = "hold", min_nodes: int | None = None) -> FailurePolicy:
        """Return the policy asked for. Raises ``InvalidInput`` for a number of nodes that means nothing."""
        if min_nodes is not None and on_failure != "continue":
            raise InvalidInput(
                f"--min-nodes says how many nodes are enough to continue, not to {on_failure}",
                hint="add --on-failure continue",
            )
        if min_nodes is not None and min_nodes < 1:
            raise InvalidInput(f"--min-nodes {min_nodes}: at least 1 node of a layout must be left")
        return cls(on_failure, min_nodes or 1)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> FailurePolicy:
        """Return what ``to_json`` made; the default where it is not there."""
        return cls(values.get("on_failure", "hold"), int(values.get("min_nodes", 1)))

    def to_json(self) -> dict[str, Any]:
        """Return the policy as a job remembers it."""
        return {"on_failure": self.on_failure, "min_nodes": self.min_nodes}
