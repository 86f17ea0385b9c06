"""Jobs that go on: retried after a failure, paused and resumed, aborted, and run again by Prefect; on real clusters."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from flow_catalog import service, until, write_catalog
from prefect_server import api
from watching import paths_below, sleeping, wait_for

from coopr_core.errors import Busy, Interrupted, Refused, TasksFailed
from coopr_core.model.records import JobRecord
from coopr_core.model.states import AttemptState, ClusterState, JobState, TaskState
from coopr_core.operations.control import prepare_abort, prepare_pause, stop_job, wait_until_paused
from coopr_core.settings import load_settings
from coopr_core.store import Store
from flows.server import ServerInfo

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("fast_retries")]


def marked(word: str, then: str = "true") -> str:
    """A command that leaves a line on its node each time it runs."""
    return f'echo {word} >> "$COOPR_DATA/runs"; {then}'


def runs(service_name: str) -> list[str]:
    """What the service's commands left on all nodes, in order on each."""
    places = [load_settings().state_dir / "local", Path("/var/lib/coopr-nodes")]
    kept = f"var/lib/coopr/{service_name}/runs"
    files = [file for place in places for file in paths_below(place) if file.match(kept)]
    return sorted(line for file in files for line in file.read_text().split())


class InBackground:
    """A flow called in a thread, as by another process; what it raised, if anything."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self._call = call
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._call()
        except BaseException as error:  # noqa: BLE001 - it is looked at by the test
            self.error = error

    def join(self) -> BaseException | None:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.error


def creating_process(name: str, catalog: str, **options: Any) -> subprocess.Popen[str]:
    """A process that creates a cluster of two nodes."""
    call = f"create_cluster(name={name!r}, template='tiny', size=2, catalog=[{catalog!r}])"
    code = f"from flows import create_cluster; {call}"
    return subprocess.Popen([sys.executable, "-c", code], text=True, start_new_session=True, **options)


def last_job(store: Store, name: str) -> JobRecord | None:
    cluster = next((c for c in store.clusters(terminated=True) if c.name == name), None)
    return store.job(cluster.last_job) if cluster is not None and cluster.last_job else None


def is_running(store: Store, name: str, action: str, on: int = 1) -> bool:
    job = last_job(store, name)
    running = store.tasks(job.id, state=TaskState.RUNNING) if job is not None else []
    return sum(task.action == action for task in running) == on


def test_a_retry_runs_what_has_not_succeeded_with_the_same_ids_and_values(
    prefect_server: ServerInfo, store: Store, tmp_path: Path
) -> None:
    from flows import create_cluster, delete_cluster, retry_cluster

    catalog = write_catalog(
        tmp_path / "catalog",
        {
            "steady": service(install=marked("install")),
            "broken": service(
                install=marked("try", 'test -e "$COOPR_DATA/../repaired"'), start=marked("start-$COOPR_CONFIG_WORD")
            ),
        },
        config={"word": "first"},
    )
    with pytest.raises(TasksFailed) as caught:
        create_cluster(name="again", template="tiny", size=2, catalog=[catalog], max_concurrency=1)
    assert "coopr retry again" in caught.value.hint
    cluster = store.cluster("again")
    before = store.tasks(cluster.last_job or "")
    machines = [node.machine for node in store.nodes(cluster.id)]

    for machine in machines:
        assert machine is not None
        (Path(machine["root"]) / "var/lib/coopr/repaired").touch()
    write_catalog(tmp_path / "catalog", {"broken": service(start="false")}, config={"word": "second"})
    summary = retry_cluster("again")
    assert (summary["state"], summary["job"]) == ("ACTIVE", cluster.last_job)
    after = store.tasks(summary["job"])
    assert [task.id for task in after] == [task.id for task in before]
    for old, new in zip(before, after, strict=True):
        assert new.state is TaskState.SUCCEEDED
        if old.state is TaskState.SUCCEEDED:
            assert new.attempts == old.attempts, f"{new} had succeeded"
    assert [node.machine for node in store.nodes(cluster.id)] == machines
    assert runs("steady") == ["install"] * 2
    assert runs("broken").count("start-first") == 2, "the values are those of the first time"

    assert retry_cluster("again")["state"] == "ACTIVE", "retrying what has succeeded is a success"
    assert len(store.jobs(cluster.id)) == 1
    delete_cluster("again")
    assert retry_cluster("again")["state"] == "TERMINATED"


@pytest.mark.real
def test_a_paused_job_ends_what_runs_starts_nothing_and_goes_on_in_another_process(
    prefect_server: ServerInfo, store: Store, tmp_path: Path, readable: Path
) -> None:
    from flows import delete_cluster, resume_cluster, retry_cluster

    install = marked("install", until(readable / "paused"))
    catalog = write_catalog(tmp_path / "catalog", {"slow": service(install=install, start=marked("start"))})
    process = creating_process("halt", catalog, stderr=subprocess.PIPE)
    wait_for(lambda: is_running(store, "halt", "INSTALL", on=2), "both nodes install", 120)
    job = stop_job(store, prepare_pause(store, "halt"))
    (readable / "paused").touch()
    assert job.state is JobState.PAUSED
    assert store.cluster("halt").state is ClusterState.PENDING
    with pytest.raises(Busy, match="is paused"):
        delete_cluster("halt")
    with pytest.raises(Refused, match="paused, not failed"):
        retry_cluster("halt")
    wait_until_paused(store, job.id, timeout=60)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "is paused; its state is saved" in errors
    states = {task.action: task.state for task in store.tasks(job.id)}
    assert states["INSTALL"] is TaskState.SUCCEEDED
    assert states["START"] is TaskState.WAITING
    assert store.job(job.id).state is JobState.PAUSED

    assert resume_cluster("halt")["state"] == "ACTIVE"
    assert runs("slow") == ["install", "install", "start", "start"]
    assert all(task.attempts == 1 for task in store.tasks(job.id))
    with pytest.raises(Refused, match="nothing to resume"):
        resume_cluster("halt")
    with pytest.raises(Refused, match="nothing to pause"):
        stop_job(store, prepare_pause(store, "halt"))
    delete_cluster("halt")


def test_a_job_resumed_while_its_tasks_still_run_goes_on_where_it_is(
    prefect_server: ServerInfo, store: Store, tmp_path: Path, readable: Path
) -> None:
    from flows import create_cluster, delete_cluster, resume_cluster

    flag = readable / "resumed"
    install = marked("install", until(flag))
    catalog = write_catalog(tmp_path / "catalog", {"slow": service(install=install, start=marked("start"))})
    creating = InBackground(lambda: create_cluster(name="blink", template="tiny", catalog=[catalog]))
    wait_for(lambda: is_running(store, "blink", "INSTALL"), "the install runs", 120)
    job = stop_job(store, prepare_pause(store, "blink"))
    time.sleep(1.5)
    assert resume_cluster("blink")["state"] == "PENDING"
    flag.touch()
    assert creating.join() is None
    assert creating.result["state"] == "ACTIVE"
    assert runs("slow") == ["install", "start"]
    assert all(task.attempts == 1 for task in store.tasks(job.id))
    delete_cluster("blink")


def test_aborting_ends_commands_on_the_nodes_and_a_retry_goes_on(
    prefect_server: ServerInfo, store: Store, tmp_path: Path
) -> None:
    from flows import create_cluster, delete_cluster, retry_cluster

    catalog = write_catalog(
        tmp_path / "catalog",
        {"slow": service(install='test -e "$COOPR_DATA/second" || { touch "$COOPR_DATA/second"; sleep 7010; }')},
    )
    creating = InBackground(lambda: create_cluster(name="stopped", template="tiny", catalog=[catalog]))
    wait_for(lambda: is_running(store, "stopped", "INSTALL") and sleeping("7010"), "the install runs", 120)
    job = stop_job(store, prepare_abort(store, "stopped", timeout=30))
    assert job.state is JobState.INTERRUPTED
    error = creating.join()
    assert isinstance(error, Interrupted)
    assert "was aborted; its state is saved" in str(error)
    assert "coopr retry stopped" in error.hint
    wait_for(lambda: not sleeping("7010"), "the command ends")
    assert store.cluster("stopped").state is ClusterState.INCOMPLETE
    assert stop_job(store, prepare_abort(store, "stopped")).state is JobState.INTERRUPTED, "aborting twice is once"

    assert retry_cluster("stopped")["state"] == "ACTIVE"
    install = next(task for task in store.tasks(job.id) if task.action == "INSTALL")
    assert [a.state for a in store.attempts(install.id)] == [AttemptState.INTERRUPTED, AttemptState.SUCCEEDED]
    with pytest.raises(Refused, match="nothing to abort"):
        stop_job(store, prepare_abort(store, "stopped"))
    delete_cluster("stopped")


def test_a_paused_job_can_be_given_up(prefect_server: ServerInfo, store: Store, tmp_path: Path, readable: Path) -> None:
    from flows import create_cluster, delete_cluster

    paused = readable / "paused"
    catalog = write_catalog(tmp_path / "catalog", {"slow": service(install=until(paused), start="true")})
    creating = InBackground(lambda: create_cluster(name="given-up", template="tiny", catalog=[catalog]))
    wait_for(lambda: is_running(store, "given-up", "INSTALL"), "the install runs", 120)
    job = stop_job(store, prepare_pause(store, "given-up"))
    paused.touch()
    assert isinstance(creating.join(), Interrupted)
    assert stop_job(store, prepare_abort(store, "given-up")).state is JobState.INTERRUPTED
    assert store.cluster("given-up").state is ClusterState.INCOMPLETE
    assert store.job(job.id).message == "aborted while it was paused"
    assert delete_cluster("given-up")["state"] == "TERMINATED"


@pytest.mark.real
def test_after_a_reboot_a_retry_finds_the_machines_again(
    prefect_server: ServerInfo, store: Store, tmp_path: Path
) -> None:
    from flows import delete_cluster, retry_cluster

    first = 'test -e "$COOPR_DATA/second" || { touch "$COOPR_DATA/second"; sleep 7011; }'
    catalog = write_catalog(tmp_path / "catalog", {"slow": service(install=first, start=marked("start"))})
    process = creating_process("reboot", catalog, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(sleeping("7011")) == 2, "both nodes install", 120)
    for victim in [process, *node_servers()]:
        os.kill(victim.pid, signal.SIGKILL)
    process.wait()
    summary = retry_cluster("reboot")
    assert summary["state"] == "ACTIVE"
    tasks = store.tasks(summary["job"])
    assert all(task.attempts == (2 if task.action == "INSTALL" else 1) for task in tasks)
    assert not sleeping("7011")
    delete_cluster("reboot")


def node_servers() -> list[psutil.Process]:
    wanted = ["coopr_core.providers.local.server", str(load_settings().state_dir)]
    return [p for p in psutil.process_iter(["cmdline"]) if (p.info["cmdline"] or [])[-2:] == wanted]


def open_runs(server: ServerInfo, kind: str, cluster: str) -> list[tuple[str, str]]:
    """The flow runs or task runs of a cluster that are not over in Prefect, each with its state."""
    states = {"type": {"any_": ["RUNNING", "PENDING", "SCHEDULED", "PAUSED", "CANCELLING"]}}
    body = {f"{kind}_runs": {"tags": {"all_": [f"cluster:{cluster}"]}, "state": states}, "limit": 200}
    return [(run["name"], run["state_type"]) for run in api(server, f"/{kind}_runs/filter", body)]


@pytest.mark.parametrize("then", ["retry", "delete"])
def test_after_sigkill_nothing_stays_open_in_prefect(
    prefect_server: ServerInfo, store: Store, tmp_path: Path, then: str
) -> None:
    from flows import delete_cluster, retry_cluster

    first = 'test -e "$COOPR_DATA/second" || { touch "$COOPR_DATA/second"; sleep 7013; }'
    catalog = write_catalog(tmp_path / "catalog", {"slow": service(install=first)})
    name = f"killed-{then}"
    process = creating_process(name, catalog, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(sleeping("7013")) == 2, "both nodes install", 120)
    wait_for(lambda: len(open_runs(prefect_server, "task", name)) == 2, "Prefect knows of them", 120)
    old = store.jobs(store.cluster(name).id)[0].flow_run_id
    process.kill()
    process.wait()
    assert [state for _, state in open_runs(prefect_server, "flow", name)] == ["RUNNING"]
    if then == "retry":
        new = store.job(retry_cluster(name)["job"]).flow_run_id
    else:
        new = store.job(delete_cluster(name)["job"]).flow_run_id
    wait_for(lambda: not open_runs(prefect_server, "task", name), "no task run is open")
    assert open_runs(prefect_server, "flow", name) == []
    state = api(prefect_server, f"/flow_runs/{old}")["state"]
    assert (state["type"], new in state["message"]) == ("CRASHED", True)
    if then == "retry":
        delete_cluster(name)
