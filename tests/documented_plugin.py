"""Plug-ins of the docs, installed for a test as packages from outside would be."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from installed_package import install_package

PAGE = Path(__file__).parents[1] / "docs" / "extend.md"


@dataclass(frozen=True)
class DocumentedPlugin:
    """The fenced texts of one section: the entry points, the module, and what uses it."""

    module: str
    toml: str
    code: str
    yaml: str

    def install(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Install it as pip would."""
        points = tomllib.loads(self.toml)["project"]["entry-points"]
        name = self.module.replace("_", "-")
        install_package(folder, name, points, monkeypatch, modules={self.module: self.code})


def documented(section: str, module: str) -> DocumentedPlugin:
    """Return the plug-in that a section of docs/extend.md walks through."""
    text = PAGE.read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    fenced = dict(reversed(re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)))
    return DocumentedPlugin(module, fenced["toml"], fenced["python"], fenced.get("yaml", ""))
