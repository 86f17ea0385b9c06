"""The automator plug-in of the docs, installed for a test as a package from outside would be."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "extend.md").read_text().partition("## An automator")[2]
TOML, CODE, SERVICE = re.findall(r"```(?:toml|python|yaml)\n(.*?)```", PAGE, re.DOTALL)[:3]
"""The entry point, the module and a service that uses it, as the docs show them."""


def install_awk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the automator ``awk`` as pip would."""
    (folder / "coopr_awk.py").write_text(CODE)
    about = folder / "coopr_awk-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: coopr-awk\nVersion: 1.0\n")
    points = tomllib.loads(TOML)["project"]["entry-points"]
    text = "".join(f"[{group}]\n" + "".join(f"{n} = {at}\n" for n, at in p.items()) for group, p in points.items())
    (about / "entry_points.txt").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "coopr_awk", raising=False)
