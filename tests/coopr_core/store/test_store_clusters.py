from __future__ import annotations

import unicodedata
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text, update
from store_samples import TEMPLATE, begin, layout, new_cluster, record_cluster, stages

from coopr_core import Catalog, solve
from coopr_core.errors import InvalidInput, NotFound, Refused
from coopr_core.model.request import ClusterRequest
from coopr_core.model.states import ClusterState, JobState, NodeState
from coopr_core.store import Store
from coopr_core.store.cluster_change import ClusterChange
from coopr_core.store.schema import clusters, nodes


def _terminate(store: Store, cluster_id: str) -> None:
    store.finish_job(store.start_job(cluster_id, "CLUSTER_DELETE", stages()).id, JobState.SUCCEEDED)


def test_a_new_cluster_gets_the_next_id_and_is_incomplete_until_its_first_job(store: Store) -> None:
    first, second = new_cluster(store), new_cluster(store, "other", size=3)
    assert (first.id, second.id) == ("00000001", "00000002")
    assert first.state is ClusterState.INCOMPLETE
    assert (first.owner, first.tenant, first.template, first.provider, first.size) == (
        "ada",
        "default",
        "site",
        "local",
        2,
    )
    assert first.last_job is None
    assert first.created.tzinfo == UTC
    assert abs(datetime.now(UTC) - first.created) < timedelta(minutes=1)


def test_its_nodes_are_named_by_cluster_and_suffix_of_request_or_template(store: Store) -> None:
    cluster = new_cluster(store)
    assert [node.host_name for node in store.nodes(cluster.id)] == ["demo1-1000.example.org", "demo1-1001.example.org"]
    request = ClusterRequest(name="own", template="site", dns_suffix="lab")
    own = record_cluster(store, request, TEMPLATE, layout(1), owner="ada")
    assert store.nodes(own.id)[0].host_name == "own2-1000.lab"


def test_layout_template_and_request_come_back_as_they_were(store: Store) -> None:
    request = ClusterRequest(name="demo", template="site", size=2, config={"web": {"port": 81}}, lease="2h")
    given = layout(2)
    cluster = record_cluster(store, request, TEMPLATE, given, owner="ada")
    kept = store.layout(cluster.id)
    assert replace(kept, nodes=tuple(replace(node, host_name="") for node in kept.nodes)) == given
    assert store.template(cluster.id) == TEMPLATE
    assert store.request(cluster.id) == request


def test_every_builtin_template_and_its_services_come_back_as_they_were(store: Store) -> None:
    catalog = Catalog.load()
    assert catalog.templates
    for name, template in catalog.templates.items():
        request = ClusterRequest(name=name, template=name, size=template.constraints.size.max)
        solved = solve(catalog, request)
        cluster = record_cluster(store, request, template, solved, owner="ada")
        kept = store.layout(cluster.id)
        assert replace(kept, nodes=tuple(replace(node, host_name="") for node in kept.nodes)) == replace(
            solved, nodes=tuple(replace(node, host_name="") for node in solved.nodes)
        )
        assert store.template(cluster.id) == template
        assert store.request(cluster.id) == request


def test_config_that_json_cannot_hold_is_refused_and_dates_become_text(store: Store) -> None:
    def create(value: object) -> str:
        given = replace(layout(1), config={"value": value})
        return record_cluster(store, ClusterRequest(name="demo", template="site"), TEMPLATE, given, owner="ada").id

    for odd in (object(), {1, 2}, float("nan")):
        with pytest.raises(InvalidInput, match="cannot be recorded"):
            create(odd)
    assert store.layout(create([date(2030, 1, 2), "\0 \ud800", {"a": None}])).config == {
        "value": ["2030-01-02", "\0 \ud800", {"a": None}]
    }


def test_a_taken_name_is_refused_with_a_hint(store: Store) -> None:
    new_cluster(store)
    with pytest.raises(InvalidInput, match="'demo' is taken") as caught:
        begin(store)
    assert "coopr delete demo" in caught.value.hint
    assert len(store.clusters()) == 1


def test_a_name_is_free_again_after_deletion_and_in_other_tenants(store: Store) -> None:
    first = new_cluster(store)
    other = new_cluster(store, tenant="lab")
    _terminate(store, first.id)
    again = new_cluster(store)
    assert store.cluster("demo").id == again.id
    assert store.cluster("demo", tenant="lab").id == other.id


def test_a_cluster_is_found_by_name_or_id_within_its_tenant(store: Store) -> None:
    cluster = new_cluster(store)
    assert store.cluster("demo") == store.cluster(cluster.id) == cluster
    with pytest.raises(NotFound):
        store.cluster(cluster.id, tenant="lab")


def _rename(store: Store, cluster_id: str, name: str) -> None:
    """Write a name into the record as an earlier version did."""
    with store._database.write() as connection:
        connection.execute(update(clusters).where(clusters.c.id == int(cluster_id)).values(name=name))


def test_an_id_is_found_before_a_name_also_that_of_a_deleted_cluster(store: Store) -> None:
    first, second = new_cluster(store, "prod"), new_cluster(store, "second")
    for name in ("00000001", "1", "0000001"):
        _rename(store, second.id, name)
        assert store.cluster(name).id == first.id
        assert store.cluster(second.id).name == name
        assert store.called(name) == store.cluster("2")
    _rename(store, second.id, "00000001")
    _terminate(store, first.id)
    for reference in ("00000001", "1"):
        assert store.cluster(reference, terminated=True).id == first.id
        with pytest.raises(NotFound, match=r"prod \(00000001\) is deleted"):
            store.cluster(reference)
    with pytest.raises(NotFound) as caught:
        store.cluster("00000001")
    assert "00000002" in caught.value.hint


def test_an_id_of_another_tenants_cluster_or_of_none_is_never_a_name(store: Store) -> None:
    other, own = new_cluster(store, "other", tenant="lab"), new_cluster(store, "own")
    for name in (other.id, "00000099", "999999999999"):
        _rename(store, own.id, name)
        with pytest.raises(NotFound, match=f"There is no cluster '{name}'") as caught:
            store.cluster(name)
        assert own.id in caught.value.hint
    _rename(store, own.id, "2024")
    assert store.cluster("2024").id == own.id, "short digits that are no id yet are still the name they were"


def test_the_id_of_a_job_or_task_is_told_as_such(store: Store) -> None:
    cluster = begin(store)
    for reference, command in (("00000001-001", "coopr tasks 00000001 --job"), ("00000001-001-002", "coopr logs")):
        with pytest.raises(NotFound) as caught:
            store.cluster(reference)
        assert command in caught.value.hint
        assert cluster.id in caught.value.hint


@pytest.mark.parametrize("name", ["00000001", "7", "٣٤", "１２", "²"])
def test_no_cluster_gets_a_name_that_looks_like_an_id(store: Store, name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ClusterRequest.parse(name=name, template="site")
    assert "digits alone" in str(caught.value)
    request = ClusterRequest(name="demo", template="site")
    for asked, called in ((request.model_copy(update={"name": name}), ""), (request, name)):
        with pytest.raises(InvalidInput, match="digits alone"):
            store.begin_cluster(asked, TEMPLATE, layout(1), stages(1), owner="ada", name=called)
    cluster = new_cluster(store)
    with pytest.raises(InvalidInput, match="digits alone"):
        store.take_name(cluster.id, name)
    assert [found.name for found in store.clusters()] == ["demo"]


def test_a_recorded_cluster_with_a_name_like_an_id_stays_readable(store: Store) -> None:
    request = ClusterRequest.recorded({"name": "00000077", "template": "site"})
    cluster = record_cluster(store, request, TEMPLATE, layout(1), owner="ada")
    assert store.request(cluster.id) == request
    assert store.cluster(cluster.id).name == "00000077"


def _next_number(store: Store, number: int) -> None:
    """Let the next cluster that is recorded have this number."""
    with store._database.write() as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text("DELETE FROM sqlite_sequence WHERE name = 'clusters'"))
            connection.execute(text(f"INSERT INTO sqlite_sequence VALUES ('clusters', {number - 1})"))
        else:
            connection.execute(text(f"SELECT setval('clusters_id_seq', {number - 1})"))


@pytest.mark.parametrize("tenant", ["default", "lab"])
def test_host_names_of_a_new_cluster_are_never_those_of_a_living_one(store: Store, tenant: str) -> None:
    for _ in range(4):
        _terminate(store, new_cluster(store, "early").id)
    first = new_cluster(store, "a1", tenant=tenant)
    assert store.nodes(first.id)[0].host_name == "a15-1000.example.org"
    _next_number(store, 15)
    assert store.next_cluster_id("a", "example.org") == "00000016"
    assert store.next_cluster_id("a", "other.org") == "00000016", "tools know a node by its first label"
    assert store.next_cluster_id("A", "EXAMPLE.ORG") == "00000016"
    second = new_cluster(store, "a", size=1)
    assert (second.id, store.nodes(second.id)[0].host_name) == ("00000016", "a16-1000.example.org")
    _terminate(store, first.id)
    _next_number(store, 25)
    third = new_cluster(store, "a2", size=1)
    assert store.nodes(third.id)[0].host_name == "a225-1000.example.org"
    _next_number(store, 15)
    assert store.next_cluster_id("a", "example.org") == "00000015", "a deleted cluster takes no names"


def test_a_node_that_is_added_is_not_called_like_another_clusters(store: Store) -> None:
    other, grown = new_cluster(store, "other", size=1), new_cluster(store, "grown", size=1)
    with store._database.write() as connection:
        change = {"host_name": "grown2-1001.example.org"}
        connection.execute(update(nodes).where(nodes.c.cluster == int(other.id)).values(change))
    after = store.layout(grown.id)
    added = replace(after.nodes[0], number=1001, host_name="grown2-1001.lab")
    after = replace(after, nodes=(*after.nodes, added))
    change = ClusterChange(after, store.request(grown.id), store.template(grown.id), None)
    store.finish_job(store.start_job(grown.id, "CLUSTER_CREATE", stages(1)).id, JobState.SUCCEEDED)
    change = replace(change, seen_job=store.cluster(grown.id).last_job)
    with pytest.raises(InvalidInput, match=r"grown2-1001\.example\.org.*other \(00000001\)"):
        store.start_job(grown.id, "SCALE", stages(1), change=change)
    assert len(store.nodes(grown.id)) == 1


def test_the_next_id_is_told_before_a_cluster_is_recorded(store: Store) -> None:
    assert store.next_cluster_id("demo") == "00000001"
    cluster = new_cluster(store)
    assert store.next_cluster_id("demo") == "00000002"
    _terminate(store, cluster.id)
    store.delete_cluster_record(cluster.id)
    assert store.next_cluster_id("demo") == "00000002" == new_cluster(store).id


def test_a_name_is_the_same_however_its_letters_are_put_together(store: Store) -> None:
    composed, apart = "한국", unicodedata.normalize("NFD", "한국")
    cluster = new_cluster(store, apart)
    assert cluster.name == composed
    assert store.cluster(apart).id == store.cluster(composed).id == cluster.id
    with pytest.raises(InvalidInput, match="is taken"):
        begin(store, apart)
    _rename(store, cluster.id, apart)
    assert store.cluster(composed).id == cluster.id, "an earlier version recorded it as it was typed"
    with pytest.raises(InvalidInput, match="is taken"):
        begin(store, composed)


def test_an_unknown_cluster_is_not_found_and_near_names_are_offered(store: Store) -> None:
    new_cluster(store, "webshop")
    with pytest.raises(NotFound, match="no cluster 'webshpo'") as caught:
        store.cluster("webshpo")
    assert "webshop" in caught.value.hint
    for nothing in ("", "zzz", "00000099", "99999999999999999999", "٣"):
        with pytest.raises(NotFound):
            store.cluster(nothing)


def test_a_deleted_cluster_is_history_found_only_when_asked_for(store: Store) -> None:
    cluster = new_cluster(store)
    store.record_machine(cluster.id, 1000, {"provider_id": "i-1"}, NodeState.CONFIRMED)
    store.record_properties(cluster.id, 1000, {"secret": "x"})
    _terminate(store, cluster.id)
    with pytest.raises(NotFound):
        store.cluster("demo")
    assert store.clusters() == []
    assert store.cluster("demo", terminated=True).state is ClusterState.TERMINATED
    assert [kept.id for kept in store.clusters(terminated=True)] == [cluster.id]
    node = store.nodes(cluster.id)[0]
    assert (node.state, node.machine, node.token, node.properties) == (NodeState.DELETED, None, "", {})
    assert store.nodes(cluster.id)[1].state is NodeState.PLANNED


def test_of_a_living_and_deleted_clusters_of_one_name_the_living_is_meant(store: Store) -> None:
    first = new_cluster(store)
    _terminate(store, first.id)
    second = new_cluster(store)
    _terminate(store, second.id)
    assert store.cluster("demo", terminated=True).id == second.id
    third = new_cluster(store)
    assert store.cluster("demo", terminated=True).id == third.id


def test_clusters_are_listed_by_tenant_owner_and_lease(store: Store) -> None:
    time = datetime(2030, 1, 1, 12, tzinfo=UTC)
    a = new_cluster(store, "a", expires_at=time)
    b = new_cluster(store, "b", owner="bob")
    c = new_cluster(store, "c", tenant="lab")
    assert a.expires_at == time
    assert [cluster.id for cluster in store.clusters()] == [a.id, b.id]
    assert [cluster.id for cluster in store.clusters(tenant=None)] == [a.id, b.id, c.id]
    assert [cluster.id for cluster in store.clusters(owner="bob")] == [b.id]
    assert store.clusters(expired_at=time - timedelta(seconds=1)) == []
    assert [cluster.id for cluster in store.clusters(expired_at=time)] == [a.id]


def test_times_keep_their_instant_whatever_zone_they_are_given_in(store: Store) -> None:
    there = datetime(2030, 1, 1, 12, tzinfo=ZoneInfo("Asia/Tokyo"))
    cluster = new_cluster(store, expires_at=there)
    assert cluster.expires_at == there
    assert str(cluster.expires_at) == "2030-01-01 03:00:00+00:00"


def test_lease_and_protection_can_be_changed(store: Store) -> None:
    cluster = new_cluster(store)
    time = datetime(2031, 5, 5, tzinfo=UTC)
    assert store.set_expiry(cluster.id, time).expires_at == time
    assert store.set_expiry(cluster.id, None).expires_at is None
    assert store.set_protected(cluster.id, True).protected
    with pytest.raises(NotFound):
        store.set_protected("00000099", True)


def test_only_a_deleted_cluster_can_be_forgotten_and_its_id_is_never_used_again(store: Store) -> None:
    cluster = new_cluster(store)
    with pytest.raises(Refused, match="only a deleted cluster"):
        store.delete_cluster_record(cluster.id)
    _terminate(store, cluster.id)
    store.delete_cluster_record(cluster.id)
    assert store.clusters(terminated=True) == []
    with pytest.raises(NotFound):
        store.job("00000001-001")
    assert new_cluster(store).id == "00000002"


def test_purging_forgets_clusters_deleted_before_a_time(store: Store) -> None:
    first, second = new_cluster(store, "a"), new_cluster(store, "b")
    _terminate(store, first.id)
    middle = datetime.now(UTC)
    _terminate(store, second.id)
    living = new_cluster(store, "c")
    assert store.purge(middle) == 1
    assert [cluster.id for cluster in store.clusters(terminated=True)] == [second.id, living.id]


def test_what_is_no_id_is_invalid_and_an_impossible_one_is_not_found(store: Store) -> None:
    with pytest.raises(InvalidInput):
        store.layout("demo")
    with pytest.raises(NotFound):
        store.layout("99999999999")


def test_text_in_any_script_is_kept(store: Store) -> None:
    cluster = new_cluster(store, "größe-集群")
    assert store.cluster("größe-集群").id == cluster.id
