"""Running clusters of the builtin templates are restarted, reconfigured, added to and synced by the command."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from command_line import Coopr
from visitors import Visitors
from watching import wait_for

pytestmark = pytest.mark.real


def create(coopr: Coopr, name: str, *words: str) -> dict[str, Any]:
    outcome = coopr("create", name, "-y", "--json", *words)
    assert outcome.code == 0, outcome.out + outcome.err
    summary: dict[str, Any] = outcome.json
    return summary


def change(coopr: Coopr, *words: str) -> list[str]:
    """Run a command that changes a cluster; the tasks it came to."""
    outcome = coopr(*words, "--json")
    assert outcome.code == 0, outcome.out + outcome.err
    assert outcome.json["state"] == "ACTIVE"
    if not outcome.json["job"]:
        return []
    return [f"{task['action']} {task['service']}".strip() for task in coopr("tasks", words[1], "--json").json]


def test_a_rolling_restart_of_webapps_servers_under_constant_load_loses_no_request(coopr: Coopr) -> None:
    summary = create(coopr, "shop", "--template", "webapp", "--nodes", "4")
    servers = {node["host_name"] for node in summary["nodes"] if "webapp-app" in node["services"]}
    with Visitors(summary["links"][0]["url"]) as visitors:
        tasks = change(coopr, "restart", "shop", "webapp-app", "--rolling", "--batch", "1")
        later = time.monotonic() + 2
        wait_for(lambda: visitors.servers_since(later) == servers, "both servers answer again")
    assert tasks == ["STOP webapp-app", "START webapp-app", "HEALTH webapp-app"] * 2
    assert (visitors.failures, visitors.repeated) == ([], 0)
    assert len(visitors.answers) > 200

    outcome = coopr("configure", "shop", "--set", "webapp.app.connections=5")
    assert (outcome.code, "+    connections: 5" in outcome.out) == (10, True), "shown, but nobody said yes"
    tasks = change(coopr, "configure", "shop", "--set", "webapp.app.connections=5", "-y")
    assert {task.partition(" ")[2] for task in tasks} == {"", "webapp-app"}
    assert change(coopr, "stop", "shop", "webapp-database") == [
        "STOP webapp-balancer", "STOP webapp-app", "STOP webapp-app", "STOP webapp-database",
    ]  # fmt: skip
    assert len(change(coopr, "start", "shop", "webapp-balancer")) == 4


@pytest.mark.parametrize(
    ("template", "service", "setting", "reached"),
    [
        ("nats", "nats-server", "nats.max_memory=32MB", {"nats-server"}),
        ("webapp", "webapp-database", "webapp.balancer.port=8081", {"webapp-balancer"}),
        ("spark", "spark-standalone-worker", "spark.worker_memory=600m", {"spark-standalone-worker"}),
    ],
)
def test_each_builtin_cluster_restarts_rolling_takes_new_config_and_is_in_sync(
    coopr: Coopr, template: str, service: str, setting: str, reached: set[str]
) -> None:
    create(coopr, "one", "--template", template, "--nodes", "3")
    tasks = change(coopr, "restart", "one", service, "--rolling")
    assert tasks[:3] == [f"STOP {service}", f"START {service}", f"HEALTH {service}"]
    assert {task.partition(" ")[2] for task in change(coopr, "configure", "one", "--set", setting, "-y")} - {
        ""
    } == reached
    assert change(coopr, "sync", "one", "-y") == []
    tasks = change(coopr, "restart", "one")
    assert tasks.index(f"STOP {service}") < tasks.index(f"START {service}")
    assert change(coopr, "add-services", "one", service, "-y") == []


def test_a_service_is_added_to_a_running_builtin_cluster(coopr: Coopr, tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "greeter.yaml").write_text(
        "name: greeter\n"
        "dependencies: {runtime: {requires: [nats-server]}}\n"
        "provisioner: {actions: {start: {fields: {command: 'echo hello from $COOPR_HOST_NAME'}}}}\n"
    )
    (tmp_path / "clustertemplates").mkdir()
    (tmp_path / "clustertemplates" / "open-nats.yaml").write_text(
        "name: open-nats\nparent: nats\ncompatibility: {services: [node-tools, nats-server, greeter]}\n"
    )
    create(coopr, "two", "--template", "open-nats", "--nodes", "2", "--catalog", str(tmp_path))
    assert change(coopr, "add-services", "two", "greeter", "-y").count("START greeter") == 2
    assert all("greeter" in node["services"] for node in coopr("show", "two", "--json").json["nodes"])


def test_a_rolling_restart_of_nats_loses_no_acknowledged_message(coopr: Coopr) -> None:
    from test_scaling_clusters import Traffic

    summary = create(coopr, "bus", "--template", "nats", "--nodes", "3")
    with Traffic([f"nats://{node['address']}:4222" for node in summary["nodes"]]) as traffic:
        before = len(traffic.acknowledged)
        tasks = change(coopr, "restart", "bus", "nats-server", "--rolling")
        assert len(traffic.acknowledged) > before
    assert tasks == ["STOP nats-server", "START nats-server", "HEALTH nats-server"] * 3
    assert traffic.acknowledged == list(range(len(traffic.acknowledged)))
    assert sorted(set(traffic.read)) == traffic.acknowledged
