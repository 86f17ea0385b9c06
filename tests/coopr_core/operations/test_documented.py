"""The tables of docs/operations.md are those of the program."""

from __future__ import annotations

from pathlib import Path

from coopr_core.model.operations import Operation
from coopr_core.operations.registry import verbs

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"


def row(operation: Operation) -> str:
    """The line of an operation: states, actions of each of its courses, command, flow."""
    states = ", ".join(sorted(operation.rule.allowed))
    courses = "; ".join(", ".join(course.actions) for course in operation.courses)
    verb = operation.verb
    return f"| {operation} | {states} | {courses} | `coopr {verb.command}` | `{verb.flow}` |"


def test_every_operation_has_its_line() -> None:
    rows = [row(operation) for operation in Operation]
    written = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and line.count("|") == 6]
    assert written[1:] == rows, "the table should be:\n" + "\n".join(rows)


def test_what_is_asked_for_by_other_commands_has_its_line() -> None:
    asked = {operation.verb for operation in Operation}
    rows = [f"| `coopr {verb.command}` | `{verb.flow}` | {verb.summary} |" for verb in verbs() if verb not in asked]
    assert "\n".join(rows) in PAGE.read_text(), "the table should be:\n" + "\n".join(rows)
