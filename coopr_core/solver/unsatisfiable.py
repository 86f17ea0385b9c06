"""The refusal of a request no layout can satisfy: which constraints clash, and what would work instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from coopr_core.errors import CooprError, Retry

SHOWN = 6
"""How many single changes a message lists; ``to_json`` has them all."""


@dataclass(frozen=True, slots=True)
class Clash:
    """One constraint of a minimal clashing set, as the user wrote it.

    ``source`` is ``template NAME`` or ``request``, ``path`` and ``value`` what is written there:
    ``template hadoop-distributed: services.hadoop-hdfs-datanode.quantities.min = 2``. ``note`` says what follows from
    it where that is not plain.
    """

    source: str
    path: str
    value: Any
    note: str = ""

    def __str__(self) -> str:
        return f"{self.source}: {self.path} = {written(self.value)}" + (f" ({self.note})" if self.note else "")

    def to_json(self) -> dict[str, Any]:
        """Return the constraint with its text."""
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"source": self.source, "path": self.path, "value": value, "text": str(self)}


@dataclass(frozen=True, slots=True)
class Relaxation:
    """One change that, alone, makes a layout possible: the constraint and what to write in its place.

    ``value`` None means "leave it out"; the constraint's own value is None where nothing is written yet.
    """

    constraint: Clash
    value: Any = None

    def __str__(self) -> str:
        where = f"{self.constraint.source}: {self.constraint.path}"
        if self.value is None:
            return f"{where} = {written(self.constraint.value)} left out"
        if self.constraint.value is None:
            return f"{where} = {written(self.value)}"
        return f"{where} = {written(self.value)} instead of {written(self.constraint.value)}"

    def to_json(self) -> dict[str, Any]:
        """Return the change with its text."""
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"constraint": self.constraint.to_json(), "value": value, "text": str(self)}


@dataclass(frozen=True, slots=True)
class Span:
    """All the sizes that work: ``first`` and every larger one up to ``last``, or without an end when that is None."""

    first: int
    last: int | None = None

    def __str__(self) -> str:
        if self.last is None:
            return f"{self.first} or more"
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


class Unsatisfiable(CooprError):
    """No layout satisfies the request.

    ``clash`` is minimal: without any one of its constraints the others could be satisfied. ``sizes`` are the nearest
    numbers of nodes that work with everything else kept, ``span`` all of them where they have no gaps,
    ``relaxations`` single changes that work.
    """

    code: ClassVar[str] = "unsatisfiable"
    exit_code: ClassVar[int] = 6
    retry: ClassVar[Retry] = Retry.NEVER

    def __init__(
        self,
        message: str,
        *,
        clash: Sequence[Clash] = (),
        sizes: Sequence[int] = (),
        span: Span | None = None,
        relaxations: Sequence[Relaxation] = (),
        reason: str = "",
    ) -> None:
        self.clash = tuple(clash)
        self.sizes = tuple(sizes)
        self.span = span
        self.relaxations = tuple(relaxations)
        self.reason = reason
        super().__init__(message, hint=self._ways_out())

    def _ways_out(self) -> str:
        ways = ["ask for a size that works"] if self.sizes else []
        ways += ["make one of the changes"] if self.relaxations else []
        return " or ".join(ways) or "no other size and no single change helps: relax several of these constraints"

    @property
    def sizes_text(self) -> str:
        """The sizes that work, as truly as they are known; "" when none is."""
        if self.span is not None:
            return f"Sizes that work: {self.span}"
        return f"Nearest sizes that work: {', '.join(map(str, self.sizes))}" if self.sizes else ""

    def _changes(self) -> list[str]:
        shown = [str(relaxation) for relaxation in self.relaxations[:SHOWN]]
        more = len(self.relaxations) - len(shown)
        return [*shown, f"{more} more like these"] if more else shown

    def __str__(self) -> str:
        lines = [self.message, *(f"  {constraint}" for constraint in self.clash)]
        if self.reason:
            lines.append(f"  {self.reason}")
        if self.sizes_text:
            lines.append(self.sizes_text)
        if self.relaxations:
            lines.append("Single changes that work:")
            lines += [f"  {change}" for change in self._changes()]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the error with its clashing constraints and the ways out."""
        return {
            **super().to_json(),
            "reason": self.reason,
            "clash": [constraint.to_json() for constraint in self.clash],
            "sizes": list(self.sizes),
            "span": None if self.span is None else {"first": self.span.first, "last": self.span.last},
            "relaxations": [relaxation.to_json() for relaxation in self.relaxations],
        }


def written(value: Any) -> str:
    """Return a value as it stands in a catalog file."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    return str(value)
