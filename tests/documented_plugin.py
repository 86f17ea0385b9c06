"""Plug-ins of the docs, installed for a test as packages from outside would be."""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

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
        folder.mkdir(exist_ok=True)
        (folder / f"{self.module}.py").write_text(self.code)
        about = folder / f"{self.module}-1.0.dist-info"
        about.mkdir()
        name = self.module.replace("_", "-")
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        groups = tomllib.loads(self.toml)["project"]["entry-points"]
        lines = [
            f"[{group}]\n" + "".join(f"{n} = {at}\n" for n, at in points.items()) for group, points in groups.items()
        ]
        (about / "entry_points.txt").write_text("".join(lines))
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(sys.modules, self.module, raising=False)


def documented(section: str, module: str) -> DocumentedPlugin:
    """Return the plug-in that a section of docs/extend.md walks through."""
    text = PAGE.read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    fenced = dict(reversed(re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)))
    return DocumentedPlugin(module, fenced["toml"], fenced["python"], fenced.get("yaml", ""))
