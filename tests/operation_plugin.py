"""The operation of the docs, installed for a test as a package from outside would be: one file, and one entry point."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MODULE = "coopr_reload"

PAGE = (Path(__file__).parents[1] / "docs" / "extend.md").read_text().partition("## An operation")[2]
TOML, CODE = re.findall(r"```(?:toml|python)\n(.*?)```", PAGE, re.DOTALL)[:2]
"""The entry point and the module, as the docs show them."""


@contextmanager
def installed_reload(folder: Path) -> Iterator[Path]:
    """Install the operation ``RELOAD_SERVICES`` as pip would; gives its module's file."""
    import flows
    from coopr_core.model.operations import Operation

    folder.mkdir()
    (folder / f"{MODULE}.py").write_text(CODE)
    about = folder / "coopr_reload-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: coopr-reload\nVersion: 1.0\n")
    (points,) = tomllib.loads(TOML)["project"]["entry-points"].items()
    text = f"[{points[0]}]\n" + "".join(f"{name} = {place}\n" for name, place in points[1].items())
    (about / "entry_points.txt").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", str(folder))
        yield folder / f"{MODULE}.py"
    sys.modules.pop(MODULE, None)
    vars(flows).pop("reload_services", None)
    Operation._value2member_map_.pop("RELOAD_SERVICES", None)
