"""The operation of the docs, installed for a test as a package from outside would be: one file, and one entry point."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from documented_plugin import documented

MODULE = "coopr_reload"

PLUGIN = documented("An operation", MODULE)


@contextmanager
def installed_reload(folder: Path) -> Iterator[Path]:
    """Install the operation ``RELOAD_SERVICES`` as pip would; gives its module's file."""
    import flows
    from coopr_core.model.operations import Operation

    with pytest.MonkeyPatch.context() as patch:
        PLUGIN.install(folder, patch)
        patch.setenv("PYTHONPATH", str(folder))
        yield folder / f"{MODULE}.py"
    sys.modules.pop(MODULE, None)
    vars(flows).pop("reload_services", None)
    Operation._value2member_map_.pop("RELOAD_SERVICES", None)
