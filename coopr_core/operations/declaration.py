"""What people can ask for, as one object: how it is prepared, what the command asks before, and how its job ends.

Promise: flow, deployment and command are derived from it. The parameters of ``prepare`` after store and cluster, with
their types, defaults and descriptions (``Args:`` of its docstring), are those of the flow's form and of the command.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import Field

from coopr_core.model.operations import Operation, Verb, operations

if TYPE_CHECKING:
    from coopr_core.model.job_parameters import JobParameters
    from coopr_core.model.records import ClusterRecord
    from coopr_core.operations.confirmation import Prepared
    from coopr_core.store import Store

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""Types of parameters that several have."""

_ENTRY = re.compile(r"^ {4}(\w+): (.*)$")


class Strays(Protocol):
    """What finds machines by their tag."""

    def delete_strays(self) -> object:
        """Delete the cluster's machines that the store lost sight of."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What the last step of a job works with: ``machines`` knows the provider, ``forget_secrets`` where secrets are."""

    store: Store
    cluster: ClusterRecord
    parameters: JobParameters
    machines: Strays
    forget_secrets: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Declaration:
    """What people can ask for.

    ``prepare`` takes the store and a cluster's name or id, then parameters, and finds out what would be done; it raises
    what keeps it from being done. ``question`` is what the command asks before, about ``{cluster}``; nothing when it is
    empty. ``finish`` runs when every task of a job has succeeded, before the job counts as done; it may run again after
    a crash. ``runs_job`` False: nothing is run, so there is no saying how. ``one_job`` False: it has several jobs, and
    finds out itself how far it came when it is run again.
    """

    verb: Verb
    prepare: Callable[..., Prepared]
    question: str = ""
    finish: Callable[[Ending], None] | None = None
    runs_job: bool = True
    one_job: bool = True

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations that are asked for so."""
        return tuple(operation for operation in operations() if operation.verb == self.verb)

    @property
    def summary(self) -> str:
        """What the flow does, in one line."""
        return (inspect.getdoc(self.prepare) or "").partition("\n")[0]

    @property
    def parameters(self) -> tuple[inspect.Parameter, ...]:
        """The parameters beside store and cluster, their types evaluated."""
        return tuple(inspect.signature(self.prepare, eval_str=True).parameters.values())[2:]

    @property
    def descriptions(self) -> dict[str, str]:
        """What each parameter means, by its name."""
        _, _, text = (inspect.getdoc(self.prepare) or "").partition("\nArgs:\n")
        found: dict[str, str] = {}
        name = ""
        for line in text.splitlines():
            if not line.startswith("    "):
                break
            if entry := _ENTRY.match(line):
                name, found[entry[1]] = entry[1], entry[2]
            elif name:
                found[name] += f" {line.strip()}"
        return found
