"""What is attached to clusters that are gone is found by its tags, named, and released."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from installed_package import install_package
from memory_cloud import MemoryCloud
from store_samples import new_cluster

from coopr_core.maintenance.leftovers import delete_leftovers, find_leftovers
from coopr_core.providers.scope import Attached
from coopr_core.store import Store


class Shared(MemoryCloud):
    """Everybody's account."""

    things: ClassVar[dict[tuple[str, str], Attached]] = {}

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(settings)
        self.attached = self.things


def test_a_key_pair_of_a_cluster_that_is_gone_is_a_leftover_and_that_of_a_living_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {"coopr.providers": {"shared": "test_attached_leftovers:Shared"}}
    install_package(tmp_path / "site", "shared-cloud", points, monkeypatch)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import test_attached_leftovers

    kind = test_attached_leftovers.Shared
    providers = tmp_path / "catalog" / "providers"
    providers.mkdir(parents=True)
    (providers / "shared.json").write_text(json.dumps({"name": "shared", "providertype": "shared"}))
    monkeypatch.setenv("COOPR_CATALOG", str(tmp_path / "catalog"))
    monkeypatch.setenv("COOPR_STATE_DIR", str(tmp_path / "state"))
    with Store.open(f"sqlite:///{tmp_path / 'coopr.db'}") as store:
        living = new_cluster(store)
        things = [Attached("key-pair", f"coopr-{id}", "kp", cluster_id=id) for id in (living.id, "00009999")]
        monkeypatch.setattr(kind, "things", {(thing.kind, thing.name): thing for thing in things})
        found = [item for item in find_leftovers(store, None).items if item.kind == "attached"]
        assert [(item.name, item.why) for item in found] == [("key-pair coopr-00009999", "cluster 00009999 is unknown")]
        assert list(delete_leftovers(store, found, None).values()) == [""]
        assert list(kind.things.values()) == things[:1]
