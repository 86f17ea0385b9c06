"""Builtin clusters that grow, shrink and have nodes replaced while they are used."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import nats
import psutil
import pytest
from command_line import Coopr
from nats.js.api import StreamConfig
from nats_client import patiently
from visitors import Visitors, fetch, title_of
from watching import of_machines, wait_for

pytestmark = pytest.mark.real


def run(coopr: Coopr, *words: str) -> dict[str, Any]:
    outcome = coopr(*words, "-y", "--json")
    assert outcome.code == 0, outcome.out + outcome.err
    summary: dict[str, Any] = outcome.json
    assert summary["state"] == "ACTIVE"
    return summary


class Traffic:
    """A publisher that keeps every sequence number it got an acknowledgement for, and a reader, on one stream."""

    def __init__(self, servers: list[str]) -> None:
        self.acknowledged: list[int] = []
        self.read: list[int] = []
        self._servers = servers
        self._over = threading.Event()
        self._all_sent = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Traffic:
        asyncio.run(self._make_stream())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(120)

    async def _make_stream(self) -> None:
        client = await nats.connect(self._servers)
        orders = StreamConfig(name="orders", subjects=["orders"], num_replicas=3)
        await patiently(lambda: client.jetstream(timeout=20).add_stream(orders))
        await client.close()

    async def _run(self) -> None:
        client = await nats.connect(self._servers, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
        reader = asyncio.create_task(self._reading(client))
        stream = client.jetstream(timeout=2)
        number = 0
        while True:
            headers = {"Nats-Msg-Id": str(number)}
            try:
                await stream.publish("orders", str(number).encode(), headers=headers)
            except (TimeoutError, nats.errors.Error, nats.js.errors.APIError):
                continue  # not acknowledged: the same message is sent again
            self.acknowledged.append(number)
            number += 1
            if self._over.is_set():
                break  # and what was sent last is acknowledged, so that all that is read is
            await asyncio.sleep(0.01)
        self._all_sent = True
        await asyncio.wait_for(reader, 60)
        await client.close()

    async def _reading(self, client: Any) -> None:
        stream = client.jetstream(timeout=2)
        subscription = None
        while not (self._all_sent and len(set(self.read)) >= len(self.acknowledged)):
            try:
                if subscription is None:
                    subscription = await stream.pull_subscribe("orders", durable="reader")
                for message in await subscription.fetch(50, timeout=1):
                    self.read.append(int(message.data))
                    await message.ack()
            except (TimeoutError, nats.errors.Error, nats.js.errors.Error):
                await asyncio.sleep(0.1)


def test_nats_grows_and_shrinks_under_a_publisher_and_a_reader_without_losing_an_acknowledged_message(
    coopr: Coopr,
) -> None:
    made = run(coopr, "create", "bus", "--template", "nats", "--nodes", "3")
    servers = [f"nats://{node['address']}:4222" for node in made["nodes"]]
    with Traffic(servers) as traffic:
        grown = run(coopr, "scale", "bus", "nats-server=5")
        assert len(grown["nodes"]) == 5
        at_five = len(traffic.acknowledged)
        assert at_five > 20
        shrunk = run(coopr, "scale", "bus", "--nodes", "3")
        assert [node["number"] for node in shrunk["nodes"]] == [1000, 1001, 1002]
        assert [node["address"] for node in shrunk["nodes"]] == [node["address"] for node in made["nodes"]]
        assert len(traffic.acknowledged) > at_five
    assert traffic.acknowledged == list(range(len(traffic.acknowledged)))
    assert sorted(set(traffic.read)) == traffic.acknowledged
    state = f"http://{made['nodes'][0]['address']}:8222/jsz"
    wait_for(lambda: '"cluster_size": 3' in fetch(state), "the cluster counts three again")
    run_delete = coopr("delete", "bus", "-y")
    assert run_delete.code == 0


def test_an_app_server_whose_processes_were_killed_is_replaced_while_the_page_is_served(coopr: Coopr) -> None:
    made = run(coopr, "create", "shop", "--template", "webapp", "--nodes", "4")
    url = made["links"][0]["url"]
    victim = next(node for node in made["nodes"] if "webapp-app" in node["services"])
    others = {node["number"]: node["address"] for node in made["nodes"] if node is not victim}
    before = {process.pid for process in daemons(made, without=victim)}
    for process in of_machines(made["cluster_id"], victim["number"]):
        process.kill()
    replaced = run(coopr, "replace", "shop", str(victim["number"]))
    now = next(node for node in replaced["nodes"] if node["number"] == victim["number"])
    assert (now["host_name"], now["services"]) == (victim["host_name"], victim["services"])
    assert {n["number"]: n["address"] for n in replaced["nodes"] if n["number"] != victim["number"]} == others
    assert {process.pid for process in daemons(made, without=victim)} == before, "the others were not touched"
    titles: set[str] = set()
    wait_for(lambda: titles.add(title_of(fetch(url))) or len(titles) == 2, "both servers answer")
    assert coopr("delete", "shop", "-y").code == 0


def daemons(cluster: dict[str, Any], without: dict[str, Any]) -> list[psutil.Process]:
    """The services' processes on the cluster's nodes but one."""
    others = [node["number"] for node in cluster["nodes"] if node["number"] != without["number"]]
    found = [process for number in others for process in of_machines(cluster["cluster_id"], number)]
    daemons = [p for p in found if "/var/lib/coopr/webapp-" in p.info["cwd"] and p.info["name"] != "postgres"]
    assert daemons
    return daemons


def test_webapp_scales_out_and_in_under_constant_load_without_a_failed_request(coopr: Coopr) -> None:
    made = run(coopr, "create", "load", "--template", "webapp", "--nodes", "4")
    url = made["links"][0]["url"]
    with Visitors(url) as visitors:
        run(coopr, "scale", "load", "webapp-app=3")
        seen = {server for _, server in visitors.answers}
        run(coopr, "scale", "load", "webapp-app=2")
    assert visitors.failures == []
    assert len(seen) >= 2
    assert coopr("delete", "load", "-y").code == 0
