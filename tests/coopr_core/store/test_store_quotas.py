from __future__ import annotations

import time
from dataclasses import replace

import pytest
from store_samples import TEMPLATE, new_cluster, python, stages

from coopr_core.errors import InvalidInput, OverQuota
from coopr_core.model.layout import Node
from coopr_core.model.quotas import Holding, Quota
from coopr_core.model.records import JobRecord
from coopr_core.model.states import ClusterState, JobState
from coopr_core.store import Store
from coopr_core.store.cluster_change import ClusterChange


def test_a_tenant_without_a_quota_may_have_anything(store: Store) -> None:
    new_cluster(store, "a", size=50)
    assert store.quota("default") == Quota()
    assert store.holding("default") == Holding(clusters=1, nodes=50, price=12.5)


def test_what_exceeds_the_quota_is_refused_and_nothing_of_it_is_recorded(store: Store) -> None:
    store.set_quota("lab", Quota(nodes=5))
    new_cluster(store, "a", size=3, tenant="lab")
    with pytest.raises(OverQuota, match="nodes: 5 nodes allowed, 3 in use, 3 more wanted"):
        new_cluster(store, "b", size=3, tenant="lab")
    assert [cluster.name for cluster in store.clusters(tenant="lab")] == ["a"]
    new_cluster(store, "b", size=3, tenant="other")
    new_cluster(store, "c", size=2, tenant="lab")
    assert store.holding("lab") == Holding(clusters=2, nodes=5, price=1.25)


def test_a_deleted_cluster_gives_back_what_it_took(store: Store) -> None:
    store.set_quota("default", Quota(clusters=1))
    cluster = new_cluster(store, "a")
    with pytest.raises(OverQuota):
        new_cluster(store, "b")
    store.finish_job(store.start_job(cluster.id, "CLUSTER_DELETE", stages()).id, JobState.SUCCEEDED)
    assert store.cluster("a", terminated=True).state is ClusterState.TERMINATED
    new_cluster(store, "b")


def test_a_quota_is_changed_and_lifted_and_only_makes_sense_from_0_up(store: Store) -> None:
    store.set_quota("lab", Quota(clusters=1, price=2.5))
    assert store.tenants() == ["lab"]
    store.set_quota("lab", Quota(clusters=2))
    assert store.quota("lab") == Quota(clusters=2)
    store.set_quota("lab", Quota())
    assert (store.quota("lab"), store.tenants()) == (Quota(), [])
    with pytest.raises(InvalidInput, match="makes no sense"):
        store.set_quota("lab", Quota(nodes=-1))


def test_nodes_that_come_or_become_dearer_are_reserved_too(store: Store) -> None:
    cluster = new_cluster(store, "a")
    store.finish_job(store.start_job(cluster.id, "CLUSTER_CREATE", stages()).id, JobState.SUCCEEDED)
    store.set_quota("default", Quota(nodes=3, price=0.8))

    def change(operation: str, *nodes: Node) -> JobRecord:
        made_of = replace(store.layout(cluster.id), nodes=nodes)
        last = store.jobs(cluster.id)[-1].id
        wanted = ClusterChange(made_of, store.request(cluster.id), TEMPLATE, last)
        return store.start_job(cluster.id, operation, stages(), change=wanted)

    first, second = store.layout(cluster.id).nodes
    another = replace(second, number=1002, host_name="a-1002", price=0.25)
    with pytest.raises(OverQuota, match="nodes: 3 nodes allowed, 2 in use, 2 more wanted"):
        change("SCALE", first, second, another, replace(another, number=1003))
    with pytest.raises(OverQuota, match=r"price: 0\.8 an hour allowed, 0\.5 in use, 0\.5 more wanted"):
        change("REPLACE_NODES", replace(first, price=0.5), replace(second, price=0.5))
    with pytest.raises(OverQuota, match="price"):
        change("SCALE", replace(first, price=0.5), second, another)
    store.finish_job(change("SCALE", first, second, another).id, JobState.SUCCEEDED)
    assert store.holding("default") == Holding(clusters=1, nodes=3, price=0.75)
    change("REPLACE_NODES", replace(first, price=0.3), replace(second, price=0.2), another)


def test_looking_whether_something_fits_reserves_nothing(store: Store) -> None:
    store.set_quota("lab", Quota(clusters=1))
    store.check_quota("lab", Holding(clusters=1, nodes=3))
    store.check_quota("lab", Holding(clusters=1, nodes=3))
    with pytest.raises(OverQuota):
        store.check_quota("lab", Holding(clusters=2))


def test_of_processes_that_create_at_once_only_as_many_succeed_as_the_quota_allows(store: Store, url: str) -> None:
    store.set_quota("default", Quota(nodes=6))
    code = """
import time
from store_samples import new_cluster
from coopr_core.errors import OverQuota
from coopr_core.store import Store
from coopr_core.store.cluster_change import ClusterChange
with Store.open(sys.argv[1]) as store:
    time.sleep(max(0, float(sys.argv[3]) - time.time()))
    made = 0
    for number in range(4):
        try:
            new_cluster(store, f"{sys.argv[2]}-{number}")
            made += 1
        except OverQuota:
            pass
print(made)
"""
    moment = str(time.time() + 3)
    processes = [python(code, url, f"racer{number}", moment) for number in range(3)]
    made = [int(process.communicate(timeout=60)[0].strip()) for process in processes]
    assert sum(made) == 3
    assert store.holding("default") == Holding(clusters=3, nodes=6, price=1.5)
