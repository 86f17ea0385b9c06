"""What happens between a command's showing and its flow: the flow does what was confirmed, or nothing.

Something comes in between in each test, after the answer; the flows run on the real Prefect server.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from command_line import Coopr
from flow_catalog import service, write_catalog
from store_samples import another_job, new_cluster, recorded_active

from coopr_core.model.operations import Operation
from coopr_core.model.states import JobState
from coopr_core.planner import plan
from coopr_core.settings import load_settings
from coopr_core.store import Store
from flows.server import ServerInfo

pytestmark = pytest.mark.real

Between = Callable[[Callable[[], object]], None]


@pytest.fixture
def store(prefect_server: ServerInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Records of this test's own."""
    monkeypatch.setenv("COOPR_DATABASE_URL", f"sqlite:///{tmp_path / 'coopr.db'}")
    with Store.open() as opened:
        yield opened


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Between:
    """Lets something happen when a command has its answer and is about to call its flow."""
    import deployments.server

    real = deployments.server.ensure_server

    def arrange(happens: Callable[[], object]) -> None:
        def ensure() -> ServerInfo:
            happens()
            return real()

        monkeypatch.setattr(deployments.server, "ensure_server", ensure)

    return arrange


@pytest.fixture
def catalog(tmp_path: Path) -> str:
    compatibility = {"services": ["app", "extra"], "hardwaretypes": ["local-small"], "imagetypes": ["local-python"]}
    app = service(configure=": $COOPR_CONFIG_WORD", start="true", stop="true")
    services = {"app": app, "extra": service(start="true")}
    return write_catalog(tmp_path / "catalog", services, config={"word": "one"}, compatibility=compatibility)


@pytest.mark.parametrize(
    "words",
    [
        ("scale", "demo", "--nodes", "3", "-y"),
        ("replace", "demo", "1000", "-y"),
        ("configure", "demo", "--set", "word=two", "-y"),
        ("add-services", "demo", "extra", "-y"),
        ("start", "demo"),
        ("stop", "demo"),
        ("restart", "demo", "app", "--rolling"),
        ("rebuild", "demo", "-y"),
        ("rebuild", "demo", "--in-place", "-y"),
        ("delete", "demo", "-y"),
    ],
    ids=" ".join,
)
def test_a_command_refuses_when_another_job_was_there_after_the_answer(
    coopr: Coopr, store: Store, catalog: str, between: Between, words: tuple[str, ...]
) -> None:
    cluster = recorded_active(store, catalog, "demo")
    between(lambda: another_job(store, cluster.id))
    outcome = coopr(*words)
    assert outcome.code == 10, outcome.err
    assert "newest job: 00000001-001 CLUSTER_CREATE SUCCEEDED" in outcome.err
    assert "would be 00000001-002 RESTART_SERVICES SUCCEEDED" in outcome.err
    assert len(store.jobs(cluster.id)) == 2
    assert [each.name for each in store.clusters()] == ["demo"]


def test_sync_refuses_what_the_catalog_has_become_after_the_answer(
    coopr: Coopr, store: Store, catalog: str, between: Between
) -> None:
    cluster = recorded_active(store, catalog, "demo")
    file = Path(catalog) / "services" / "app.json"

    def becomes(command: str) -> None:
        file.write_text(json.dumps({"name": "app", **service(start=command, stop="true")}))

    becomes("echo harmless")
    between(lambda: becomes("rm -rf /"))
    outcome = coopr("sync", "demo", "-y")
    assert (outcome.code, "service app: is another one now" in outcome.err) == (10, True), outcome.err
    assert len(store.jobs(cluster.id)) == 1


def test_create_and_apply_refuse_a_name_or_a_catalog_that_is_another_after_the_answer(
    coopr: Coopr, store: Store, catalog: str, between: Between, tmp_path: Path
) -> None:
    words = ("-t", "tiny", "--services", "app", "--catalog", catalog)
    file = str(tmp_path / "x.plan")
    assert coopr("plan", "second", *words, "-o", file).code == 0
    between(lambda: new_cluster(store, "first"))
    outcome = coopr("create", "first", *words, "-y")
    assert (outcome.code, "'first' is taken" in outcome.err) == (10, True), outcome.err
    script = Path(catalog) / "services" / "app.json"
    text = script.read_text()
    for changed in (("apply", file), ("create", "second", *words, "-y")):
        script.write_text(text)
        between(lambda: script.write_text(text.replace("true", "false")))
        outcome = coopr(*changed)
        assert (outcome.code, "service app: is another one now" in outcome.err) == (10, True), outcome.err
    assert [each.name for each in store.clusters()] == ["first"]


def test_of_several_clusters_none_is_deleted_when_one_is_not_what_was_confirmed(
    coopr: Coopr, store: Store, catalog: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import coopr_cli.delete

    one, two = recorded_active(store, catalog, "one"), recorded_active(store, catalog, "two")
    monkeypatch.setattr(coopr_cli.delete, "confirm", lambda _question, *, yes: another_job(store, two.id))
    outcome = coopr("delete", "one", "two")
    assert (outcome.code, "cluster two (00000002)" in outcome.err) == (10, True), outcome.err
    assert (len(store.jobs(one.id)), len(store.jobs(two.id))) == (1, 2)


def test_a_cluster_that_another_shell_deleted_after_the_answer_is_deleted(
    coopr: Coopr, store: Store, catalog: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import coopr_cli.delete

    cluster = recorded_active(store, catalog, "demo")

    def delete(_question: str, *, yes: bool) -> None:
        job = store.start_job(cluster.id, "CLUSTER_DELETE", plan("CLUSTER_DELETE", store.layout(cluster.id)))
        store.finish_job(job.id, JobState.SUCCEEDED)

    monkeypatch.setattr(coopr_cli.delete, "confirm", delete)
    outcome = coopr("delete", "demo")
    assert (outcome.code, "Cluster demo (00000001) is deleted." in outcome.out) == (0, True), outcome.err
    assert len(store.jobs(cluster.id)) == 2


def test_retry_and_resume_go_on_with_the_job_that_was_meant_or_with_none(
    coopr: Coopr, store: Store, catalog: str, between: Between
) -> None:
    cluster = recorded_active(store, catalog, "demo")
    another_job(store, cluster.id, JobState.FAILED)
    between(lambda: store.finish_job(store.resume_job("00000001-002").id, JobState.FAILED))
    outcome = coopr("retry", "demo")
    told = "the newest job: 00000001-002 RESTART_SERVICES FAILED at "
    assert (outcome.code, told in outcome.err) == (10, True), outcome.err

    restart = Operation.CLUSTER_CONFIGURE
    job = store.start_job(cluster.id, restart, plan(restart, store.layout(cluster.id)))
    store.pause_job(job.id)
    store.leave_job(job.id)
    between(lambda: store.abort_job(job.id))
    assert coopr("resume", "demo").code == 10
    assert [str(each.state) for each in store.jobs(cluster.id)] == ["SUCCEEDED", "FAILED", "INTERRUPTED"]


def test_only_the_expired_clusters_that_were_named_are_deleted(coopr: Coopr, store: Store, between: Between) -> None:
    past = datetime.now(UTC) - timedelta(hours=1)
    named = new_cluster(store, "named", expires_at=past)
    other = new_cluster(store, "other")
    between(lambda: store.set_expiry(other.id, past))
    outcome = coopr("reap-expired", "-y")
    assert (outcome.code, "cluster other (00000002): has come up since" in outcome.err) == (10, True), outcome.err
    store.set_expiry(other.id, None)
    between(lambda: store.set_expiry(named.id, past + timedelta(days=1)))
    outcome = coopr("reap-expired", "-y")
    assert (outcome.code, "cluster named (00000001): is not there any more" in outcome.err) == (10, True), outcome.err
    assert [each.name for each in store.clusters()] == ["named", "other"]


def test_only_the_leftovers_that_were_listed_are_deleted(
    coopr: Coopr, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    import coopr_cli.maintenance.gc

    logs = load_settings().state_dir / "logs"
    listed, other = logs / "90000001", logs / "90000002"
    listed.mkdir(parents=True)
    monkeypatch.setattr(coopr_cli.maintenance.gc, "confirm", lambda _question, *, yes: other.mkdir())
    outcome = coopr("gc")
    assert (outcome.code, f"logs {other}: has come up since" in outcome.err) == (10, True), outcome.err
    assert listed.is_dir()
    for folder in (listed, other):
        folder.rmdir()


def answered(question: str, happens: Callable[[], object], *words: str) -> tuple[int, str]:
    """Run the command on a terminal of its own; something happens before its question is answered with yes."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "coopr_cli", *words], stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    said = b""
    while question.encode() not in said:
        said += os.read(ours, 4096)
    happens()
    os.write(ours, b"y\n")
    with suppress(OSError):  # the terminal is gone with its last process
        while more := os.read(ours, 4096):
            said += more
    os.close(ours)
    return process.wait(timeout=120), said.decode()


def test_what_another_shell_added_meanwhile_is_not_destroyed(coopr: Coopr, store: Store, tmp_path: Path) -> None:
    from flows import create_cluster, delete_cluster, scale_cluster

    catalog = write_catalog(tmp_path / "small", {"app": service(start="true")})
    create_cluster(name="t7", template="tiny", size=1, catalog=[catalog])
    try:
        code, said = answered("Scale cluster t7?", lambda: scale_cluster("t7", size=5), "scale", "t7", "--nodes", "3")
        assert "2 to add, 0 to change, 0 to destroy" in said
        assert code == 10, said
        assert "the plan: 2 to add, 0 to change, 0 to destroy" in said
        assert "it would be 0 to add, 0 to change, 2 to destroy" in said
        assert "SCALE SUCCEEDED" in said
        assert [node.state for node in store.nodes(store.cluster("t7").id)] == ["CONFIRMED"] * 5
        code, said = answered("Scale cluster t7?", lambda: None, "scale", "t7", "--nodes", "4")
        assert (code, "4 nodes" in said) == (0, True), said
    finally:
        delete_cluster("t7")
