"""Packages from outside, installed for one test."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest


def install_package(
    folder: Path,
    name: str,
    points: Mapping[str, Mapping[str, str]],
    patch: pytest.MonkeyPatch,
    *,
    modules: Mapping[str, str] | None = None,
) -> None:
    """Install a package into a folder as pip would: its entry points by their groups, its modules with their code."""
    about = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [line for group, named in points.items() for line in (f"[{group}]", *map(" = ".join, named.items()))]
    (about / "entry_points.txt").write_text("\n".join(lines))
    for module, code in (modules or {}).items():
        (folder / f"{module}.py").write_text(code)
        patch.delitem(sys.modules, module, raising=False)
    patch.syspath_prepend(str(folder))
