"""No decision hangs on the text of a message: of an error's, or of a line that something else logs.

What an error is, is told by its class, its code and its fields; its words are for people, and change.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("coopr_core", "coopr_cli", "flows", "blocks", "deployments")
TEXTS = {"message", "args", "msg", "reason", "strerror", "hint", "getMessage", "detail"}
"""What of an error, or of a record of a log, is words."""

ERRORS = {"error", "exc", "failure", "caught", "cause", "raised", "record"}
"""What errors and records are called where their names are not bound by ``except``."""

LOOKS = {"startswith", "endswith", "find", "rfind", "index", "count"}
MATCHES = {"search", "match", "fullmatch", "findall", "finditer"}


class _Function(ast.NodeVisitor):
    """Finds the decisions in one function, or in a module's own lines."""

    def __init__(self, named: set[str]) -> None:
        self.errors = set(named)
        self.texts: set[str] = set()
        self.found: list[int] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Leave it: it is looked at by itself."""

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.errors.add(node.name)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if self.is_text(node.value):
            self.texts |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None and self.is_text(node.value) and isinstance(node.target, ast.Name):
            self.texts.add(node.target.id)
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        if self.is_text(node.value):
            self.texts.add(node.target.id)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        others = [side for side in sides if not self.is_text(side)]
        contained = any(isinstance(op, ast.In | ast.NotIn) for op in node.ops)
        same = any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops)
        words = any(isinstance(side, ast.Constant) and side.value for side in others)
        if len(others) < len(sides) and (contained or (same and words)):
            self.found.append(node.lineno)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func
        if isinstance(called, ast.Attribute) and (
            (called.attr in LOOKS and self.is_text(called.value))
            or (called.attr in MATCHES and any(map(self.is_text, node.args)))
        ):
            self.found.append(node.lineno)
        self.generic_visit(node)

    def visit_Match(self, node: ast.Match) -> None:
        if self.is_text(node.subject):
            self.found.append(node.lineno)
        self.generic_visit(node)

    def is_error(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id in self.errors

    def is_text(self, node: ast.expr) -> bool:
        """Whether the expression is an error's words, or made of them."""
        match node:
            case ast.Name():
                return node.id in self.texts
            case ast.Attribute():
                return node.attr in TEXTS and self.is_error(node.value)
            case ast.Call(func=ast.Name(id="str" | "repr")):
                return any(self.is_error(arg) or self.is_text(arg) for arg in node.args)
            case ast.Call(func=ast.Attribute()):
                return self.is_text(node.func) or self.is_text(node.func.value)
            case ast.Subscript() | ast.NamedExpr():
                return self.is_text(node.value)
            case ast.BoolOp():
                return any(map(self.is_text, node.values))
            case ast.JoinedStr():
                return any(
                    self.is_error(part.value) or self.is_text(part.value)
                    for part in node.values
                    if isinstance(part, ast.FormattedValue)
                )
        return False


def decisions(code: str) -> list[int]:
    """The lines of a module on which something is decided by the words of an error."""
    tree = ast.parse(code)
    found: set[int] = set()
    for function in (tree, *ast.walk(tree)):
        if isinstance(function, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef):
            visitor = _Function(ERRORS)
            for statement in function.body:
                visitor.visit(statement)
            found.update(visitor.found)
    return sorted(found)


def modules() -> Iterator[Path]:
    root = Path(__file__).parents[1]
    for package in PACKAGES:
        yield from sorted((root / package).rglob("*.py"))


def test_nothing_is_decided_by_the_words_of_an_error() -> None:
    found = [f"{path}:{line}" for path in modules() for line in decisions(path.read_text())]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        'try: f()\nexcept OSError as problem:\n    if "locked" in str(problem): g()',
        'try: f()\nexcept OSError as problem:\n    text = str(problem).lower()\n    if "locked" in text: g()',
        'def f(error):\n    return error.message.startswith("no room")',
        'def f(error):\n    return re.search("busy", f"{error}")',
        'def f(error):\n    if (reason := str(error)) == "is taken": g()',
        'def f(record):\n    return record.getMessage().startswith("Finished")',
        'def f(error):\n    match str(error):\n        case "x": g()',
        'def f(error):\n    return error.args[0] == "gone"',
    ],
)
def test_such_a_decision_is_found(code: str) -> None:
    assert decisions(code) != []


@pytest.mark.parametrize(
    "code",
    [
        "def f(error):\n    return str(error) or type(error).__name__",
        'def f(error):\n    return g(error.message, hint=error.hint or "look")',
        'def f(error):\n    if error.code == "machine-gone" or error.hint == "": g()',
        'def f(text):\n    return "locked" in text',
    ],
)
def test_words_may_be_passed_on(code: str) -> None:
    assert decisions(code) == []
