"""Small clusters and plans for tests that need a store with something in it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coopr_core.catalog.entities import ClusterTemplate, Link, Service
from coopr_core.model.facts import ClusterFacts, ProviderFacts
from coopr_core.model.layout import ClusterLayout, Node
from coopr_core.model.placement import Placement
from coopr_core.model.records import ClusterRecord
from coopr_core.model.request import ClusterRequest
from coopr_core.model.states import JobState
from coopr_core.store import Store
from coopr_core.store.clusters import insert_cluster
from coopr_core.store.rows import cluster_record

WEB = Service.model_validate(
    {
        "name": "web",
        "dependencies": {"runtime": {"requires": ["db"]}},
        "provisioner": {"actions": {"start": {"type": "shell", "fields": {"script": "start.sh"}}}},
        "files": {"start.sh": "echo started\n"},
    }
)
DB = Service(name="db")
TEMPLATE = ClusterTemplate.model_validate(
    {
        "name": "site",
        "defaults": {"services": ["web", "db"], "dnsSuffix": "example.org"},
        "constraints": {"size": {"min": 1}},
    }
)


@dataclass(frozen=True)
class PlannedTask:
    node: int
    action: str
    service: str = ""


@dataclass(frozen=True)
class PlannedStages:
    stages: tuple[tuple[PlannedTask, ...], ...]

    def record(self) -> dict[str, Any]:
        return {"operation": "TEST", "stages": len(self.stages)}


def layout(size: int = 2) -> ClusterLayout:
    """Nodes that each have both services."""
    return ClusterLayout(
        nodes=tuple(
            Node(
                number=1000 + index,
                placement=Placement("local", "small", "linux", "s-1", "ami-1", "a"),
                services=("db", "web"),
                ssh_user="admin",
                price=0.25,
            )
            for index in range(size)
        ),
        services={"web": WEB, "db": DB},
        template="site",
        provider="local",
        config={"web": {"port": 80, "peers": "%host.service.web%"}},
        links=(Link(label="site", url="http://%ip.access_v4.service.web[0]%/"),),
    )


def record_cluster(
    store: Store, request: ClusterRequest, template: ClusterTemplate, layout: ClusterLayout, **options: Any
) -> ClusterRecord:
    """A recorded cluster that no job has worked on, INCOMPLETE: what a test's own jobs start from."""
    given = {"owner": "ada", "tenant": store.tenant, "expires_at": None, "facts": ClusterFacts(), **options}
    with store._database.write(durable=True) as connection:
        return cluster_record(insert_cluster(connection, request, template, layout, **given))


def new_cluster(store: Store, name: str = "demo", size: int = 2, **options: Any) -> ClusterRecord:
    """A recorded cluster that no job has worked on."""
    request = ClusterRequest(name=name, template="site", size=size)
    return record_cluster(store, request, TEMPLATE, layout(size), **options)


def recorded_active(store: Store, catalog: str, name: str) -> ClusterRecord:
    """An active cluster of two nodes with the service ``app`` of the catalog's ``tiny``, never made for real."""
    from coopr_core.operations.create import prepare_create

    values = {"name": name, "template": "tiny", "size": 2, "services": ["app"]}
    made = prepare_create(values, catalog=[catalog], store=store)
    facts = ClusterFacts((ProviderFacts.of(made.provider),), catalog=(catalog,))
    cluster, job = store.begin_cluster(made.request, made.template, made.layout, made.plan, owner="me", facts=facts)
    store.finish_job(job.id, JobState.SUCCEEDED)
    return store.cluster_with_id(cluster.id)


def another_job(store: Store, cluster_id: str, state: JobState = JobState.SUCCEEDED) -> None:
    """Another shell restarts the cluster, with that end."""
    from coopr_core.planner import plan

    job = store.start_job(cluster_id, "RESTART_SERVICES", plan("RESTART_SERVICES", store.layout(cluster_id)))
    store.finish_job(job.id, state)


def begin(store: Store, name: str = "demo", size: int = 2) -> ClusterRecord:
    """A cluster recorded as the product does, with the job that creates it."""
    request = ClusterRequest(name=name, template="site", size=size)
    return store.begin_cluster(request, TEMPLATE, layout(size), stages(size), owner="ada")[0]


def stages(size: int = 2, actions: tuple[str, ...] = ("CREATE", "CONFIRM")) -> PlannedStages:
    """A plan of one stage per action, with one task per node."""
    return PlannedStages(tuple(tuple(PlannedTask(1000 + n, action) for n in range(size)) for action in actions))


def engine_url(url: str) -> str:
    """The URL as SQLAlchemy wants it."""
    return url.replace("postgresql://", "postgresql+psycopg://")


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Another process that runs ``code`` with this project's packages and these samples."""
    path = str(Path(__file__).parent)
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r})\n{code}", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
