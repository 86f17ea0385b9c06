"""Every failure a user can meet, as one short tree.

Each class has a stable ``code`` (for ``-o json``), the ``exit_code`` of the command that ends with it, a message that
names the thing and the place, a ``hint`` that says what to do next, and says with ``retry`` whether trying again helps:
whoever tries again decides by that alone.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar


class Retry(StrEnum):
    """Whether trying again helps against a failure."""

    NEVER = "never"
    """The same would only fail again: something has to be corrected first."""
    LATER = "later"
    """The same may succeed after a while; nothing is known to be lost."""
    ELSEWHERE = "elsewhere"
    """Not with this machine or in this place; another one may do."""


class CooprError(Exception):
    """Something went wrong that the user should read about in one message."""

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1
    retry: ClassVar[Retry] = Retry.LATER

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def to_json(self) -> dict[str, Any]:
        """Return the error as ``-o json`` prints it."""
        return {"error": self.code, "message": self.message, "hint": self.hint, "retry": str(self.retry)}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with what was given: where (file, line, JSON path) and what.

    ``severity`` is ``"error"`` or ``"warning"``; ``path`` is dotted with list positions in brackets
    (``constraints.layout.mustcoexist[0]``); ``line`` counts from 1, 0 when unknown.
    """

    message: str
    file: str = ""
    path: str = ""
    line: int = 0
    severity: str = "error"

    def __str__(self) -> str:
        place = self.file + (f":{self.line}" if self.file and self.line else "")
        return ": ".join(part for part in (place, self.path, self.message) if part)


MOST_ALIKE = 10
"""More problems with one and the same message have one cause; a person is shown the first of them."""

_SHOWN_ALIKE = 3


def told(problems: Sequence[Problem]) -> Iterable[tuple[str, str]]:
    """Return the problems a line each, as severity and text.

    A flood of equal ones is cut short, with how many there are.
    """
    alike = Counter((problem.severity, problem.message) for problem in problems)
    seen: Counter[tuple[str, str]] = Counter()
    for problem in problems:
        kind = (problem.severity, problem.message)
        seen[kind] += 1
        if alike[kind] <= MOST_ALIKE or seen[kind] <= _SHOWN_ALIKE:
            yield problem.severity, str(problem)
        if seen[kind] == alike[kind] > MOST_ALIKE:
            yield problem.severity, f"the same in {alike[kind] - _SHOWN_ALIKE} other places: {problem.message}"


class InvalidInput(CooprError):
    """What the user gave cannot be used; ``problems`` lists everything found wrong, not only the first."""

    code = "invalid"
    exit_code = 3
    retry = Retry.NEVER

    def __init__(self, message: str, *, hint: str = "", problems: Sequence[Problem] = ()) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  {line}" for _, line in told(self.problems))])

    def to_json(self) -> dict[str, Any]:
        """Return the error with its problems."""
        places = [
            {"severity": p.severity, "file": p.file, "line": p.line, "path": p.path, "message": p.message}
            for p in self.problems
        ]
        return {**super().to_json(), "problems": places}


class NameTaken(InvalidInput):
    """A living cluster of the tenant has the name already."""


class Unreachable(CooprError):
    """A node does not answer, or answers with the wrong host key."""

    code = "unreachable"
    exit_code = 4


class OutcomeUnknown(Unreachable):
    """The connection was lost while a command ran: it may or may not have happened."""

    code = "outcome-unknown"


class WrongHostKey(Unreachable):
    """What answers at a node's address is not the machine whose key was pinned."""

    code = "wrong-host-key"


class MachineFailed(Unreachable):
    """The provider says that a machine has failed: it will never be usable."""

    code = "machine-failed"
    retry = Retry.ELSEWHERE


class MachineGone(MachineFailed):
    """The provider says that there is no such machine (any more)."""

    code = "machine-gone"


class Throttled(CooprError):
    """A provider refuses calls for now; what was asked about is as it was.

    ``retry_after`` is how many seconds it wants to be left alone; None when it does not say.
    """

    code = "throttled"
    exit_code = 4

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class Denied(CooprError):
    """A provider does not let us do it: wrong credentials, or a right that is missing."""

    code = "denied"
    exit_code = 10
    retry = Retry.NEVER


class NoCapacity(CooprError):
    """A provider has no room for a machine in the place it was asked for.

    ``placement`` is that place: the request's own, or text that names it.
    """

    code = "no-capacity"
    exit_code = 6
    retry = Retry.ELSEWHERE

    def __init__(self, message: str, *, hint: str = "", placement: object = "") -> None:
        super().__init__(message, hint=hint)
        self.placement = placement


class TasksFailed(CooprError):
    """Tasks of a job failed and the cluster is partial."""

    code = "tasks-failed"
    exit_code = 5


class OverQuota(CooprError):
    """The request exceeds what the tenant or the provider may give."""

    code = "over-quota"
    exit_code = 6
    retry = Retry.NEVER


class TimedOut(CooprError):
    """What was waited for did not happen in time."""

    code = "timed-out"
    exit_code = 7


class NotFound(CooprError):
    """No such cluster, template, service, task or file."""

    code = "not-found"
    exit_code = 8
    retry = Retry.NEVER


class Busy(CooprError):
    """Another job is running on the cluster."""

    code = "busy"
    exit_code = 9


class Overtaken(Busy):
    """Another job was there between the preparation of an operation and its start."""


class Refused(CooprError):
    """The cluster's state or protection, or a missing confirmation, forbids it."""

    code = "refused"
    exit_code = 10
    retry = Retry.NEVER


class Interrupted(CooprError):
    """Stopped by the user; the state is saved."""

    code = "interrupted"
    exit_code = 130
    retry = Retry.NEVER


class DiskFull(CooprError):
    """There is no room to write what must be written."""

    code = "disk-full"


def no_room(error: OSError) -> DiskFull | None:
    """Return the failure for a file that could not be written because the disk is full; None for any other reason."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    what = f": {error.filename} cannot be written" if error.filename else ""
    return DiskFull(f"The disk is full{what}", hint="make room, then try again; `df` shows which disk it is")


def unwritable(error: OSError) -> CooprError | None:
    """Return the failure for a file that cannot be used because of where it is; None for a failure of another kind."""
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        name = error.filename or "a file"
        return CooprError(f"{name} cannot be used: {error.strerror}", hint="`coopr doctor` says more")
    return no_room(error)
