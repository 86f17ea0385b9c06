"""A flow that is given the digest of what was confirmed does that, or refuses and says what is different.

The clusters are on record only: what is refused touches no machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flow_catalog import service, write_catalog
from store_samples import another_job, new_cluster, recorded_active

from coopr_core.errors import NameTaken, Overtaken, Refused
from coopr_core.maintenance.leases import prepare_terms
from coopr_core.model.operations import Operation
from coopr_core.model.records import ClusterRecord
from coopr_core.model.states import Control, JobState
from coopr_core.operations.add_services import prepare_add_services
from coopr_core.operations.configure import prepare_configure
from coopr_core.operations.confirmation import MARK
from coopr_core.operations.control import controlled
from coopr_core.operations.create import prepare_create
from coopr_core.operations.delete import prepare_removal
from coopr_core.operations.rebuild import prepare_rebuild
from coopr_core.operations.replace import prepare_replace
from coopr_core.operations.restart import prepare_restart
from coopr_core.operations.scale import prepare_scale
from coopr_core.operations.start import prepare_start
from coopr_core.operations.stop import prepare_stop
from coopr_core.operations.sync import prepare_sync
from coopr_core.planner import plan
from coopr_core.store import Store

APP = {**service(configure=": $COOPR_CONFIG_WORD", start="true", stop="true"), "config": ["word"]}


@dataclass(frozen=True)
class World:
    """A store of the test's own with the active cluster ``demo`` of two nodes."""

    store: Store
    cluster: ClusterRecord
    catalog: str

    def another_job(self, state: JobState = JobState.SUCCEEDED) -> None:
        """Another shell restarts the cluster."""
        another_job(self.store, self.cluster.id, state)

    def jobs(self) -> list[str]:
        """The cluster's jobs and how they stand."""
        return [f"{job.id} {job.state}" for job in self.store.jobs(self.cluster.id)]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("COOPR_DATABASE_URL", f"sqlite:///{tmp_path / 'coopr.db'}")
    compatibility = {
        "services": ["app", "extra"],
        "hardwaretypes": ["local-small", "local-medium"],
        "imagetypes": ["local-python"],
    }
    catalog = write_catalog(
        tmp_path / "catalog",
        {"app": APP, "extra": service(start="true")},
        config={"word": "one"},
        compatibility=compatibility,
    )
    with Store.open() as store:
        yield World(store, recorded_active(store, catalog, "demo"), catalog)


Shown = Callable[[World], str]
Call = tuple[str, tuple[Any, ...], dict[str, Any]]

CHANGES: dict[str, tuple[Shown, Call]] = {
    "scale": (lambda w: prepare_scale(w.store, "demo", size=3).digest, ("scale_cluster", ("demo",), {"size": 3})),
    "scale by service": (
        lambda w: prepare_scale(w.store, "demo", counts={"app": 3}).digest,
        ("scale_cluster", ("demo",), {"counts": {"app": 3}}),
    ),
    "replace": (
        lambda w: prepare_replace(w.store, "demo", ["1001"]).digest,
        ("replace_nodes", ("demo", ["1001"]), {}),
    ),
    "start": (lambda w: prepare_start(w.store, "demo").digest, ("start_services", ("demo",), {})),
    "stop": (
        lambda w: prepare_stop(w.store, "demo", ["app"]).digest,
        ("stop_services", ("demo", ["app"]), {}),
    ),
    "restart, rolling": (
        lambda w: prepare_restart(w.store, "demo", rolling=True).digest,
        ("restart_services", ("demo",), {"rolling": True}),
    ),
    "configure": (
        lambda w: prepare_configure(w.store, "demo", {"word": "two"}).digest,
        ("configure_cluster", ("demo", {"word": "two"}), {}),
    ),
    "add-services": (
        lambda w: prepare_add_services(w.store, "demo", ["extra"]).digest,
        ("add_services", ("demo", ["extra"]), {}),
    ),
    "sync": (lambda w: prepare_sync(w.store, "demo").digest, ("sync_cluster", ("demo",), {})),
    "delete": (lambda w: prepare_removal(w.store, w.cluster).digest, ("delete_cluster", ("demo",), {})),
    "rebuild": (lambda w: prepare_rebuild(w.store, "demo").digest, ("rebuild_cluster", ("demo",), {})),
    "rebuild --in-place": (
        lambda w: prepare_rebuild(w.store, "demo", in_place=True).digest,
        ("rebuild_cluster", ("demo",), {"in_place": True}),
    ),
    "extend": (lambda w: prepare_terms(w.store, w.cluster).digest, ("extend_lease", ("demo", "2h"), {})),
    "protect": (lambda w: prepare_terms(w.store, w.cluster).digest, ("protect_cluster", ("demo",), {})),
}


def call(of: Call, confirmed: str) -> Any:
    """Call a flow's function as Prefect does."""
    import flows

    name, positional, named = of
    return getattr(flows, name).fn(*positional, **named, confirmed=confirmed)


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_was_confirmed_is_not_done_when_another_job_was_there_in_between(world: World, name: str) -> None:
    shown, flow = CHANGES[name]
    digest = shown(world)
    world.another_job()
    jobs, before = world.jobs(), world.store.cluster_with_id(world.cluster.id)
    with pytest.raises(
        Refused, match=r"newest job: 00000001-001 CLUSTER_CREATE SUCCEEDED at .* was confirmed, it would"
    ) as caught:
        call(flow, digest)
    assert "00000001-002 RESTART_SERVICES SUCCEEDED" in str(caught.value)
    assert caught.value.exit_code == 10
    assert caught.value.hint
    assert (world.jobs(), world.store.cluster_with_id(world.cluster.id)) == (jobs, before)
    assert [node.number for node in world.store.nodes(world.cluster.id)] == [1000, 1001]


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_confirmed_and_unchanged_has_one_digest(world: World, name: str) -> None:
    shown, _ = CHANGES[name]
    assert shown(world) == shown(world)


def test_what_differs_is_said_in_words(world: World) -> None:
    digest = prepare_scale(world.store, "demo", size=4).digest
    with pytest.raises(Refused) as caught:
        prepare_scale(world.store, "demo", size=1).check(digest)
    lines = str(caught.value).splitlines()
    assert lines[0] == "what would be done to cluster demo (00000001) is not what was confirmed; nothing was done"
    (told,) = [line for line in lines if line.startswith("  the plan: ")]
    assert told.startswith("  the plan: 2 to add, 0 to change, 0 to destroy; ")
    assert "was confirmed, it would be 0 to add, 0 to change, 1 to destroy; " in told
    assert "  the layout: 4 nodes was confirmed, it would be 1 nodes" in lines


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"provisioner": {"actions": {"start": {"type": "shell", "fields": {"command": "rm -rf /"}}}}},
            "service extra",
        ),
        ({"description": "another"}, "service extra"),
    ],
)
def test_what_the_catalog_says_today_is_part_of_what_was_confirmed(
    world: World, change: dict[str, Any], told: str
) -> None:
    import json

    shown, flow = CHANGES["add-services"]
    digest = shown(world)
    file = Path(world.catalog) / "services" / "extra.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(Refused, match="service extra: is another one now"):
        call(flow, digest)
    file.unlink()
    with pytest.raises(Refused, match="cannot be done any more"):
        call(flow, digest)


@pytest.mark.parametrize(("setting", "value"), [("MAX_CONCURRENCY", "7"), ("SCHEDULE", "dataflow"), ("ATTEMPTS", "9")])
@pytest.mark.parametrize("name", ["scale", "delete", "rebuild"])
def test_settings_that_matter_are_part_of_what_was_confirmed(
    world: World, name: str, setting: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, flow = CHANGES[name]
    digest = shown(world)
    monkeypatch.setenv(f"COOPR_{setting}", value)
    with pytest.raises(Refused, match=rf"the setting {setting.lower()}: \w+ was confirmed, it would be {value}"):
        call(flow, digest)


def test_a_create_is_not_done_for_another_tenant_from_another_catalog_or_under_a_name_taken_since(
    world: World, tmp_path: Path
) -> None:
    values = {"name": "fresh", "template": "tiny", "services": ["app"]}
    digest = prepare_create(values, catalog=[world.catalog], store=world.store).digest
    flow: Call = ("create_cluster", (), {**values, "catalog": [world.catalog]})
    with pytest.raises(Refused, match="the tenant: default was confirmed, it would be lab"):
        call((flow[0], (), {**flow[2], "tenant": "lab"}), digest)
    other = write_catalog(tmp_path / "other", {"app": service(start="echo another")})
    with pytest.raises(Refused, match="service app: is another one now"):
        call((flow[0], (), {**flow[2], "catalog": [world.catalog, other]}), digest)
    with pytest.raises(Refused, match="the layout: 1 nodes was confirmed, it would be 2 nodes"):
        call((flow[0], (), {**flow[2], "size": 2}), digest)
    new_cluster(world.store, "fresh")
    with pytest.raises(Refused, match="'fresh' is taken"):
        call(flow, digest)
    with pytest.raises(NameTaken):
        call(flow, "")
    assert [each.name for each in world.store.clusters(tenant=None)] == ["demo", "fresh"]


@pytest.mark.parametrize("control", Control)
def test_a_job_is_controlled_only_if_it_is_the_one_that_was_meant(world: World, control: Control) -> None:
    store, cluster = world.store, world.cluster.id
    start = {Control.PAUSE: JobState.RUNNING, Control.ABORT: JobState.RUNNING, Control.RETRY: JobState.FAILED}
    restart = Operation.RESTART_SERVICES
    job = store.start_job(cluster, restart, plan(restart, store.layout(cluster)))
    if control is Control.RETRY:
        store.finish_job(job.id, start[control])
    elif control is Control.RESUME:
        store.pause_job(job.id)
        store.leave_job(job.id)
    digest = controlled(store, "demo", control).digest
    if control is Control.RESUME:
        store.abort_job(job.id)
    elif control is not Control.RETRY:
        store.finish_job(job.id, JobState.SUCCEEDED)
    again = store.start_job(cluster, Operation.CLUSTER_CONFIGURE, plan("CLUSTER_CONFIGURE", store.layout(cluster)))
    if control is Control.RETRY:
        store.finish_job(again.id, JobState.FAILED)
    elif control is Control.RESUME:
        store.pause_job(again.id)
        store.leave_job(again.id)
    jobs = world.jobs()
    with pytest.raises(Refused, match=rf"newest job: {job.id} .* was confirmed, it would be {again.id} "):
        call((f"{control}_cluster", ("demo",), {}), digest)
    assert world.jobs() == jobs


def test_a_job_that_failed_once_more_is_another_than_the_one_that_was_meant(world: World) -> None:
    world.another_job(JobState.FAILED)
    digest = controlled(world.store, "demo", Control.RETRY).digest
    assert world.cluster.id == "00000001"
    world.store.finish_job(world.store.resume_job("00000001-002").id, JobState.FAILED)
    told = "the newest job: 00000001-002 RESTART_SERVICES FAILED at "
    with pytest.raises(Refused, match=told):
        call(("retry_cluster", ("demo",), {}), digest)


def test_a_lease_changed_in_between_is_not_changed_again(world: World) -> None:
    digest = prepare_terms(world.store, world.cluster).digest
    world.store.set_protected(world.cluster.id, True)
    for flow in (("extend_lease", ("demo", "2h"), {}), ("protect_cluster", ("demo", False), {})):
        with pytest.raises(Refused, match="the protection: off was confirmed, it would be on"):
            call(flow, digest)
    assert world.store.cluster_with_id(world.cluster.id).protected


@pytest.mark.parametrize("name", ["scale", "restart, rolling", "delete", "configure"])
def test_a_job_between_preparing_and_claiming_is_noticed(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import flows.execution
    import flows.operation

    def late(*arguments: Any, **options: Any) -> Any:
        world.another_job()
        return flows.operation.start_operation(*arguments, **options)

    shown, flow = CHANGES[name]
    digest = shown(world)
    monkeypatch.setattr(flows.execution, "start_operation", late)
    with pytest.raises(Refused, match="was changed by job 00000001-002 RESTART_SERVICES SUCCEEDED"):
        call(flow, digest)
    with pytest.raises(Overtaken) as caught:
        call(flow, "")
    assert caught.value.exit_code == 9
    assert len(world.jobs()) == 3


def test_a_rebuild_does_not_delete_what_was_changed_while_the_new_one_was_made(world: World) -> None:
    from flows import rebuild as rebuilding
    from flows.execution import How

    rebuild = prepare_rebuild(world.store, "demo")
    world.another_job()
    assert rebuild.old is not None
    with pytest.raises(Refused, match=r"demo-next is ACTIVE, but the old one is not deleted.*RESTART_SERVICES"):
        rebuilding._delete_old(world.store, rebuild.old, rebuild, How())
    assert world.store.cluster("demo").state == "ACTIVE"


@pytest.mark.parametrize("text", ["yes", f"{MARK}[]", f'{MARK}{{"a": 1}}', MARK, f"{MARK}{'[' * 100_000}", "{}"])
def test_what_is_no_digest_is_said_so(world: World, text: str) -> None:
    for name in ("scale", "delete", "extend", "rebuild"):
        with pytest.raises(Refused, match="is not the digest"):
            call(CHANGES[name][1], text)


def test_a_digest_of_nothing_is_not_the_same_as_none(world: World) -> None:
    with pytest.raises(Refused, match="the plan: has come up since"):
        call(CHANGES["scale"][1], f"{MARK}{{}}")


def test_a_digest_holds_no_config_and_stays_short(world: World) -> None:
    digest = prepare_configure(world.store, "demo", {"word": "hush-hush"}).digest
    assert "hush" not in digest
    assert len(digest) < 2000


def test_every_flow_that_changes_anything_takes_what_was_confirmed() -> None:
    import inspect
    from typing import get_args

    import flows

    for name in set(flows.__all__) - {"check_drift"}:
        parameter = inspect.signature(getattr(flows, name).fn).parameters["confirmed"]
        kind = (get_args(parameter.annotation) or [parameter.annotation])[0]
        assert (parameter.default, kind) == ("", str), name
