"""A node that lost what BOOTSTRAP brought gets it again, in whichever operation that is noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from flow_catalog import service, write_catalog

from coopr_core.errors import TasksFailed
from coopr_core.model.records import NodeRecord
from coopr_core.store import Store

pytestmark = pytest.mark.usefixtures("fast_retries")


def root_of(node: NodeRecord) -> Path:
    assert node.machine is not None
    return Path(node.machine["root"])


def tasks(store: Store, name: str) -> dict[str, tuple[str, int]]:
    found = store.tasks(store.cluster(name).last_job or "")
    return {task.action: (task.state.value, task.attempts) for task in found}


@pytest.mark.parametrize(
    "install",
    [
        'rm -rf "$COOPR_ROOT"/*; echo wiped',
        'chmod 000 "$COOPR_ROOT/var/cache/coopr"',
    ],
)
def test_an_action_that_takes_away_what_the_next_one_needs_does_not_stop_a_create(
    store: Store, tmp_path: Path, clean: None, install: str
) -> None:
    from flows import create_cluster

    catalog = write_catalog(tmp_path / "catalog", {"app": service(install=install, start="echo alive")})
    assert create_cluster(name="wiped", template="tiny", size=1, catalog=[catalog])["state"] == "ACTIVE"
    assert tasks(store, "wiped")["START"] == ("SUCCEEDED", 1)


def test_retry_health_and_leaving_find_their_files_again(store: Store, tmp_path: Path, clean: None) -> None:
    from flows import check_drift, create_cluster, retry_cluster, scale_cluster, stop_services

    start = 'test -e "$COOPR_ROOT/flag"'
    commands = {"start": start, "stop": "echo stopped", "health": "true", "remove": "true"}
    catalog = write_catalog(tmp_path / "catalog", {"app": service(**commands)})
    with pytest.raises(TasksFailed):
        create_cluster(name="lost", template="tiny", size=2, catalog=[catalog])
    cluster = store.cluster("lost")
    nodes = [root_of(node) / "var/lib/coopr" for node in store.nodes(cluster.id)]

    def lose() -> None:
        for folder in nodes:
            shutil.rmtree(folder, ignore_errors=True)

    for node in store.nodes(cluster.id):
        (root_of(node) / "flag").touch()
    lose()
    assert retry_cluster("lost")["state"] == "ACTIVE"
    lose()
    assert check_drift("lost")["drift"] is False
    lose()
    assert scale_cluster("lost", size=1)["state"] == "ACTIVE"
    assert tasks(store, "lost")["STOP"] == ("SUCCEEDED", 1)
    lose()
    assert stop_services("lost")["state"] == "ACTIVE"


def test_what_cannot_be_brought_again_is_told_with_what_helps(store: Store, tmp_path: Path, clean: None) -> None:
    from flows import create_cluster

    spoil = 'rm -rf "$COOPR_ROOT/var/lib/coopr"; echo no folder > "$COOPR_ROOT/var/lib/coopr"'
    catalog = write_catalog(tmp_path / "catalog", {"app": service(install=spoil, start="echo alive")})
    with pytest.raises(TasksFailed, match=r"cannot be brought to spoilt\d*-1000\S* again") as caught:
        create_cluster(name="spoilt", template="tiny", size=1, catalog=[catalog])
    assert "`coopr replace spoilt 1000`" in caught.value.hint
    assert "deleted and created again" in caught.value.hint
