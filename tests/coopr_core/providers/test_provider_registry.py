"""Providers are found by the name of their entry point."""

from __future__ import annotations

import subprocess
import sys

import pytest

from coopr_core.errors import InvalidInput, NotFound
from coopr_core.providers import load_provider, provider_types, settings_type
from coopr_core.providers.local import LocalProvider


def test_the_local_provider_is_found_by_its_type(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COOPR_STATE_DIR", str(tmp_path))
    assert isinstance(load_provider("local", {"port": 2300}), LocalProvider)
    assert "local" in provider_types()
    assert settings_type("local") is LocalProvider.settings_type


def test_an_unknown_type_is_not_found_and_the_known_ones_are_named() -> None:
    with pytest.raises(NotFound, match=r"no provider type 'loca'; installed are: .*local") as caught:
        load_provider("loca")
    assert "'local'" in caught.value.hint


def test_settings_that_cannot_be_used_are_invalid_input() -> None:
    with pytest.raises(InvalidInput, match="colour"):
        load_provider("local", {"colour": "red"})


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = "import sys, coopr_core.providers; print(sorted({'asyncssh', 'paramiko', 'psutil'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"
