"""Task runs wait for slots of their tags where somebody has set a limit, and ask nobody where not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from flow_catalog import service, write_catalog
from prefect_server import api
from watching import wait_for

from coopr_core.store import Store
from flows.server import ServerInfo

Limit = Callable[[str, int], None]


@pytest.fixture
def limit(prefect_server: ServerInfo) -> Iterator[Limit]:
    """Sets limits on tags, for the length of the test."""
    names: list[str] = []

    def set_limit(tag: str, most: int) -> None:
        name = f"tag:{tag}"
        api(prefect_server, "/v2/concurrency_limits/", {"name": name, "limit": most})
        names.append(name)

    yield set_limit
    for name in names:
        api(prefect_server, f"/v2/concurrency_limits/{name}", method="DELETE")


@pytest.fixture
def asked(prefect_server: ServerInfo, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What Prefect asks slots of, for each task run."""
    from prefect.concurrency import _sync

    names: list[tuple[str, ...]] = []
    acquire = _sync.acquire_concurrency_slots_with_lease

    def note(wanted: list[str], *args: Any, **kwargs: Any) -> Any:
        names.append(tuple(sorted(wanted)))
        return acquire(wanted, *args, **kwargs)

    monkeypatch.setattr(_sync, "acquire_concurrency_slots_with_lease", note)
    return names


def _created(store: Store, folder: Path, name: str) -> str:
    """A cluster of three nodes whose INSTALL takes a while; its job's id."""
    from flows import create_cluster

    catalog = write_catalog(folder / "catalog", {"app": service(install="sleep 0.3", start="true")})
    cluster = create_cluster(name=name, template="tiny", size=3, catalog=[catalog])
    return str(store.cluster_with_id(cluster["cluster_id"]).last_job)


@contextmanager
def _deleted_after(store: Store, job_id: str) -> Iterator[None]:
    from flows import delete_cluster

    try:
        yield
    finally:
        delete_cluster(job_id.rpartition("-")[0])


def _together(store: Store, job_id: str, action: str) -> bool:
    """Whether any two tasks of the action ran at the same time."""
    spans = sorted((task.started, task.ended) for task in store.tasks(job_id) if task.action == action)  # type: ignore[type-var]  # they have ended
    return any(later[0] < earlier[1] for earlier, later in pairwise(spans))  # type: ignore[operator]  # they have ended


def test_nobody_is_asked_about_tags_without_a_limit_and_every_task_run_has_its_tags(
    prefect_server: ServerInfo, store: Store, tmp_path: Path, asked: list[tuple[str, ...]]
) -> None:
    job_id = _created(store, tmp_path, "unlimited")
    with _deleted_after(store, job_id):
        assert asked == []
        wanted = {
            task.task_run_id: {
                "cluster:unlimited",
                f"job:{job_id}",
                f"stage:{task.stage}",
                f"action:{task.action}",
            }
            for task in store.tasks(job_id)
        }
        sought = {"task_runs": {"tags": {"all_": [f"job:{job_id}"]}, "state": {"type": {"any_": ["COMPLETED"]}}}}

        def recorded() -> list[dict[str, Any]]:
            runs: list[dict[str, Any]] = api(prefect_server, "/task_runs/filter", sought)
            return runs if len(runs) == len(wanted) else []

        tags = {run["id"]: set(run["tags"]) for run in wait_for(recorded, "the server's record of the task runs")}
        assert all(tags[run] >= expected for run, expected in wanted.items())


def test_a_limit_on_a_tag_holds_for_the_task_runs_that_have_it_alone(
    limit: Limit, store: Store, tmp_path: Path, asked: list[tuple[str, ...]]
) -> None:
    limit("action:INSTALL", 1)
    job_id = _created(store, tmp_path, "limited")
    with _deleted_after(store, job_id):
        assert set(asked) == {("tag:action:INSTALL",)}
        assert not _together(store, job_id, "INSTALL")
