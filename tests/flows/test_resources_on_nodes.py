"""Resources of a cluster's services, from the catalog to its nodes, through a change of the catalog."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flow_catalog import service, write_catalog

from coopr_core.errors import CooprError
from coopr_core.store import Store

pytestmark = pytest.mark.usefixtures("fast_retries")


def test_a_cluster_has_the_resources_it_was_made_with_until_it_takes_others(
    store: Store, tmp_path: Path, clean: None
) -> None:
    from flows import create_cluster, scale_cluster, sync_cluster

    catalog = tmp_path / "catalog"
    copy = 'cp "$COOPR_RESOURCES/tool/data.bin" "$COOPR_DATA/seen"; "$COOPR_RESOURCES/tool/run"'
    write_catalog(catalog, {"app": service(configure=copy, start="true"), "plain": service(start="true")})
    described = json.loads((catalog / "services" / "app.json").read_text())
    (catalog / "services" / "app.json").write_text(json.dumps({**described, "resources": ["tool"]}))
    with pytest.raises(CooprError, match='no resource "tool"'):
        create_cluster(name="tools", template="tiny", size=1, catalog=[str(catalog)])
    assert store.called("tools") is None

    tool = catalog / "resources" / "tool"
    tool.mkdir(parents=True)
    (tool / "data.bin").write_bytes(b"\0\xff first")
    (tool / "run").write_text("#!/bin/sh\nexit 0\n")
    (tool / "run").chmod(0o755)
    assert create_cluster(name="tools", template="tiny", size=1, catalog=[str(catalog)])["state"] == "ACTIVE"
    (tool / "data.bin").write_bytes(b"\0\xff second")
    assert scale_cluster("tools", size=2)["state"] == "ACTIVE"
    assert seen(store) == [b"\0\xff first"] * 2
    assert sync_cluster("tools")["state"] == "ACTIVE"
    assert seen(store) == [b"\0\xff second"] * 2


def seen(store: Store) -> list[bytes]:
    """What the service found among its resources on each node."""
    found = []
    for node in store.nodes(store.cluster("tools").id):
        assert node.machine is not None
        library = Path(node.machine["root"]) / "var/lib/coopr"
        assert len(list((library / ".coopr" / "store").iterdir())) == 1, "no other version stays"
        found.append((library / "app" / "seen").read_bytes())
    return found
