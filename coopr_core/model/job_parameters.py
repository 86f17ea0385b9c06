"""How a job runs and what its operation was asked: what any process needs, now or later, beside the job's plan.

Promise: nothing in it is secret, and what an older version of the program recorded is read too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from coopr_core.model.policies import FailurePolicy


class JobParameters(BaseModel):
    """The parameters of one job.

    ``version`` is that of the recorded form: it grows when a field changes its meaning or goes, not when one comes.
    ``policy`` says what becomes of it when a task fails; ``addresses`` are those of the nodes that it makes anew, by
    their numbers. ``keep_logs`` lets the logs outlive a cluster that it deletes; ``rebuilt_with`` are the folders of
    the catalog that another cluster is made from in its place, None when none is. ``named`` is the name that a cluster
    which it makes is to take over. ``options`` is what else the operation was called with.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    schedule: Literal["stages", "dataflow"] = "stages"
    max_concurrency: Annotated[int, Field(ge=1)] | None = None
    policy: FailurePolicy = FailurePolicy()
    named: str = ""
    keep_logs: bool = False
    rebuilt_with: tuple[str, ...] | None = None
    addresses: Mapping[int, Mapping[str, str]] = Field(default_factory=dict)
    options: Mapping[str, Any] = Field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, Any], **run: Any) -> Self:
        """Return the parameters of an operation that was called with these values; ``run`` are fields of this model."""
        rest = dict(values)
        policy = FailurePolicy.from_json(rest)
        own = {name: rest.pop(name) for name in ("keep_logs", "rebuilt_with", "addresses") if name in rest}
        options = {name: value for name, value in rest.items() if name not in policy.to_json()}
        return cls.model_validate({**run, **own, "policy": policy, "options": options})

    @classmethod
    def recorded(cls, value: Mapping[str, Any]) -> Self:
        """Return the parameters that a store kept, of this version or from before there were any."""
        if "version" in value:
            return cls.model_validate(value)
        run = {name: value[name] for name in ("schedule", "max_concurrency", "named") if value.get(name)}
        return cls.of(value.get("values") or {}, **run)

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as a store keeps them: the version, and what is not as it is by default."""
        return {"version": self.version, **self.model_dump(mode="json", exclude_defaults=True)}
