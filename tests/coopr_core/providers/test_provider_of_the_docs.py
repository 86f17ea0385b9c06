"""The provider plug-in of the docs, installed as a package from outside would be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from documented_plugin import documented

from coopr_core.errors import InvalidInput, MachineGone, NoCapacity
from coopr_core.model.placement import Placement
from coopr_core.providers import load_cloud, node_options_type, settings_type
from coopr_core.providers.contract import MachineRequest
from coopr_core.providers.scope import Scope

PLUGIN = documented("A provider", "coopr_rack")


@pytest.fixture
def rack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    PLUGIN.install(tmp_path / "site", monkeypatch)
    rack = tmp_path / "rack"
    rack.mkdir()
    for number, name in enumerate(("a1", "a2", "b1")):
        server = {"address": f"192.0.2.{number + 1}", "user": "admin", "host_key": "ssh-ed25519 AAAA"}
        (rack / f"{name}.json").write_text(json.dumps(server))
    return rack


def test_it_makes_finds_and_gives_back_machines(rack: Path) -> None:
    cloud = load_cloud("rack", {"folder": str(rack)})
    scope = Scope("1234abcd", "00000001", "shop", "ssh-ed25519 AAAA")

    def request(number: int, row: str) -> MachineRequest:
        return MachineRequest(f"t{number}", scope, number, f"n{number}", Placement("rack", options={"row": row}))

    first, second = (cloud.create(request(number, "a")) for number in (1000, 1001))
    assert [machine.provider_id for machine in (first, second)] == ["a1", "a2"]
    assert cloud.create(request(1000, "a")) == first
    with pytest.raises(NoCapacity, match="every server is taken"):
        cloud.create(request(1002, "a"))
    assert cloud.create(request(1002, "b")).addresses["access_v4"] == "192.0.2.3"
    assert len(cloud.find(scope).machines) == 3
    assert cloud.find(Scope("other", "00000001")).machines == ()
    cloud.delete(first)
    cloud.delete(first)
    assert [machine.provider_id for machine in cloud.find(scope).machines] == ["a2", "b1"]
    with pytest.raises(MachineGone):
        cloud.confirm(first)


def test_its_fields_are_everybodys(rack: Path) -> None:
    assert [field.label for field in settings_type("rack").fields()] == ["Folder"]
    assert node_options_type("rack").flaws({"raw": "a"})[0][0] == "raw"
    with pytest.raises(InvalidInput, match="folder"):
        load_cloud("rack", {})
