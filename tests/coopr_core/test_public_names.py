"""The names the README teaches are those of the package, and are imported only when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import coopr_core


@pytest.mark.parametrize("name", coopr_core.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(coopr_core, name) is not None
    assert name in dir(coopr_core)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = coopr_core.nothing


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, coopr_core; print([name for name in sys.modules if name.startswith('coopr_core.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
