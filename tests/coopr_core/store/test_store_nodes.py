from __future__ import annotations

import signal

import pytest
from store_samples import new_cluster, python

from coopr_core.errors import NotFound
from coopr_core.model.states import NodeState
from coopr_core.providers.contract import Machine
from coopr_core.store import Store


def test_a_new_node_is_planned_and_has_no_machine(store: Store) -> None:
    node = store.node(new_cluster(store).id, 1001)
    assert (node.number, node.state, node.machine, node.token) == (1001, NodeState.PLANNED, None, "")
    assert (node.hardware_type, node.image_type, node.flavor, node.image) == ("small", "linux", "s-1", "ami-1")
    assert (node.ssh_user, node.zone, node.price, node.services) == ("admin", "a", 0.25, ("db", "web"))


def test_the_intent_to_make_a_machine_gives_one_token_until_the_machine_is_gone(store: Store) -> None:
    cluster = new_cluster(store)
    token = store.intend_machine(cluster.id, 1000)
    assert token.startswith(f"{cluster.id}-1000-")
    assert store.intend_machine(cluster.id, 1000) == token
    assert store.node(cluster.id, 1000).state is NodeState.REQUESTED
    assert store.intend_machine(cluster.id, 1001) != token
    store.record_machine(cluster.id, 1000, {"provider_id": "i-1"}, NodeState.CREATED)
    assert store.intend_machine(cluster.id, 1000) == token
    assert store.node(cluster.id, 1000).state is NodeState.CREATED
    gone = store.record_machine(cluster.id, 1000, None, NodeState.DELETED)
    assert (gone.token, gone.machine) == ("", None)
    assert store.intend_machine(cluster.id, 1000) != token


def test_a_recorded_machine_comes_back_equal(store: Store) -> None:
    cluster = new_cluster(store)
    machine = Machine(
        token="t",
        provider_id="i-1",
        cluster_id=cluster.id,
        node=1000,
        addresses={"access_v4": "127.1.2.3", "bind_v4": "127.1.2.3"},
        port=2222,
        ssh_user="admin",
        host_keys=["ssh-ed25519 AAAA"],
        root="/srv/1000",
    )
    node = store.record_machine(cluster.id, 1000, machine.to_json(), NodeState.CONFIRMED)
    assert node == store.node(cluster.id, 1000)
    assert node.machine is not None
    assert Machine.from_json(node.machine) == machine


def test_what_tasks_report_is_merged_into_the_nodes_properties(store: Store) -> None:
    cluster = new_cluster(store)
    store.record_properties(cluster.id, 1000, {"a": 1, "b": [1]})
    store.record_properties(cluster.id, 1000, {"b": {"c": None}})
    assert store.node(cluster.id, 1000).properties == {"a": 1, "b": {"c": None}}
    assert store.node(cluster.id, 1001).properties == {}


def test_an_unknown_node_is_not_found(store: Store) -> None:
    cluster = new_cluster(store)
    for call in (store.node, store.intend_machine):
        with pytest.raises(NotFound, match="no node 1002"):
            call(cluster.id, 1002)
    with pytest.raises(NotFound):
        store.nodes("00000099")


def test_the_intent_outlives_a_process_killed_right_after(store: Store, url: str) -> None:
    cluster = new_cluster(store)
    code = """
import os, signal
from coopr_core.store import Store
print(Store.open(sys.argv[1]).intend_machine(sys.argv[2], 1000), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    process = python(code, url, cluster.id)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, output
    assert store.node(cluster.id, 1000).token == output.strip()
    assert store.node(cluster.id, 1000).state is NodeState.REQUESTED
