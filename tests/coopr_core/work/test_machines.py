"""Machines of a job's nodes from a cloud that throttles, is full in places and slow; the store is a real one."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from memory_cloud import Lines, MemoryCloud
from store_samples import record_cluster

from coopr_core.catalog.entities import ClusterTemplate
from coopr_core.errors import CooprError, Interrupted, NoCapacity, OverQuota, TimedOut
from coopr_core.model.layout import ClusterLayout, Node
from coopr_core.model.placement import Alternative, Placement
from coopr_core.model.policies import FailurePolicy
from coopr_core.model.quotas import Quota
from coopr_core.model.request import ClusterRequest
from coopr_core.model.states import NodeState
from coopr_core.planner import plan
from coopr_core.providers.cloud import Cloud, Clouds
from coopr_core.providers.contract import MachineState
from coopr_core.providers.limits import ProviderLimits
from coopr_core.remote.access import NodeAccess
from coopr_core.store import Store
from coopr_core.work.job.after_failure import AfterFailure
from coopr_core.work.machines import Machines
from coopr_core.work.membership import Membership
from coopr_core.work.picture import ClusterPicture

A = Placement("cloud", "small", "linux", "s", "ami", "a")
B = replace(A, zone="b")
LARGE = replace(A, hardware_type="large", flavor="l")


class Job:
    """A cluster in a real store, and the machines of a job."""

    def __init__(
        self, store: Store, cloud: MemoryCloud, *nodes: Node, clouds: Clouds | None = None, name: str = "c"
    ) -> None:
        self.store, self.cloud, self.log = store, cloud, Lines()
        layout = ClusterLayout(nodes or (Node(1000, placement=A),), template="t", provider="cloud")
        request = ClusterRequest(name=name, template="t")
        self.cluster = record_cluster(store, request, ClusterTemplate(name="t"), layout, owner="bob")
        self.clouds = clouds or Clouds.of(cloud, "cloud")
        self.restart()

    def restart(self) -> None:
        """Go on with what another process would know."""
        layout = self.store.layout(self.cluster.id)
        self.access = NodeAccess(Path("no-key"))
        self.picture = ClusterPicture(self.store, self.cluster, layout, Membership())
        self.machines = Machines(
            self.picture, self.clouds, self.access, "ssh-ed25519 AAAA", host_key_seed=lambda: b"secret of the cluster"
        )

    def create(self, number: int = 1000) -> None:
        self.machines.create(number, self.log)  # type: ignore[arg-type] # it writes

    def confirm(self, number: int = 1000) -> None:
        self.machines.confirm(number, 1, self.log)  # type: ignore[arg-type] # it writes

    def node(self, number: int = 1000) -> Any:
        return self.store.node(self.cluster.id, number)


def test_two_hundred_machines_take_few_calls_and_none_is_lost(store: Store) -> None:
    cloud = MemoryCloud(per_second=40.0, ready_after=0.5, takes=0.01, forgets=3, room={"a": 120, "b": 500})
    full_in_a = Alternative(B, 0.1)
    job = Job(store, cloud, *(Node(1000 + i, placement=A, alternatives=(full_in_a,)) for i in range(200)))

    def make(number: int) -> None:
        job.create(number)
        job.confirm(number)

    with ThreadPoolExecutor(64) as threads:
        list(threads.map(make, range(1000, 1200)))
    nodes = store.nodes(job.cluster.id)
    assert {node.state for node in nodes} == {NodeState.CONFIRMED}
    assert {node.token for node in nodes} == set(cloud.machines), "none is lost, none is left over"
    assert [sum(node.zone == zone for node in nodes) for zone in "ab"] == [120, 80]
    made = cloud.calls["create"]
    assert made <= 80, f"{made} calls for 200 machines"
    assert max(cloud.sizes) > 10
    assert cloud.calls["describe"] <= 80
    with ThreadPoolExecutor(64) as threads:
        list(threads.map(job.machines.discard, range(1000, 1200)))
    assert cloud.machines == {}
    assert cloud.calls["delete"] <= 40
    assert cloud.calls["find"] - cloud.calls["throttled"] <= 1


def test_a_full_place_leads_to_the_next_that_is_recorded_before_it_is_asked(store: Store) -> None:
    cloud = MemoryCloud(room={"a": 0})
    recorded: list[tuple[str, str]] = []
    job = Job(store, cloud, Node(1000, placement=A, price=0.1, alternatives=(Alternative(B, 0.3),)))
    made = cloud.create

    def create(requests: Any) -> Any:
        recorded.append((job.node().zone, job.node().token))
        return made(requests)

    cloud.create = create  # type: ignore[method-assign] # to look at the record while the request is under way
    job.create()
    node = job.node()
    assert (node.placement, node.price, node.state) == (B, 0.3, NodeState.CREATED)
    assert node.alternatives == (Alternative(A, 0.1),)
    assert [zone for zone, _ in recorded] == ["a", "b"]
    assert recorded[1] == ("b", node.token) != recorded[0]
    assert [request.placement for request in cloud.requests] == [A, B]
    assert any(
        "no room in zone a; trying small (flavor s) in zone b of cloud instead" in line for line in job.log.lines
    )


def test_places_that_are_all_full_are_each_asked_once_and_the_error_is_the_last_ones(store: Store) -> None:
    cloud = MemoryCloud(room={"a": 0, "b": 0})
    job = Job(store, cloud, Node(1000, placement=A, alternatives=(Alternative(LARGE), Alternative(B))))
    with pytest.raises(NoCapacity, match="no room in zone b") as caught:
        job.create()
    assert caught.value.placement == B
    assert [request.placement for request in cloud.requests] == [A, LARGE, B]
    job.restart()
    cloud.room["a"] = 1
    job.create()
    assert job.node().placement == A


def test_a_place_the_quota_does_not_allow_is_passed_over(store: Store) -> None:
    cloud = MemoryCloud(room={"a": 0})
    dear, cheap = Alternative(replace(B, hardware_type="huge", flavor="h"), 5.0), Alternative(B, 0.2)
    job = Job(store, cloud, Node(1000, placement=A, price=0.1, alternatives=(dear, cheap)))
    store.set_quota(store.tenant, Quota(price=1.0))
    job.create()
    assert (job.node().placement, job.node().price) == (B, 0.2)
    with pytest.raises(OverQuota):
        store.place_elsewhere(job.cluster.id, 1000, dear)
    assert job.node().placement == B


def test_a_machine_that_failed_for_want_of_room_is_made_elsewhere(store: Store) -> None:
    cloud = MemoryCloud()
    job = Job(store, cloud, Node(1000, placement=A, alternatives=(Alternative(B),)))
    job.create()
    status, first = cloud._status, job.node().token

    def full(machine: Any) -> Any:
        seen = status(machine)
        lost = NoCapacity("no valid host was found", placement=A)
        return replace(seen, state=MachineState.FAILED, error=lost) if machine.token == first else seen

    cloud._status = full  # type: ignore[method-assign] # as OpenStack tells it: the server is in state ERROR
    job.confirm()
    assert (job.node().placement, job.node().state) == (B, NodeState.CONFIRMED)
    assert list(cloud.machines) == [job.node().token]


def test_one_requests_failure_fails_that_task_alone(store: Store) -> None:
    cloud = MemoryCloud(room={"full": 0})
    nodes = [Node(1000 + i, placement=A) for i in range(5)]
    nodes[2] = Node(1002, placement=replace(A, zone="full"))
    job = Job(store, cloud, *nodes)

    def make(number: int) -> str:
        try:
            job.create(number)
        except CooprError as error:
            return error.code
        return ""

    with ThreadPoolExecutor(5) as threads:
        results = list(threads.map(make, range(1000, 1005)))
    assert results == ["", "", "no-capacity", "", ""]
    assert cloud.calls["create"] < 5


def test_a_deadline_says_what_was_seen_last(store: Store) -> None:
    limits = ProviderLimits(batch_size=50, describe_size=100, poll_seconds=0.05, usable_within=0.4, gather_seconds=0.01)
    cloud = MemoryCloud(ready_after=3600, limits=limits)
    job = Job(store, cloud)
    job.create()
    first = job.node().token
    with pytest.raises(
        TimedOut, match=r"machine i-\S+ of node 1000 is still PENDING after \d+ s; last seen \d+ s ago: boo"
    ):
        job.confirm()
    assert any("is not usable 0.4 s after it was made" in line for line in job.log.lines), "it is replaced, once"
    assert job.node().token != first
    assert len(cloud.machines) == 1


def test_a_stopped_machine_is_revived_and_none_is_made(store: Store) -> None:
    cloud = MemoryCloud()
    job = Job(store, cloud)
    job.create()
    token = job.node().token
    cloud.machines[token].state = MachineState.STOPPED
    job.confirm()
    assert (cloud.calls["revive"], cloud.calls["create"], list(cloud.machines)) == (1, 1, [token])


def test_waiting_for_a_machine_ends_when_the_job_is_stopped(store: Store) -> None:
    job = Job(store, MemoryCloud(ready_after=3600))
    job.create()
    stop = threading.Timer(0.2, lambda: job.access.stop())
    stop.start()
    began = time.monotonic()
    with pytest.raises(Interrupted):
        job.confirm()
    stop.join()
    assert time.monotonic() - began < 60
    assert job.node().machine is not None


def test_what_is_attached_is_recorded_before_it_is_made_given_to_machines_and_released_last(store: Store) -> None:
    cloud = MemoryCloud(kinds=("key-pair", "security-group"))
    job = Job(store, cloud, Node(1000, placement=A), Node(1001, placement=A))
    seen: list[list[str]] = []
    make = cloud.prepare

    def prepare(scope: Any) -> Any:
        for thing in make(scope):
            yield thing
            seen.append([f"{name} {each['provider_id']}" for name, each in store.attached(job.cluster.id)])

    cloud.prepare = prepare  # type: ignore[method-assign] # to look at the record at each step
    job.create(1000)
    job.create(1001)
    assert cloud.calls["prepare"] == 2, "once a job"
    assert seen[0] == ["cloud "], "on record before it is there"
    assert seen[-1] == ["cloud key-pair-1", "cloud security-group-1"]
    assert [thing.provider_id for thing in cloud.requests[0].attached] == ["key-pair-1", "security-group-1"]
    job.restart()
    for number in (1000, 1001):
        job.machines.discard(number)
    assert len(cloud.attached) == 2
    job.machines.delete_strays()
    assert (cloud.attached, store.attached(job.cluster.id)) == ({}, [])


def test_what_is_attached_goes_with_a_cluster_that_is_rolled_back_and_stays_with_one_that_only_grew(
    store: Store,
) -> None:
    for left in (0, 1):
        cloud = MemoryCloud(kinds=("key-pair",))
        job = Job(store, cloud, *(Node(1000 + i, placement=A) for i in range(1 + left)), name=f"c{left}")
        run = store.start_job(job.cluster.id, "CLUSTER_CREATE", plan("CLUSTER_CREATE", store.layout(job.cluster.id)))
        for number in range(1000, 1001 + left):
            job.create(number)
        job.picture.membership = Membership(created=frozenset({1000}))
        actions: Any = SimpleNamespace(picture=job.picture, machines=job.machines)
        after = AfterFailure(store, run, actions, FailurePolicy(on_failure="rollback"))
        assert "rolled back: deleted" in after.roll_back()
        assert after.rolled_back
        assert (len(cloud.machines), len(cloud.attached), len(store.attached(job.cluster.id))) == (left, left, left)


def test_what_was_recorded_and_never_made_is_released_too(store: Store) -> None:
    cloud = MemoryCloud(kinds=("key-pair",))
    job = Job(store, cloud)
    thing = {"kind": "key-pair", "name": "coopr-key", "provider_id": "", "cluster_id": job.cluster.id, "details": {}}
    store.record_attached(job.cluster.id, "cloud", thing)
    job.machines.delete_strays()
    assert (cloud.calls["release"], store.attached(job.cluster.id)) == (1, [])


def test_nodes_of_one_cluster_come_from_several_providers(store: Store) -> None:
    ours, theirs = MemoryCloud(), MemoryCloud(kinds=("key-pair",))
    made: list[str] = []

    def load(name: str) -> Cloud:
        made.append(name)
        return Cloud({"cloud": ours, "other": theirs}[name])

    nodes = [Node(1000, placement=A), Node(1001, placement=replace(A, provider="other"))]
    job = Job(store, ours, *nodes, clouds=Clouds("cloud", load))
    for number in (1000, 1001):
        job.create(number)
        job.confirm(number)
    assert [[i.machine.node for i in cloud.machines.values()] for cloud in (ours, theirs)] == [[1000], [1001]]
    assert sorted(made) == ["cloud", "other"], "one object a provider"
    job.restart()
    job.machines.discard(1001)
    assert (len(ours.machines), len(theirs.machines)) == (1, 0)
    job.machines.delete_strays()
    assert (len(ours.machines), len(theirs.attached)) == (0, 0)


def test_a_machine_that_takes_user_data_is_pinned_before_it_is_there_and_the_same_again_after_a_crash(
    store: Store,
) -> None:
    cloud = MemoryCloud(takes_user_data=True)
    job = Job(store, cloud)
    job.create()
    (request,) = cloud.requests
    assert request.host_key is not None
    assert list(job.node().machine["host_keys"]) == [request.host_key.public]
    assert request.host_key.private.splitlines()[1] in request.user_data
    assert request.host_key.private not in repr(request)
    job.restart()
    job.create()
    assert cloud.requests[1].user_data == request.user_data
    assert "PRIVATE KEY" not in str(job.node())


def test_tags_say_whose_a_machine_is(store: Store) -> None:
    cloud = MemoryCloud()
    job = Job(store, cloud)
    job.create()
    (request,) = cloud.requests
    assert request.tags == {
        "coopr-installation": store.installation,
        "coopr-cluster": job.cluster.id,
        "coopr-cluster-name": "c",
        "coopr-owner": "bob",
        "coopr-node": "1000",
        "coopr-token": job.node().token,
    }
