"""Runs a service's scripts, or shell text, on a node: a service's own files need nothing but ``sh`` there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from coopr_core.automators.context import TaskContext
from coopr_core.automators.program import Program, ProgramAutomator
from coopr_core.automators.shell.action import ShellFields, interpreter, normalized, script_problems
from coopr_core.catalog.entities import Service
from coopr_core.errors import Problem


class ShellAutomator(ProgramAutomator[ShellFields]):
    """The automator of actions of type ``shell``."""

    fields_type = ShellFields
    name = "shell"

    def problems(self, action: str, service: Service, given: Mapping[str, Any], *, expanded: bool) -> Iterator[Problem]:
        """Yield what is wrong with an action's fields, with the scripts they name and the secrets in them."""
        yield from super().problems(action, service, given, expanded=expanded)
        yield from script_problems(action, service, given, expanded=expanded)

    def program(self, context: TaskContext, fields: ShellFields) -> Program:
        """Return the script with its interpreter, or the text as a file of the task."""
        if fields.command:
            path = context.folders.task_file(context.task_id, "command")
            text = fields.command + "\n"
            return Program([*interpreter("", text), path], fields.timeout, {"command": text})
        script = normalized(fields.script)
        text = next(text for path, text in context.acting.files.items() if normalized(path) == script)
        return Program([*interpreter(script, text), f"./{script}", *fields.args], fields.timeout)
