"""Actions that are programs on the node: their files, their environment, their start and their end, in one round trip.

Promise: a program runs in its service's folder with the task's environment, nothing of it on a command line but its own
arguments, and ends with its time or its connection. What it leaves in the background keeps somewhere to write to
(``relay.sh``). A node that lacks what BOOTSTRAP brings is told apart from a program that fails. As an ordinary user on
a real machine (root folder ``/``) everything is done through ``sudo -n``.
"""

from __future__ import annotations

import re
import shlex
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from coopr_core.automators.context import TaskContext
from coopr_core.automators.contract import Automator, F, Result, acting_session
from coopr_core.automators.preparation import LOST, lost_mark, presence_check
from coopr_core.automators.task_files import task_files, writing
from coopr_core.errors import InvalidInput
from coopr_core.remote.command import CommandResult, CommandTimedOut

if TYPE_CHECKING:
    from coopr_core.remote.session import Session

OWNER_ALONE = "umask 077\n"
"""Where a node shares its machine with others, what its programs make is for their owner unless they say otherwise."""

LONGEST = 30 * 60.0
"""How many seconds a program may take unless its fields say otherwise."""

_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: the words of a command line, visible in the node's process list; ``timeout`` is in seconds.

    ``files`` are texts that the program needs besides the task's own, by the end of their names (``kind``): one is at
    ``context.folders.task_file(context.task_id, kind)``, for its owner alone.
    """

    words: Sequence[str]
    timeout: float = LONGEST
    files: Mapping[str, str] = field(default_factory=dict)


class ProgramAutomator(Automator[F]):
    """The base of an automator whose actions are programs on the node: it says which, and all else is done here."""

    on_node = True

    @abstractmethod
    def program(self, context: TaskContext, fields: F) -> Program:
        """Return the program of the task's action. Raises ``InvalidInput`` for one that cannot be run."""

    def properties(self, context: TaskContext, fields: F, done: CommandResult) -> Mapping[str, Any]:
        """Return what later tasks of the cluster are told of the node, from the last words of a program that succeeded.

        They are recorded in the store, so nothing secret is among them.
        """
        return {}

    def run(self, context: TaskContext, session: Session) -> Result:
        """Run an action's program, and wait for its end, at most for its time.

        A node that lacks what BOOTSTRAP brings, or a place for the task's files, is told as ``unprepared``. Raises
        ``InvalidInput``, before anything is connected to, for an action that cannot be run.
        """
        fields = self.fields(context)
        program = self.program(context, fields)
        script = starting(context, program)
        session = acting_session(session, context.root)
        try:
            done = session.run("exec sh -s", text=script, timeout=program.timeout)
        except CommandTimedOut as error:
            late = CommandTimedOut(
                f"{context.action.lower()} of service {context.acting.name!r} on {context.host_name} did not end "
                f"within {program.timeout:g} s and was ended",
                hint="If it needs longer, give the action a larger 'timeout' in the service's catalog entry.",
            )
            late.tail = error.tail
            raise late from error
        lost = done.exit_status == LOST and _is_lost(context, session)
        properties = {} if done.exit_status else self.properties(context, fields, done)
        return Result(done.exit_status, done.tail, properties, unprepared=lost)


def starting(context: TaskContext, program: Program) -> str:
    """Return the script that writes a task's files and becomes its program.

    Raises ``InvalidInput`` for what cannot be given to a program: a NUL character, two values that are one variable.
    """
    folders = context.folders
    tasks, start = shlex.quote(folders.tasks), folders.task_file(context.task_id, "sh")
    brought = {**task_files(context), **program.files, "sh": _start(context, program)}
    for kind, text in brought.items():
        if "\0" in text:
            what = f"{context.action.lower()} of service {context.acting.name!r}"
            raise InvalidInput(f"{what} has a NUL character in its {kind}, which cannot be given to a program")
    unwritten = f"{{ true >{shlex.quote(lost_mark(context))}; exit {LOST}; }}"
    return (
        f"[ -d {tasks} ] || (umask 022; mkdir -p {tasks} && chmod 700 {tasks})\n"
        f"( umask 077\n{writing(context, brought)}true ) || {unwritten}\n"
        f"exec sh {shlex.quote(start)} </dev/null\n"
    )


def _start(context: TaskContext, program: Program) -> str:
    folders, name = context.folders, context.acting.name
    return (
        f". {shlex.quote(folders.task_file(context.task_id, 'env'))}\n"
        f"{presence_check(context)}"
        f"{'' if context.root == '/' else OWNER_ALONE}"
        f"coopr_pipe={shlex.quote(folders.task_file(context.task_id, 'pipe'))}\n"
        f"coopr_kept={shlex.quote(folders.kept(name, context.action.lower(), context.task_id))}\n"
        f"set -- {shlex.join(program.words)}\n{_relay()}"
    )


@cache
def _relay() -> str:
    return re.sub(r"^#.*\n", "", files("coopr_core.automators").joinpath("relay.sh").read_text(), flags=re.M)


def _is_lost(context: TaskContext, session: Session) -> bool:
    """Tell whether the program did not run for lack of something; the mark of it is not there any more then."""
    tasks = shlex.quote(context.folders.tasks)
    question = f"rm {shlex.quote(lost_mark(context))} || ! {{ [ -d {tasks} ] && [ -w {tasks} ] && [ -x {tasks} ]; }}"
    return not session.run(question, timeout=_SECONDS, on_line=_silent).exit_status


def _silent(stream: str, line: str) -> None:
    """Our own bookkeeping is nothing for the task's log."""
