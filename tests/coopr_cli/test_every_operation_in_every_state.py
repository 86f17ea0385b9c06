"""Every command that changes a cluster, in every state of the cluster and of its job: it gets through or has its code.

Commands run up to the point where a flow would be called; there is no Prefect server here: none is needed to refuse.
"""

from __future__ import annotations

from itertools import count, product
from pathlib import Path

import pytest
from flow_catalog import service, write_catalog
from store_samples import record_cluster

from coopr_cli.main import main
from coopr_core.errors import CooprError
from coopr_core.model.facts import ClusterFacts, ProviderFacts
from coopr_core.model.operations import Operation
from coopr_core.model.records import ClusterRecord, JobRecord
from coopr_core.model.states import CONTROLS, ClusterState, Control, JobState
from coopr_core.planner import plan
from coopr_core.store import Store

pytestmark = pytest.mark.usefixtures("own_records")

RUNS, DONE, TIMED_OUT, NOT_FOUND, BUSY, REFUSED = 77, 0, 7, 8, 9, 10

VERBS: dict[str, tuple[Operation, tuple[str, ...]]] = {
    "start": (Operation.START_SERVICES, ()),
    "stop": (Operation.STOP_SERVICES, ()),
    "restart": (Operation.RESTART_SERVICES, ("--rolling",)),
    "configure": (Operation.CLUSTER_CONFIGURE_WITH_RESTART, ("--set", "word=other", "-y")),
    "configure --no-restart": (Operation.CLUSTER_CONFIGURE, ("--set", "word=other", "-y")),
    "add-services": (Operation.ADD_SERVICES, ("extra", "-y")),
    "sync": (Operation.SYNC_TEMPLATE, ("-y",)),
    "scale": (Operation.SCALE, ("--nodes", "3", "-y")),
    "replace": (Operation.REPLACE_NODES, ("1000", "-y")),
    "rebuild": (Operation.CLUSTER_DELETE, ("-y",)),
    "delete": (Operation.CLUSTER_DELETE, ("-y",)),
}
"""The commands that start a job: the operation whose row of the table holds for them, and what else they are given."""

# command: (RUNNING, PAUSED, ABORTING, SUCCEEDED, FAILED, INTERRUPTED)
CONTROL_CODES: dict[Control, tuple[int, ...]] = {
    Control.PAUSE: (DONE, DONE, BUSY, REFUSED, REFUSED, REFUSED),
    Control.RESUME: (DONE, RUNS, BUSY, REFUSED, REFUSED, REFUSED),
    Control.RETRY: (BUSY, REFUSED, BUSY, DONE, RUNS, RUNS),
    Control.ABORT: (TIMED_OUT, DONE, TIMED_OUT, REFUSED, REFUSED, DONE),
}
JOB_STATES = (
    JobState.RUNNING,
    JobState.PAUSED,
    JobState.ABORTING,
    JobState.SUCCEEDED,
    JobState.FAILED,
    JobState.INTERRUPTED,
)

_numbers = count(1)


class GotThrough(CooprError):
    """A command that would run its flow now."""

    exit_code = RUNS


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    import deployments.server

    def refuse() -> None:
        raise GotThrough("it would run")

    monkeypatch.setattr(deployments.server, "ensure_server", refuse)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("states")
    services = {
        "app": service(configure=": $COOPR_CONFIG_WORD", start="true", stop="true"),
        "extra": service(start="true"),
    }
    compatibility = {"services": ["app", "extra"], "hardwaretypes": ["local-small"], "imagetypes": ["local-python"]}
    write_catalog(folder, services, config={"word": "one"}, compatibility=compatibility)
    return str(folder)


def made(store: Store, catalog: str) -> tuple[ClusterRecord, JobRecord]:
    """A cluster on record whose create is running in this process; no machine is made."""
    from coopr_core.operations.create import prepare_create

    values = {"name": f"state{next(_numbers)}", "template": "tiny", "size": 2, "services": ["app"]}
    prepared = prepare_create(values, catalog=[catalog], store=store)
    facts = ClusterFacts((ProviderFacts.of(prepared.provider),), catalog=(catalog,))
    return store.begin_cluster(
        prepared.request, prepared.template, prepared.layout, prepared.plan, owner="me", facts=facts
    )


def cluster_in(store: Store, catalog: str, state: ClusterState) -> str:
    """The name of a cluster in that state."""
    cluster, job = made(store, catalog)
    if state is ClusterState.INCOMPLETE:
        store.finish_job(job.id, JobState.INTERRUPTED, "killed")
    elif state is not ClusterState.PENDING:
        store.finish_job(job.id, JobState.SUCCEEDED)
    operation = {ClusterState.INCONSISTENT: "STOP_SERVICES", ClusterState.TERMINATED: "CLUSTER_DELETE"}.get(state)
    if operation:
        job = store.start_job(cluster.id, operation, plan(operation, store.layout(cluster.id)))
        store.finish_job(job.id, JobState.SUCCEEDED if operation == "CLUSTER_DELETE" else JobState.FAILED)
    assert store.cluster_with_id(cluster.id).state is state
    return cluster.name


def exit_code(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0)


@pytest.mark.parametrize(("verb", "state"), list(product(VERBS, ClusterState)), ids=lambda value: str(value))
def test_a_command_gets_through_where_the_table_allows_its_operation(
    store: Store, catalog: str, verb: str, state: ClusterState, capsys: pytest.CaptureFixture[str]
) -> None:
    operation, options = VERBS[verb]
    name = cluster_in(store, catalog, state)
    before = store.jobs(store.cluster(name, terminated=True).id)
    command, *flags = verb.split()
    code = exit_code(command, name, *options, *flags)
    said = capsys.readouterr()
    if state in operation.rule.allowed:
        assert code == (DONE if verb == "sync" else RUNS), said.err
    else:
        gone = NOT_FOUND if operation is Operation.CLUSTER_DELETE else REFUSED
        wanted = {ClusterState.PENDING: BUSY, ClusterState.TERMINATED: gone}.get(state, REFUSED)
        assert code == wanted, said.err
        assert name in said.err
        assert "hint:" in said.err
    assert store.jobs(store.cluster(name, terminated=True).id) == before, "nothing was started"


def test_every_operation_of_the_table_has_a_command() -> None:
    assert {operation for operation, _ in VERBS.values()} == set(Operation) - {Operation.CLUSTER_CREATE}
    assert set(CONTROL_CODES) == set(CONTROLS) == set(Control)


@pytest.mark.parametrize("state", ClusterState)
def test_a_name_can_be_created_again_only_when_its_cluster_is_gone(
    store: Store, catalog: str, state: ClusterState
) -> None:
    name = cluster_in(store, catalog, state)
    code = exit_code("create", name, "--template", "tiny", "--catalog", catalog, "-y")
    assert code == (RUNS if state is ClusterState.TERMINATED else 3)


@pytest.mark.parametrize(("control", "state"), list(product(Control, JOB_STATES)), ids=lambda value: str(value))
def test_a_job_is_controlled_as_the_second_table_says(
    store: Store, catalog: str, control: Control, state: JobState, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster, job = made(store, catalog)
    if state is JobState.PAUSED:
        store.pause_job(job.id)
        store.leave_job(job.id)
    elif state is JobState.ABORTING:
        store.abort_job(job.id)
    elif state is JobState.FAILED:
        store.intend_machine(cluster.id, 1000)
        store.finish_job(job.id, state, "it did not work")
    elif state is not JobState.RUNNING:
        store.finish_job(job.id, state)
    assert store.job(job.id).state is state
    code = exit_code(str(control), cluster.name, *(["--timeout", "0.1"] if control is Control.ABORT else []))
    assert code == CONTROL_CODES[control][JOB_STATES.index(state)], capsys.readouterr().err


def test_a_job_whose_worker_is_gone_is_retried_and_holds_up_nothing(store: Store, catalog: str) -> None:
    from coopr_core.operations.create import prepare_create

    prepared = prepare_create({"name": "orphan", "template": "tiny"}, catalog=[catalog], store=store)
    cluster = record_cluster(store, prepared.request, prepared.template, prepared.layout, owner="me")
    assert exit_code("retry", "orphan") == REFUSED, "it has no job"
    for verb in ("retry", "delete"):
        job = store.start_job(cluster.id, "CLUSTER_CREATE", prepared.plan, claimed_by=DEAD)
        assert exit_code(verb, "orphan", *(["-y"] if verb == "delete" else [])) == RUNS
        assert store.job(job.id).state is JobState.INTERRUPTED


def _dead_claim() -> str:
    """The claim of a process of this machine that has ended."""
    from coopr_core.store import claims

    host, _, identity = claims.claimant().split(":")
    return f"{host}:{2**22 + 1}:{identity.rpartition('-')[0]}-1"


DEAD = _dead_claim()
