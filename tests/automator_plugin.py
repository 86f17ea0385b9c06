"""The automator plug-in of the docs, installed for a test as a package from outside would be."""

from __future__ import annotations

from pathlib import Path

import pytest
from documented_plugin import documented

PLUGIN = documented("An automator", "coopr_awk")
CODE, SERVICE = PLUGIN.code, PLUGIN.yaml
"""The module and a service that uses it, as the docs show them."""


def install_awk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the automator ``awk`` as pip would."""
    PLUGIN.install(folder, monkeypatch)
