"""Every setting does what it says: each is set in the environment and its effect is seen, most of them on one job."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from automator_plugin import install_awk
from flow_catalog import service, write_catalog
from store_samples import new_cluster

from coopr_core.automators import load_automator
from coopr_core.errors import TasksFailed
from coopr_core.model.job_parameters import JobParameters
from coopr_core.model.records import AttemptRecord, ClusterRecord, TaskRecord
from coopr_core.settings import Settings
from coopr_core.store import Store
from flows.server import ServerInfo

pytestmark = pytest.mark.real

CHOSEN = {
    "COOPR_MAX_CONCURRENCY": "2",
    "COOPR_ATTEMPTS": "2",
    "COOPR_SCHEDULE": "dataflow",
    "COOPR_TENANT": "effects",
    "COOPR_OWNER": "somebody",
}


@dataclass(frozen=True)
class Run:
    """What is on record of a job that ran with the settings ``CHOSEN`` and was told nothing else."""

    cluster: ClusterRecord
    parameters: JobParameters
    tasks: tuple[TaskRecord, ...]
    attempts: tuple[AttemptRecord, ...]


@pytest.fixture(scope="module")
def run(prefect_server: ServerInfo) -> Iterator[Run]:
    """A job on four nodes: ``slow`` is installed when ``fast`` has started elsewhere, ``doomed`` never starts."""
    from flows import create_cluster, delete_cluster, stages

    folder = Path(tempfile.mkdtemp(prefix="coopr-effects-"))
    folder.chmod(0o777)
    flag = folder / "fast-has-started"
    waiting = f'for _ in $(seq 1200); do test -e "{flag}" && exit 0; sleep 0.1; done; exit 1'
    services = {
        "fast": service(install="true", start=f'touch "{flag}"'),
        "slow": service(install=waiting, start="true"),
        "doomed": service(requires=("slow",), start="exit 3"),
        "plain": service(start="true"),
    }
    one = {"quantities": {"min": 1, "max": 1}}
    constraints = {
        "layout": {
            "cantcoexist": [["fast", "slow"], ["fast", "plain"], ["slow", "plain"]],
            "mustcoexist": [["slow", "doomed"]],
        },
        "services": {"fast": one, "slow": one, "doomed": one},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "RETRY_SECONDS", 0.1)
        for name, value in CHOSEN.items():
            patch.setenv(name, value)
        patch.setenv("COOPR_CATALOG", write_catalog(folder / "catalog", services, constraints=constraints))
        with pytest.raises(TasksFailed, match="START doomed"):
            create_cluster(name="effects", template="tiny", size=4)
        with Store.open() as store:
            cluster = store.cluster("effects")
            (job,) = store.jobs(cluster.id)
            tasks = tuple(store.tasks(job.id))
            attempts = tuple(attempt for task in tasks for attempt in store.attempts(task.id))
            parameters = store.job_parameters(job.id)
        yield Run(cluster, parameters, tasks, attempts)
        delete_cluster("effects")
    shutil.rmtree(folder)


def _state_dir(run: Run, folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("COOPR_STATE_DIR", str(folder))
    with Store.open() as store:
        assert store.clusters(tenant=None) == []
    assert (folder / "coopr.db").is_file()


def _database_url(run: Run, folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("COOPR_DATABASE_URL", f"sqlite:///{folder / 'other.db'}")
    with Store.open() as store:
        assert store.clusters(tenant=None) == []
    assert (folder / "other.db").is_file()


def _catalog(run: Run, folder: Path, patch: pytest.MonkeyPatch) -> None:
    assert run.cluster.template == "tiny", "which the builtin catalog does not have"


def _max_concurrency(run: Run, folder: Path, patch: pytest.MonkeyPatch) -> None:
    assert run.parameters.max_concurrency == 2
    changes = [(attempt.started, 1) for attempt in run.attempts]
    changes += [(attempt.ended, -1) for attempt in run.attempts if attempt.ended]
    at_once, most = 0, 0
    for _, change in sorted(changes):
        at_once += change
        most = max(most, at_once)
    assert most == 2, "of four nodes that were ready to be made"


def _attempts(run: Run, folder: Path, patch: pytest.MonkeyPatch) -> None:
    (doomed,) = [task for task in run.tasks if (task.action, task.service) == ("START", "doomed")]
    assert (doomed.attempts, doomed.state) == (2, "FAILED")


def _schedule(run: Run, folder: Path, patch: pytest.MonkeyPatch) -> None:
    assert run.parameters.schedule == "dataflow"
    (slow,) = [task for task in run.tasks if (task.action, task.service) == ("INSTALL", "slow")]
    (fast,) = [task for task in run.tasks if (task.action, task.service) == ("START", "fast")]
    assert slow.stage < fast.stage
    assert slow.state == fast.state == "SUCCEEDED", "stage by stage the one would have waited for the other for ever"


def _tenant(run: Run, folder: Path, patch: pytest.MonkeyPatch) -> None:
    assert run.cluster.tenant == "effects"


def _owner(run: Run, folder: Path, patch: pytest.MonkeyPatch) -> None:
    assert run.cluster.owner == "somebody"


def _lease_warning(run: Run, folder: Path, patch: pytest.MonkeyPatch) -> None:
    from flows import reap_expired

    patch.setenv("COOPR_DATABASE_URL", f"sqlite:///{folder / 'leases.db'}")
    with Store.open() as store:
        new_cluster(store, "ending", expires_at=datetime.now(UTC) + timedelta(hours=2))
    patch.setenv("COOPR_LEASE_WARNING", "1h")
    assert reap_expired()["warned"] == []
    patch.setenv("COOPR_LEASE_WARNING", "3h")
    assert [each["name"] for each in reap_expired()["warned"]] == ["ending"]


def _automators(run: Run, folder: Path, patch: pytest.MonkeyPatch) -> None:
    install_awk(folder, patch)
    patch.setenv("COOPR_AUTOMATORS", '{"awk": {"interpreter": "gawk"}}')
    assert load_automator("awk").settings.model_dump()["interpreter"] == "gawk"


EFFECTS: Mapping[str, Callable[[Run, Path, pytest.MonkeyPatch], Any]] = {
    "state_dir": _state_dir,
    "database_url": _database_url,
    "catalog": _catalog,
    "max_concurrency": _max_concurrency,
    "attempts": _attempts,
    "schedule": _schedule,
    "tenant": _tenant,
    "lease_warning": _lease_warning,
    "owner": _owner,
    "automators": _automators,
}


@pytest.mark.parametrize("setting", Settings.model_fields)
def test_every_setting_has_the_effect_it_promises(
    setting: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    EFFECTS[setting](run, tmp_path, monkeypatch)


def test_no_flow_and_no_command_has_a_default_of_its_own_for_a_setting(prefect_server: ServerInfo) -> None:
    import inspect

    import flows
    from coopr_cli.main import COMMANDS, cli

    own = {}
    for name in flows.__all__:
        for parameter in inspect.signature(getattr(flows, name).fn).parameters.values():
            if parameter.name in Settings.model_fields and parameter.default not in (None, inspect.Parameter.empty):
                own[name, parameter.name] = parameter.default
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        for option, value in command.make_context(name, [], resilient_parsing=True).params.items():
            if option in Settings.model_fields and value:
                own[name, option] = value
    assert own == {}
