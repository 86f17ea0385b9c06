"""Services started and stopped, config changed, services added and templates synced, on real clusters."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_catalog import service, write_catalog

from coopr_core.errors import Busy, InvalidInput, NotFound, Refused, TasksFailed
from coopr_core.model.states import ClusterState, JobState, TaskState
from coopr_core.operations.add_services import prepare_add_services
from coopr_core.operations.configure import prepare_configure
from coopr_core.operations.restart import prepare_restart
from coopr_core.operations.stop import prepare_stop
from coopr_core.operations.sync import prepare_sync
from coopr_core.solver import Unsatisfiable
from coopr_core.store import Store
from flows.server import ServerInfo

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("fast_retries")]


NOTE = 'echo "$COOPR_ACTION $COOPR_SERVICE ${COOPR_CONFIG_WEB_PORT:-}" >> "$COOPR_DATA/../done"'


def noting(*config: str, requires: tuple[str, ...] = (), **more: str) -> dict[str, Any]:
    """A service that writes down what is done to it."""
    commands = dict.fromkeys(("install", "configure", "start", "stop"), NOTE) | more
    return {**service(requires=requires, **commands), "config": list(config)}


SERVICES = {"db": noting("db"), "web": noting("web", requires=("db",)), "plain": service(install="true")}
CONFIG = {"web": {"port": 80, "peers": "%ip.service.web%"}, "db": {"password": "%secret.db%", "size": 1}}


@pytest.fixture
def cluster(prefect_server: ServerInfo, store: Store, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Makes clusters ``demo`` of two nodes; gives the catalog's folder."""
    from flows import create_cluster, delete_cluster

    made = []

    def make(services: dict[str, Any] = SERVICES, **template: Any) -> str:
        catalog = write_catalog(tmp_path / "catalog", services, config=CONFIG, **template)
        create_cluster(name="demo", template="tiny", size=2, catalog=[catalog])
        made.append("demo")
        forget(store)
        return catalog

    yield make
    for name in made:
        delete_cluster(name)


def done(store: Store, number: int) -> list[str]:
    """What was done on a node of the cluster, in order, since ``forget``."""
    file = _notes(store, number)
    lines = file.read_text().splitlines() if file.exists() else []
    return [f"{action.upper()} {rest}".strip() for action, _, rest in (line.partition(" ") for line in lines)]


def forget(store: Store) -> None:
    for number in (1000, 1001):
        _notes(store, number).unlink(missing_ok=True)


def _notes(store: Store, number: int) -> Path:
    machine = store.node(store.cluster("demo").id, number).machine
    assert machine is not None
    return Path(machine["root"]) / "var/lib/coopr/done"


def tasks(store: Store) -> list[str]:
    job = store.cluster("demo").last_job
    assert job is not None
    return [f"{task.action} {task.service} {task.node}" for task in store.tasks(job)]


def test_services_start_and_stop_in_the_order_of_dependencies_with_all_that_must(
    cluster: Callable[..., str], store: Store
) -> None:
    from flows import restart_services, start_services, stop_services

    cluster()
    summary = stop_services("demo", ["db"])
    assert summary["state"] == "ACTIVE"
    assert done(store, 1000) == done(store, 1001) == ["STOP web 80", "STOP db 80"]
    start_services("demo", ["web"])
    assert done(store, 1001)[2:] == ["START db 80", "START web 80"]
    forget(store)
    restart_services("demo", ["db"])
    assert done(store, 1000) == ["STOP web 80", "STOP db 80", "START db 80", "START web 80"]
    assert store.job(summary["job"]).operation == "STOP_SERVICES"
    with pytest.raises(InvalidInput, match="no service nothing"):
        stop_services("demo", ["nothing"])


def test_a_rolling_restart_ends_at_the_first_batch_that_is_not_well_and_leaves_the_rest_running(
    cluster: Callable[..., str], store: Store
) -> None:
    from flows import restart_services

    well = 'test ! -e "$COOPR_DATA/../ill" && ' + NOTE
    cluster({"db": noting("db"), "web": noting("web", requires=("db",), health=well)})
    restart_services("demo", ["web"], rolling=True)
    assert tasks(store) == [f"{action} web {node}" for node in (1000, 1001) for action in ("STOP", "START", "HEALTH")]
    forget(store)
    _notes(store, 1000).with_name("ill").touch()
    with pytest.raises(TasksFailed, match="HEALTH web @ demo"):
        restart_services("demo", ["web"], rolling=True)
    assert done(store, 1000) == ["STOP web 80", "START web 80"]
    assert done(store, 1001) == []
    assert store.cluster("demo").state is ClusterState.INCONSISTENT


def test_a_new_config_reaches_only_the_services_that_read_it(cluster: Callable[..., str], store: Store) -> None:
    from flows import configure_cluster

    cluster()
    prepared = prepare_configure(store, "demo", {"web": {"port": 81}})
    (difference,) = prepared.differences
    assert difference.services == ("web",)
    assert difference.nodes == (1000, 1001)
    assert {"-  port: 80", "+  port: 81"} <= set(difference.lines)
    assert "password: '********'" in json.dumps(prepared.to_json()) or not any(
        "password" in x for x in difference.lines
    )

    configure_cluster("demo", {"web": {"port": 81}})
    assert done(store, 1000) == done(store, 1001) == ["STOP web 81", "CONFIGURE web 81", "START web 81"]
    cluster_id = store.cluster("demo").id
    assert store.layout(cluster_id).config["web"] == {"port": 81, "peers": "%ip.service.web%"}
    assert store.request(cluster_id).config == {"web": {"port": 81}}

    jobs = len(store.jobs(cluster_id))
    assert configure_cluster("demo", {"web": {"port": 81}})["job"] == "", "nothing changes: no job"
    assert len(store.jobs(cluster_id)) == jobs

    forget(store)
    configure_cluster("demo", {"db": {"size": 2}}, restart=False)
    assert done(store, 1001) == ["CONFIGURE db 81"]
    forget(store)
    configure_cluster("demo", everything=True, restart=False)
    assert sorted(done(store, 1001)) == ["CONFIGURE db 81", "CONFIGURE web 81"]
    configure_cluster("demo", {"nobody": "reads this"})
    assert tasks(store) == []
    assert store.layout(cluster_id).config["nobody"] == "reads this"


def test_a_configure_that_failed_keeps_its_config_and_the_next_one_configures_everything(
    cluster: Callable[..., str], store: Store
) -> None:
    from flows import configure_cluster

    cluster({**SERVICES, "web": noting("web", configure='test "$COOPR_CONFIG_WEB_PORT" != 99 && ' + NOTE)})
    with pytest.raises(TasksFailed, match="CONFIGURE web"):
        configure_cluster("demo", {"web": {"port": 99}})
    record = store.cluster("demo")
    assert record.state is ClusterState.INCONSISTENT
    assert store.layout(record.id).config["web"]["port"] == 99
    assert any(task.state is not TaskState.SUCCEEDED for task in store.tasks(record.last_job or ""))
    with pytest.raises(Refused, match="INCONSISTENT"):
        prepare_restart(store, "demo")
    forget(store)
    configure_cluster("demo", {"web": {"port": 82}})
    assert {"CONFIGURE web 82", "CONFIGURE db 82"} <= set(done(store, 1000))
    assert store.cluster("demo").state is ClusterState.ACTIVE


def test_a_config_with_a_macro_that_has_no_value_changes_nothing(cluster: Callable[..., str], store: Store) -> None:
    cluster()
    with pytest.raises(InvalidInput, match="could not be run") as caught:
        prepare_configure(store, "demo", {"web": {"peers": "%host.service.other%"}})
    assert "config.web.peers" in str(caught.value.problems[0])


def test_added_services_are_placed_installed_and_started_and_what_reads_of_them_adapts(
    cluster: Callable[..., str], store: Store, tmp_path: Path
) -> None:
    from flows import add_services, sync_cluster

    cluster(constraints={"services": {"web": {"quantities": {"min": 1, "max": 1}}}})
    more = write_catalog(tmp_path / "more", {"cache": noting("cache", requires=("db",))})
    Path(more, "clustertemplates", "tiny.json").unlink()
    summary = add_services("demo", ["cache", "web"], catalog=[more])
    assert [node["services"] for node in summary["nodes"]] == [
        ["cache", "db", "plain", "web"],
        ["cache", "db", "plain"],
    ]
    assert done(store, 1001) == ["INSTALL cache 80", "CONFIGURE cache 80", "START cache 80"]
    cluster_id = store.cluster("demo").id
    assert store.request(cluster_id).services == ("cache", "db", "plain", "web")
    assert "cache" in store.layout(cluster_id).services
    assert add_services("demo", ["cache"], catalog=[more])["job"] == ""
    assert sync_cluster("demo")["job"] == "", "the catalog of the addition is remembered"
    with pytest.raises(NotFound, match="no service nothing"):
        prepare_add_services(store, "demo", ["nothing"])


def test_a_cluster_is_synced_to_todays_template_unless_its_nodes_do_not_obey_it(
    cluster: Callable[..., str], store: Store, tmp_path: Path
) -> None:
    from flows import configure_cluster, sync_cluster

    cluster()
    configure_cluster("demo", {"web": {"port": 81}})
    assert sync_cluster("demo")["job"] == "", "nothing is new: no job"
    forget(store)

    newer = {**SERVICES, "db": noting("db", start="echo newer; " + NOTE)}
    config = {"web": {"port": 80, "peers": "%ip.service.web%", "color": "blue"}, "db": CONFIG["db"]}
    write_catalog(tmp_path / "catalog", newer, config=config)
    prepared = prepare_sync(store, "demo")
    (difference,) = prepared.differences
    assert difference.services == ("db", "web")
    assert "+  color: blue" in difference.lines
    sync_cluster("demo")
    record = store.cluster("demo")
    assert store.layout(record.id).config["web"] == {"port": 81, "peers": "%ip.service.web%", "color": "blue"}
    assert store.template(record.id).defaults.config["web"]["color"] == "blue"
    assert "newer" in json.dumps(store.layout(record.id).services["db"].model_dump())
    assert {"STOP web 81", "CONFIGURE db 81", "START web 81"} <= set(done(store, 1000))
    job = store.job(record.last_job or "")
    assert (job.operation, job.state) == ("SYNC_TEMPLATE", JobState.SUCCEEDED)

    write_catalog(
        tmp_path / "catalog", newer, config=config, constraints={"services": {"db": {"quantities": {"max": 1}}}}
    )
    with pytest.raises(Unsatisfiable, match=r"services\.db\.quantities\.max = 1 \(db is on 2 nodes\)"):
        sync_cluster("demo")
    assert store.cluster("demo").last_job == record.last_job


def test_a_change_waits_for_no_other_job_and_says_so(cluster: Callable[..., str], store: Store) -> None:
    cluster()
    late = prepare_configure(store, "demo", {"web": {"port": 83}})
    prepared = prepare_stop(store, "demo")
    job = store.start_job(late.cluster.id, prepared.operation, prepared.plan)
    with pytest.raises(Busy):
        prepare_configure(store, "demo", {"web": {"port": 84}})
    store.finish_job(job.id, JobState.SUCCEEDED)
    with pytest.raises(Busy, match="was changed by job"):
        store.start_job(late.cluster.id, late.operation, late.plan, change=late.change)


def test_a_failed_addition_is_retried_and_nothing_is_configured_before_it_succeeds(
    cluster: Callable[..., str], store: Store, tmp_path: Path
) -> None:
    from flows import add_services, retry_cluster

    cluster()
    more = write_catalog(tmp_path / "more", {"cache": noting(install='test -e "$COOPR_DATA/../fixed" && ' + NOTE)})
    Path(more, "clustertemplates", "tiny.json").unlink()
    with pytest.raises(TasksFailed, match="INSTALL cache"):
        add_services("demo", ["cache"], catalog=[more])
    with pytest.raises(Refused, match="not all of its services may be installed"):
        prepare_configure(store, "demo", {"web": {"port": 85}})
    job = store.cluster("demo").last_job
    for number in (1000, 1001):
        _notes(store, number).with_name("fixed").touch()
    retry_cluster("demo")
    record = store.cluster("demo")
    assert (record.state, record.last_job) == (ClusterState.ACTIVE, job)
    assert done(store, 1000) == done(store, 1001) == ["INSTALL cache 80", "CONFIGURE cache 80", "START cache 80"]
