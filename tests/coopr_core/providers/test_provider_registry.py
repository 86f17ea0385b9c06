"""Providers are found by the name of their entry point."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from installed_package import install_package

from coopr_core.errors import CooprError, InvalidInput, NotFound
from coopr_core.providers import load_cloud, load_provider, provider_types, settings_type
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


OLD = """
from coopr_core.providers.settings import ProviderSettings


class OldProvider:
    settings_type = ProviderSettings

    def __init__(self, settings=None):
        pass

    def create(self, request):
        pass

    def confirm(self, machine):
        pass

    def delete(self, machine):
        pass

    def find(self, cluster_id):
        return []
"""


def test_a_plug_in_of_another_contract_is_refused_with_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {"coopr.providers": {"old": "old_provider_plugin:OldProvider"}}
    install_package(tmp_path, "old-provider", points, monkeypatch, modules={"old_provider_plugin": OLD})
    with pytest.raises(
        CooprError, match=r"'old' \(old_provider_plugin:OldProvider\) lacks options_type.*describe"
    ) as caught:
        load_provider("old")
    assert "coopr_core.providers.simple" in caught.value.hint


def test_one_account_is_one_cloud_for_all_who_have_it_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COOPR_STATE_DIR", str(tmp_path))
    first = load_cloud("local", {"port": 2300})
    assert load_cloud("local", {"port": 2300}) is first
    assert load_cloud("local", {"port": 2301}) is not first
    known = id(first.rate)
    assert id(load_cloud("local", {"port": 2300}).rate) == known


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = "import sys, coopr_core.providers; print(sorted({'asyncssh', 'paramiko', 'psutil'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"
