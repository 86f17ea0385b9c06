"""What pyproject.toml declares and what the packages import are the same."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parent.parent
PACKAGES = ("coopr_core", "coopr_cli", "flows", "blocks", "deployments")
NOT_IMPORTED = {
    "psycopg": "SQLAlchemy's driver for PostgreSQL, named in the database's URL",
    "apache-libcloud": "what the providers of clouds are made of, which come as plug-ins",
}
"""Declared without being imported by our packages, and why."""

RUN_AS_PROGRAMS = {"ansible-core", "pytest-timeout", "ruff", "import-linter", "coopr-prefect"}
"""What the tests and the gate need without importing it."""

pytestmark = pytest.mark.skipif(not (CHECKOUT / "pyproject.toml").exists(), reason="needs the checkout")


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    declared = set(map(distribution, project()["dependencies"]))
    imported = {name for path in sources(*PACKAGES) for name in distributions_of(path)}
    assert imported - declared == set()
    assert declared - imported == set(NOT_IMPORTED)


def test_what_the_tests_and_benchmarks_import_is_declared() -> None:
    extras = project()["optional-dependencies"]
    declared = set(map(distribution, [*project()["dependencies"], *extras["test"], *extras["dev"]]))
    imported = {name for path in sources("tests", "benchmarks") for name in distributions_of(path)}
    assert imported - declared == set()
    unused = {name for name in map(distribution, [*extras["test"], *extras["dev"]]) if not name.startswith("types-")}
    assert unused - imported == RUN_AS_PROGRAMS | {"mypy"}


@cache
def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def distribution(requirement: str) -> str:
    """The name of what a requirement asks for, in the form that is compared."""
    return normal(re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0])


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def sources(*folders: str) -> Iterator[Path]:
    """The Python files below the folders; scripts that run on nodes bring what they need themselves."""
    for folder in folders:
        yield from (path for path in (CHECKOUT / folder).rglob("*.py") if "builtin/services" not in path.as_posix())


def distributions_of(path: Path) -> Iterable[str]:
    """The distributions that a file's imports are from; ours, the standard library's and the tests' own are none."""
    for name in modules(ast.parse(path.read_text(encoding="utf-8"))):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in PACKAGES or top in helpers():
            continue
        assert top in installed(), f"{path}: {name} is not installed"
        yield normal(installed()[top][0])


@cache
def installed() -> Mapping[str, Sequence[str]]:
    """The distributions that bring each importable name."""
    return packages_distributions()


@cache
def helpers() -> set[str]:
    """The modules that tests and scripts on nodes import from files beside them."""
    return {path.stem for path in sources("tests", "benchmarks")} | {"coopr_node"}


def modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
