"""NATS servers that leave hand over what they keep: real servers, on loopback addresses, without SSH."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import nats
import pytest
from nats.js.api import StreamConfig
from nats_client import patiently
from service_nodes import ServiceNodes

NATS = ["node-tools", "nats-server"]

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's loopback addresses"),
]


def jetstream(nodes: ServiceNodes, number: int) -> dict[str, dict[str, list[str]]]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{nodes.address(number)}:8222/jsz", timeout=5) as answer:
        found: dict[str, dict[str, list[str]]] = json.load(answer)
    return found


async def fill(url: str, name: str, count: int, replicas: int) -> None:
    client = await nats.connect(url)
    stream = client.jetstream(timeout=10)
    config = StreamConfig(name=name, subjects=[f"{name}.*"], num_replicas=replicas)
    await patiently(lambda: stream.add_stream(config))
    for number in map(str, range(count)):
        await patiently(partial(stream.publish, f"{name}.x", number.encode(), headers={"Nats-Msg-Id": number}))
    await client.close()


async def read(url: str, name: str, count: int) -> list[int]:
    client = await nats.connect(url)
    subscription = await patiently(lambda: client.jetstream(timeout=10).pull_subscribe(f"{name}.*"))
    messages = [int(message.data) for message in await patiently(lambda: subscription.fetch(count, timeout=10))]
    await client.close()
    return messages


def test_two_servers_that_leave_at_once_take_no_message_with_them_and_the_group_forgets_them() -> None:
    with ServiceNodes("nats", [NATS] * 5) as nodes:
        nodes.run_operation("CLUSTER_CREATE")
        url = f"nats://{nodes.address(1000)}:4222"
        for name in ("a", "b", "c"):
            asyncio.run(fill(url, name, 60, 3))
        leaving = {"COOPR_LEAVING": "test1-1003.local test1-1004.local"}
        with ThreadPoolExecutor() as threads:
            done = list(threads.map(lambda number: nodes.run("STOP", "nats-server", number, **leaving), (1003, 1004)))
        assert [one.status for one in done] == [0, 0], [one.output for one in done]
        assert all("has left the JetStream group" in one.output for one in done)
        meta = jetstream(nodes, 1000)["meta_cluster"]
        assert meta["cluster_size"] == 3
        for name in ("a", "b", "c"):
            assert asyncio.run(read(url, name, 60)) == list(range(60))
        again = nodes.run("STOP", "nats-server", 1004, **leaving)
        assert again.status == 0, again.output
        nodes.run_operation("STOP_SERVICES")


def test_a_server_with_the_only_copy_of_a_stream_does_not_leave() -> None:
    with ServiceNodes("nats", [NATS] * 3, {"nats": {"start_timeout": 30}}) as nodes:
        nodes.run_operation("CLUSTER_CREATE")
        url = f"nats://{nodes.address(1000)}:4222"
        for name in "abcdefghijkl":
            asyncio.run(fill(url, name, 1, 1))
        done = nodes.run("STOP", "nats-server", 1002, COOPR_LEAVING="test1-1002.local")
        assert done.status == 1
        assert "the only copy of stream" in done.output
        assert jetstream(nodes, 1000)["meta_cluster"]["cluster_size"] == 3
        nodes.run_operation("STOP_SERVICES")
