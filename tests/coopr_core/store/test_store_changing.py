"""A change of what a cluster is made of is recorded with the job that makes it so, or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from store_samples import TEMPLATE, WEB, new_cluster, stages

from coopr_core.cluster.records import ClusterRecord
from coopr_core.cluster.states import ClusterState, JobState, NodeState
from coopr_core.errors import Busy, Refused
from coopr_core.store import Store
from coopr_core.store.changing import ClusterChange


@pytest.fixture
def active(store: Store) -> ClusterRecord:
    cluster = new_cluster(store)
    for number in (1000, 1001):
        store.record_machine(cluster.id, number, {"provider_id": "i"}, NodeState.CONFIRMED)
    store.finish_job(store.start_job(cluster.id, "CLUSTER_CREATE", stages()).id, JobState.SUCCEEDED)
    return store.cluster("demo")


def change(store: Store, cluster: ClusterRecord, **config: int) -> ClusterChange:
    layout = store.layout(cluster.id)
    nodes = (replace(layout.nodes[0], services=("db", "extra", "web")), layout.nodes[1])
    services = {**layout.services, "extra": WEB.model_copy(update={"name": "extra"})}
    return ClusterChange(
        layout=replace(layout, nodes=nodes, services=services, config=config),
        request=store.request(cluster.id).model_copy(update={"config": config}),
        template=TEMPLATE.model_copy(update={"label": "Newer"}),
        seen_job=cluster.last_job,
    )


def test_the_change_is_on_record_from_the_jobs_first_moment_and_after_its_failure(
    store: Store, active: ClusterRecord
) -> None:
    job = store.start_job(active.id, "CLUSTER_CONFIGURE", stages(), change=change(store, active, port=2))
    store.finish_job(job.id, JobState.FAILED, "no luck")
    layout = store.layout(active.id)
    assert layout.config == {"port": 2}
    assert [node.services for node in layout.nodes] == [("db", "extra", "web"), ("db", "web")]
    assert set(layout.services) == {"db", "extra", "web"}
    assert store.request(active.id).config == {"port": 2}
    assert store.template(active.id).label == "Newer"
    assert store.nodes(active.id)[0].machine == {"provider_id": "i"}
    assert store.cluster("demo").state is ClusterState.INCONSISTENT


def test_a_change_worked_out_before_another_job_is_refused_and_changes_nothing(
    store: Store, active: ClusterRecord
) -> None:
    late = change(store, active, port=3)
    store.finish_job(store.start_job(active.id, "STOP_SERVICES", stages()).id, JobState.SUCCEEDED)
    with pytest.raises(Busy, match="was changed by job 00000001-002"):
        store.start_job(active.id, "CLUSTER_CONFIGURE", stages(), change=late)
    assert store.layout(active.id).config != {"port": 3}
    assert len(store.jobs(active.id)) == 2
    assert store.cluster("demo").state is ClusterState.ACTIVE


def test_a_job_that_may_not_start_changes_nothing(store: Store) -> None:
    cluster = new_cluster(store)
    with pytest.raises(Refused):
        store.start_job(cluster.id, "CLUSTER_CONFIGURE", stages(), change=change(store, cluster, port=4))
    assert store.layout(cluster.id).config != {"port": 4}
