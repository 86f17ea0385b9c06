"""A change of what a cluster is made of is recorded with the job that makes it so, or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from store_samples import TEMPLATE, WEB, new_cluster, stages

from coopr_core.errors import Busy, Refused
from coopr_core.model.quotas import Quota, TenantOverQuota
from coopr_core.model.records import ClusterRecord
from coopr_core.model.states import ClusterState, JobState, NodeState
from coopr_core.store import Store
from coopr_core.store.cluster_change import ClusterChange


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


def grown(store: Store, cluster: ClusterRecord, *numbers: int) -> ClusterChange:
    layout = store.layout(cluster.id)
    kept = [node for node in layout.nodes if node.number in numbers]
    new = [
        replace(layout.nodes[0], number=number, host_name=f"n{number}.local")
        for number in numbers
        if number not in {node.number for node in kept}
    ]
    request = store.request(cluster.id).model_copy(update={"size": len(numbers)})
    return ClusterChange(replace(layout, nodes=(*kept, *new)), request, TEMPLATE, cluster.last_job)


def test_new_nodes_are_on_record_with_the_job_and_leaving_ones_until_it_has_deleted_them(
    store: Store, active: ClusterRecord
) -> None:
    job = store.start_job(active.id, "SCALE", stages(), change=grown(store, active, 1000, 1002))
    assert [(node.number, node.state) for node in store.nodes(active.id)] == [
        (1000, NodeState.CONFIRMED),
        (1001, NodeState.CONFIRMED),
        (1002, NodeState.PLANNED),
    ]
    store.record_machine(active.id, 1002, {"provider_id": "j"}, NodeState.CONFIRMED)
    store.record_machine(active.id, 1001, None, NodeState.DELETED)
    store.finish_job(job.id, JobState.SUCCEEDED)
    assert [node.number for node in store.nodes(active.id)] == [1000, 1002]
    assert store.cluster("demo").size == 2
    assert store.request(active.id).size == 2


def test_a_failed_job_forgets_no_node(store: Store, active: ClusterRecord) -> None:
    job = store.start_job(active.id, "SCALE", stages(), change=grown(store, active, 1000))
    store.record_machine(active.id, 1001, None, NodeState.DELETED)
    store.finish_job(job.id, JobState.FAILED, "no luck")
    assert [node.number for node in store.nodes(active.id)] == [1000, 1001]


def test_growth_beyond_the_quota_is_refused_and_changes_nothing(store: Store, active: ClusterRecord) -> None:
    store.set_quota(active.tenant, Quota(nodes=3))
    with pytest.raises(TenantOverQuota, match="nodes: 3"):
        store.start_job(active.id, "SCALE", stages(), change=grown(store, active, 1000, 1001, 1002, 1003))
    assert len(store.nodes(active.id)) == 2
    assert store.cluster("demo").state is ClusterState.ACTIVE
    store.start_job(active.id, "SCALE", stages(), change=grown(store, active, 1000, 1001, 1002))
    assert len(store.nodes(active.id)) == 3
