"""The builtin templates as a user meets them: created, used, inspected and deleted by the command."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from browser import browsing
from command_line import Coopr
from nats_client import patiently
from visitors import fetch, title_of
from watching import of_machines, wait_for

from coopr_core.settings import load_settings
from flows.connection.password import password

pytestmark = pytest.mark.real


def create(coopr: Coopr, name: str, *words: str) -> dict[str, Any]:
    outcome = coopr("create", name, "-y", "--json", *words)
    assert outcome.code == 0, outcome.out + outcome.err
    summary: dict[str, Any] = outcome.json
    assert summary["state"] == "ACTIVE"
    return summary


def delete(coopr: Coopr, name: str) -> None:
    """Delete the cluster and see that no process, directory or record is left over."""
    cluster_id = coopr("show", name, "--json").json["id"]
    outcome = coopr("delete", name, "-y")
    assert outcome.code == 0, outcome.err
    assert name not in [cluster["name"] for cluster in coopr("list", "--json").json]
    assert coopr("show", "no-such-cluster").code == 8
    state = load_settings().state_dir
    assert list((state / "local" / "nodes").glob(f"{cluster_id}-*")) == []
    assert not (state / "logs" / cluster_id).exists()
    assert of_machines(cluster_id) == []


def test_webapp_serves_its_page_through_the_balancer_and_can_be_followed_in_prefects_ui(
    coopr: Coopr, tmp_path: Path
) -> None:
    summary = create(coopr, "shop", "--template", "webapp", "--nodes", "4")
    url = summary["links"][0]["url"]
    pages: list[str] = []

    def both_answer() -> bool:
        pages.append(fetch(url))
        return len({title_of(page) for page in pages}) == 2 and len(pages) >= 6

    wait_for(both_answer, "both servers answer")
    assert json.loads(fetch(f"{url}visits"))
    numbers = [int(page.partition("<strong>")[2].partition("</strong>")[0]) for page in pages]
    assert numbers == list(range(numbers[0], numbers[0] + len(pages)))

    details = coopr("show", "shop", "--json").json
    tasks = coopr("tasks", "shop", "--json").json
    assert len(tasks) == 29
    assert {task["state"] for task in tasks} == {"SUCCEEDED"}
    start = next(task for task in tasks if (task["action"], task["service"]) == ("START", "webapp-database"))
    assert coopr("logs", start["id"]).out.strip()
    assert "webapp" in coopr("logs", "shop").out
    hosts = coopr("exec", "shop", "--json", "--", 'echo "$COOPR_ROOT"').json
    assert len({result["stdout"] for result in hosts}) == len(details["nodes"]) == 4
    assert coopr("exec", "shop", "--service", "webapp-app", "--", "exit 3").code == 3

    with browsing() as page:
        page.login(summary["flow_run_url"].partition("/flow-runs")[0], password(load_settings().state_dir))
        page.open(summary["flow_run_url"])
        page.text("create-cluster shop", "Completed", f"job:{start['id'].rpartition('-')[0]}")
        picture = tmp_path / "flow-run.png"
        page.screenshot(picture)
    assert picture.stat().st_size > 20_000
    delete(coopr, "shop")


def test_nats_hands_messages_from_node_to_node_and_keeps_its_quorum_when_one_is_killed(coopr: Coopr) -> None:
    create(coopr, "queue", "--template", "nats", "--nodes", "3")
    addresses = [node["address"].partition(":")[0] for node in coopr("show", "queue", "--json").json["nodes"]]

    async def publish_and_read(first: str, second: str, text: bytes) -> bytes:
        import nats

        writer, reader = await nats.connect(f"nats://{first}:4222"), await nats.connect(f"nats://{second}:4222")
        try:
            stream = writer.jetstream()
            await patiently(lambda: stream.add_stream(name="orders", subjects=["orders"], num_replicas=3))
            await patiently(lambda: stream.publish("orders", text))
            subscription = await patiently(lambda: reader.jetstream().pull_subscribe("orders"))
            messages = await patiently(lambda: subscription.fetch(10))
            return bytes(messages[-1].data)
        finally:
            await writer.close()
            await reader.close()

    assert asyncio.run(publish_and_read(addresses[0], addresses[2], b"before")) == b"before"
    killed = coopr("exec", "queue", "--node", "1001", "--", "pkill -KILL -f nats-server.*$COOPR_ROOT")
    assert killed.code in (0, 137, 255), killed.err
    assert asyncio.run(publish_and_read(addresses[0], addresses[2], b"after")) == b"after"
    delete(coopr, "queue")


def test_spark_runs_a_job(coopr: Coopr) -> None:
    create(coopr, "crunch", "--template", "spark", "--nodes", "3")
    program = "$COOPR_ROOT/var/lib/coopr/spark-standalone-master/bin/spark-pi"
    outcome = coopr("exec", "crunch", "--service", "spark-standalone-master", "--", program)
    assert outcome.code == 0, outcome.err
    assert "Pi is roughly 3.1" in outcome.out
    delete(coopr, "crunch")
