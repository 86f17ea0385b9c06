"""The tables of docs/operations.md are those of the program."""

from __future__ import annotations

from pathlib import Path

from operation_plugin import installed_reload

from coopr_core.model.operations import Operation, operation_named, operations
from coopr_core.operations.registry import declaration, verbs

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


def test_the_example_of_an_operation_is_one(tmp_path: Path) -> None:
    code = PAGE.read_text().partition("```python\n")[2].partition("```")[0]
    with installed_reload(tmp_path / "site", code):
        reload = operation_named("RELOAD_SERVICES")
        assert reload in operations()
        declared = declaration(reload.verb)
        assert declared.operations == (reload,)
        assert declared.descriptions == {"services": "The services to reload; all of them when left out."}
        assert declared.question == "Reload services of cluster {cluster}"
