"""What a person was shown of an operation, part by part, and whether a flow would do anything else.

Promise: what is prepared has a digest that names every part it was made from; a flow that is given the digest of what
was confirmed and prepares anything else refuses, and says which parts differ. The digest is text that travels as a
parameter; it holds fingerprints and a few words for people, never config. Never imports Prefect.
"""

from __future__ import annotations

import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from coopr_core.errors import InvalidInput, NotFound, OverQuota, Overtaken, Refused
from coopr_core.settings import load_settings

if TYPE_CHECKING:
    from coopr_core.model.records import ClusterRecord, NewestJob
    from coopr_core.planner import Plan

MARK = "coopr-confirmed-1:"
"""How a digest begins: what it is, and the version of its form."""

LENGTH = 16
"""So many hexadecimal digits of a fingerprint tell two versions of one part apart."""

MATTERING = ("attempts", "max_concurrency", "schedule")
"""The settings that say how a job runs."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part as it was at one time; ``shown`` are the words a person knows it by, empty where there are none."""

    fingerprint: str
    shown: str = ""

    @classmethod
    def of(cls, value: object, shown: str = "") -> Self:
        """Return the part that is ``value`` now: layouts, entities, plans, records, plain JSON values."""
        from coopr_core.planner import fingerprint

        return cls(fingerprint(value)[:LENGTH], shown)

    @classmethod
    def of_plan(cls, plan: Plan) -> Self:
        """Return the part of a plan, which people know by what it adds, changes and destroys."""
        add, change, destroy = plan.changes
        return cls.of(plan, f"{add} to add, {change} to change, {destroy} to destroy; {len(plan)} tasks")

    @classmethod
    def of_cluster(cls, cluster: ClusterRecord) -> Self:
        """Return the part of a cluster, which is its id, whatever it is called."""
        return cls.of(cluster.id, f"{cluster.name} ({cluster.id})")


Parts = Mapping[str, Part]
"""The parts of something prepared, by the names people know them by."""


def cluster_parts(cluster: ClusterRecord, newest: NewestJob) -> dict[str, Part]:
    """Return a cluster, and how its newest job stands, as parts."""
    return {"the cluster": Part.of_cluster(cluster), "the newest job": Part.of(newest, str(newest))}


class Prepared(ABC):
    """Something that may start; its digest is what a person confirms of it."""

    __slots__ = ()

    @property
    @abstractmethod
    def subject(self) -> str:
        """What it is about, as people are told: ``cluster t7 (00000007)``."""

    @property
    @abstractmethod
    def parts(self) -> Parts:
        """Everything that decides what would be done."""

    @property
    def digest(self) -> str:
        """The parts as text; a flow takes it as ``confirmed``."""
        return MARK + json.dumps(to_json(self.parts), ensure_ascii=True, separators=(",", ":"), sort_keys=True)

    def check(self, confirmed: str) -> None:
        """Raise ``Refused`` naming what is not as it was ``confirmed``; nothing was, when that is empty."""
        if confirmed:
            refuse_other(
                f"what would be done to {self.subject} is not what was confirmed; nothing was done",
                _read(confirmed),
                self.parts,
                hint="look at it again, and confirm that",
            )


def refuse_other(message: str, before: Parts, now: Parts, *, hint: str) -> None:
    """Raise ``Refused`` with a line for each part that is not as it was."""
    lines = [
        f"  {name}: {_change(before.get(name), now.get(name))}"
        for name in sorted(before.keys() | now.keys())
        if _mark(before.get(name)) != _mark(now.get(name))
    ]
    if lines:
        raise Refused("\n".join([message, *lines]), hint=hint)


@contextlib.contextmanager
def as_confirmed(confirmed: str) -> Iterator[None]:
    """While something that was ``confirmed`` is prepared again and recorded: that it cannot be any more is a refusal.

    It could be when it was confirmed, so the world is another one since.
    """
    from coopr_core.solver import Unsatisfiable

    if confirmed:
        _read(confirmed)
    try:
        yield
    except (InvalidInput, NotFound, OverQuota, Overtaken, Unsatisfiable) as error:
        if not confirmed:
            raise
        raise Refused(f"what was confirmed cannot be done any more: {error}", hint=error.hint) from error


def mattering_settings() -> dict[str, Any]:
    """Return the settings that say how a job runs, as they are now."""
    settings = load_settings()
    return {name: getattr(settings, name) for name in MATTERING}


def setting_parts(settings: Mapping[str, Any]) -> dict[str, Part]:
    """Return settings as parts."""
    return {f"the setting {name}": Part.of(value, str(value)) for name, value in settings.items()}


def to_json(parts: Parts) -> dict[str, list[str]]:
    """Return parts as JSON values."""
    return {name: [part.fingerprint, *([part.shown] if part.shown else [])] for name, part in parts.items()}


def from_json(value: object) -> Parts:
    """Return the parts that ``to_json`` wrote. Raises ``ValueError`` when it did not."""
    if not isinstance(value, dict):
        raise ValueError("no parts")
    for part in value.values():
        if not (isinstance(part, list) and 1 <= len(part) <= 2 and all(isinstance(text, str) for text in part)):
            raise ValueError("no part")
    return {name: Part(*part) for name, part in value.items()}


def _read(confirmed: str) -> Parts:
    try:
        if not confirmed.startswith(MARK):
            raise ValueError("no digest")
        return from_json(json.loads(confirmed.removeprefix(MARK)))
    except (ValueError, RecursionError):
        raise Refused(
            "what is given as confirmed is not the digest of anything that was shown; nothing was done",
            hint="give the digest of what was shown, or leave it out",
        ) from None


def _mark(part: Part | None) -> str | None:
    return part.fingerprint if part else None


def _change(before: Part | None, now: Part | None) -> str:
    if before is None or now is None:
        return "has come up since" if before is None else "is not there any more"
    if before.shown == now.shown:
        return "is another one now" if not now.shown else f"{now.shown}, but not the same any more"
    return f"{before.shown or 'another one'} was confirmed, it would be {now.shown or 'another one'}"
