"""A cluster is made again from its request while the old one serves; a failure leaves the old one alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flow_catalog import service, write_catalog

from coopr_core.errors import Interrupted, NotFound, OverQuota, Refused, TasksFailed
from coopr_core.model.quotas import Quota
from coopr_core.model.records import JobRecord
from coopr_core.model.states import ClusterState, JobState
from coopr_core.operations.rebuild import prepare_rebuild
from coopr_core.settings import load_settings
from coopr_core.store import Store
from coopr_core.work.job.context import JobContext
from flows.server import ServerInfo

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("fast_retries")]


def machines_left() -> list[str]:
    return [path.name for path in (load_settings().state_dir / "local" / "nodes").iterdir()]


def test_the_new_cluster_takes_over_the_name_when_the_old_one_is_gone(store: Store, tmp_path: Path) -> None:
    from flows import create_cluster, delete_cluster, rebuild_cluster

    note = "echo $COOPR_CLUSTER_NAME"
    catalog = write_catalog(tmp_path / "catalog", {"app": service(start=note)})
    created = create_cluster(name="again", template="tiny", size=2, catalog=[catalog], owner="alice")
    old = store.cluster("again")

    store.set_protected(old.id, True)
    with pytest.raises(Refused, match="protected"):
        rebuild_cluster("again")
    store.set_protected(old.id, False)

    rebuilt = rebuild_cluster("again")
    assert (rebuilt["name"], rebuilt["state"], len(rebuilt["nodes"])) == ("again", "ACTIVE", 2)
    assert rebuilt["cluster_id"] != old.id
    new = store.cluster("again")
    assert (new.id, new.owner, store.request(new.id)) == (rebuilt["cluster_id"], "alice", store.request(old.id))
    assert store.cluster_with_id(old.id).state is ClusterState.TERMINATED
    assert rebuilt["nodes"][0]["host_name"] == f"again{int(new.id)}-1000.local"
    start = next(task for task in store.tasks(rebuilt["job"]) if task.action == "START")
    assert Path(start.log).read_text().splitlines()[-1] == "again", "nodes know the name it takes over"
    assert {store.job(job.id).flow_run_id for job in (store.jobs(old.id)[-1], store.jobs(new.id)[0])} == {
        store.job(rebuilt["job"]).flow_run_id
    }

    in_place = rebuild_cluster("again", in_place=True)
    assert (in_place["name"], in_place["state"]) == ("again", "ACTIVE")
    assert created["cluster_id"] != rebuilt["cluster_id"] != in_place["cluster_id"]
    delete_cluster("again")
    assert machines_left() == []


def test_when_the_new_one_fails_the_old_one_is_untouched_and_nothing_is_left_over(store: Store, tmp_path: Path) -> None:
    from flows import create_cluster, delete_cluster, rebuild_cluster

    catalog = write_catalog(tmp_path / "catalog", {"app": service(start="true")})
    create_cluster(name="again", template="tiny", size=1, catalog=[catalog])
    before = machines_left()
    file = tmp_path / "catalog/services/app.json"
    file.write_text(json.dumps({"name": "app", **service(start="echo broken; exit 3")}))
    with pytest.raises(TasksFailed, match=r"again is as it was. What was made of the new one is deleted") as caught:
        rebuild_cluster("again")
    assert "START app" in str(caught.value)
    assert store.cluster("again").state is ClusterState.ACTIVE
    assert machines_left() == before
    assert [cluster.name for cluster in store.clusters()] == ["again"]

    file.write_text(json.dumps({"name": "app", **service(start="true")}))
    assert prepare_rebuild(store, "again").new is not None
    delete_cluster("again")


def test_a_rebuild_that_was_cut_short_goes_on_where_it_stands(store: Store, tmp_path: Path) -> None:
    from flows import create_cluster, delete_cluster, rebuild, rebuild_cluster

    catalog = write_catalog(tmp_path / "catalog", {"app": service(start="true")})
    create_cluster(name="again", template="tiny", size=1, catalog=[catalog])
    made = rebuild._create_beside
    with pytest.MonkeyPatch.context() as patch:

        def cut_short(*arguments: object) -> None:
            made(*arguments)
            raise KeyboardInterrupt

        patch.setattr(rebuild, "_create_beside", cut_short)
        with pytest.raises(BaseException):  # noqa: B017, PT011 - whatever Prefect makes of it
            rebuild_cluster("again")
    assert {cluster.name for cluster in store.clusters()} == {"again", "again-next"}
    there = store.cluster("again-next")
    assert rebuild_cluster("again")["cluster_id"] == there.id
    assert [cluster.name for cluster in store.clusters()] == ["again"]
    delete_cluster("again")
    assert machines_left() == []


def test_a_rebuild_in_place_that_was_cut_short_after_its_delete_still_makes_the_new_one(
    store: Store, tmp_path: Path
) -> None:
    from flows import create_cluster, delete_cluster, rebuild, rebuild_cluster

    catalog = write_catalog(tmp_path / "catalog", {"app": service(start="true")})
    newer = write_catalog(tmp_path / "newer", {"app": service(start="echo newer")})
    old = create_cluster(name="again", template="tiny", size=1, catalog=[catalog])
    with pytest.MonkeyPatch.context() as patch:

        def killed(*_: object) -> None:
            raise Interrupted("killed")

        patch.setattr(rebuild, "_create", killed)
        with pytest.raises(Interrupted):
            rebuild_cluster("again", in_place=True, catalog=[newer])
    assert store.called("again") is None
    assert prepare_rebuild(store, old["cluster_id"]).old_is_deleted, "by its id it is the same rebuild"
    rebuilt = rebuild_cluster(old["cluster_id"])
    assert (rebuilt["name"], rebuilt["state"]) == ("again", "ACTIVE")
    assert rebuilt["cluster_id"] != old["cluster_id"]
    start = next(task for task in store.tasks(rebuilt["job"]) if task.action == "START")
    assert Path(start.log).read_text().splitlines()[-1] == "newer", "the folder given to the rebuild is remembered"
    delete_cluster("again")
    with pytest.raises(NotFound):
        rebuild_cluster("again")
    assert machines_left() == []


def test_a_rebuild_that_the_quota_does_not_allow_touches_nothing(
    prefect_server: ServerInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import create_cluster, delete_cluster, rebuild_cluster

    catalog = write_catalog(tmp_path / "catalog", {"app": service(start="true")})
    monkeypatch.setenv("COOPR_TENANT", "lab")
    create_cluster(name="again", template="tiny", size=2, catalog=[catalog])
    before = machines_left()
    with Store.open() as store:
        store.set_quota("lab", Quota(nodes=3))
        with pytest.raises(OverQuota, match="3 nodes allowed, 2 in use, 2 more wanted"):
            rebuild_cluster("again")
        assert prepare_rebuild(store, "again", in_place=True).new is not None
        store.set_quota("lab", Quota(nodes=1))
        assert prepare_rebuild(store, "again", in_place=True).new is not None, "it takes no more than the old one"
        store.set_quota("lab", Quota())
    assert machines_left() == before
    delete_cluster("again")


def test_a_rebuild_that_was_killed_while_it_made_the_new_one_finishes_that_one_as_it_is_now_asked_to(
    store: Store, tmp_path: Path
) -> None:
    from flows import create_cluster, delete_cluster, operation, rebuild, rebuild_cluster
    from flows.job import run_job as run_as_ever

    catalog = write_catalog(tmp_path / "catalog", {"app": service(start="true")})
    create_cluster(name="again", template="tiny", size=1, catalog=[catalog])
    with pytest.MonkeyPatch.context() as patch:

        def killed(opened: Store, cluster: object, job: JobRecord) -> None:
            opened.finish_job(job.id, JobState.INTERRUPTED, "killed")
            raise Interrupted("killed")

        patch.setattr(rebuild, "run_operation", killed)
        with pytest.raises(Interrupted):
            rebuild_cluster("again")
    begun = store.cluster("again-next")
    assert begun.state is ClusterState.INCOMPLETE
    ran: dict[str, dict[str, Any]] = {}
    with pytest.MonkeyPatch.context() as patch:

        def run_job(context: JobContext, **how: Any) -> None:
            ran[context.cluster.id] = how
            run_as_ever(context, **how)

        patch.setattr(operation, "run_job", run_job)
        rebuilt = rebuild_cluster("again", schedule="dataflow", max_concurrency=3)
    assert (ran[begun.id]["schedule"], ran[begun.id]["max_concurrency"]) == ("dataflow", 3)
    assert (rebuilt["cluster_id"], rebuilt["state"], rebuilt["name"]) == (begun.id, "ACTIVE", "again")
    delete_cluster("again")
    assert machines_left() == []
