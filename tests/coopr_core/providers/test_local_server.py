"""The server of the local nodes: found, started, killed, replaced, and never there twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from local_lab import Key, Lab, LocalCloud, passable_folder
from watching import alive, sleeping, wait_for

from coopr_core.errors import CooprError, MachineGone, Unreachable
from coopr_core.providers.contract import Machine
from coopr_core.providers.local.addresses import AddressInUse, Probe, probe
from coopr_core.providers.local.records import locked

pytestmark = pytest.mark.both


def kill_server(lab: Lab) -> None:
    server = lab.server()
    assert server is not None
    server.kill()
    wait_for(lambda: not alive(server.pid), "the server is gone")


def test_the_server_outlives_the_command_that_started_it(lab: Lab) -> None:
    script = (
        "import json, sys, pickle; from pathlib import Path; from coopr_core.providers.local import LocalProvider;"
        "from coopr_core.providers.cloud import Cloud;"
        "p = Cloud(LocalProvider(state_dir=Path(sys.argv[1]))); r = pickle.loads(bytes.fromhex(sys.argv[2]));"
        "print(json.dumps(p.confirm(p.create(r)).to_json()))"
    )
    command = [sys.executable, "-c", script, str(lab.state_dir), pickle.dumps(lab.request()).hex()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    machine = Machine.from_json(json.loads(done.stdout))
    assert lab.run(machine, "echo here").stdout == "here\n"
    server = lab.server()
    assert server is not None
    assert server.terminal() is None
    assert os.getsid(server.pid) != os.getsid(0)


def test_after_a_reboot_confirm_brings_every_node_back_with_the_same_key(lab: Lab) -> None:
    machines = [lab.node(1000 + number) for number in range(3)]
    kill_server(lab)
    endpoint = (machines[0].addresses["access_v4"], machines[0].port)
    wait_for(lambda: probe(*endpoint) is Probe.FREE, "nothing listens any more")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(endpoint, 1).close()
    assert lab.provider().confirm(machines[1]) == machines[1]
    for machine in machines:
        assert lab.run(machine, "echo $COOPR_ROOT").stdout == f"{machine.root}\n"


def test_a_command_of_a_killed_server_is_ended_before_its_successor_serves_and_daemons_go_on(lab: Lab) -> None:
    machine = lab.node()
    with lab.connect(machine) as connection:
        daemon = int(
            connection.run("setsid sleep 300 >/dev/null 2>&1 </dev/null & echo $!", hide=True, in_stream=False).stdout
        )
        promise = connection.run(
            "trap '' HUP TERM PIPE; echo $$ > pid; sleep 301 & wait; sleep 302", asynchronous=True, in_stream=False
        )
        note = Path(machine.root) / "home" / "pid"
        leader = int(wait_for(lambda: note.exists() and note.read_text(), "the command runs"))
        kill_server(lab)
        with pytest.raises(Exception, match=r"(?s).*"):
            promise.join()
        assert alive(leader)
        lab.provider().confirm(machine)
    assert not alive(leader)
    assert alive(daemon)
    assert sleeping("301") + sleeping("302") == []
    assert list((lab.state_dir / "local/nodes" / machine.provider_id / "running").iterdir()) == []


def test_a_stale_note_of_a_command_harms_no_process_that_has_its_number_now(lab: Lab) -> None:
    machine = lab.node()
    daemon = int(lab.run(machine, "setsid sleep 300 >/dev/null 2>&1 </dev/null & echo $!").stdout)
    kill_server(lab)
    bystander = subprocess.Popen(["sleep", "300"], start_new_session=True)
    running = lab.state_dir / "local/nodes" / machine.provider_id / "running"
    (running / str(bystander.pid)).write_text("an earlier boot:1")
    (running / str(daemon)).write_text("an earlier boot:2")
    (running / "not a number").touch()
    (lab.state_dir / "local/server/server.json").write_text(json.dumps({"pid": bystander.pid, "stamp": "earlier:3"}))
    try:
        lab.provider().confirm(machine)
        assert bystander.poll() is None
        assert alive(daemon)
    finally:
        bystander.kill()
        bystander.wait()


def test_a_server_that_hangs_is_replaced(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from coopr_core.providers.local import control

    monkeypatch.setattr(control, "_SIGN_OF_LIFE_TIMEOUT", 0.5)
    machine = lab.node()
    hung = lab.server()
    assert hung is not None
    hung.send_signal(signal.SIGSTOP)
    assert lab.provider().confirm(machine) == machine
    assert not alive(hung.pid)
    assert lab.run(machine, "true").exited == 0


def _confirm(state_dir: Path, machine: Machine) -> None:
    LocalCloud(state_dir=state_dir).confirm(machine)


def test_many_processes_at_once_start_one_server(lab: Lab) -> None:
    machine = lab.node()
    kill_server(lab)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_confirm, args=(lab.state_dir, machine)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    servers = [p for p in psutil.process_iter(["cmdline"]) if str(lab.state_dir) in (p.info["cmdline"] or [])]
    assert len(servers) == 1


def _create(state_dir: Path, requests: list[Any], results: Any) -> None:
    provider = LocalCloud(state_dir=state_dir)
    with ThreadPoolExecutor(5) as pool:
        for machine in pool.map(lambda request: provider.confirm(provider.create(request)), requests):
            results.put(machine.to_json())


def test_concurrent_creates_of_threads_and_processes_get_addresses_of_their_own(lab: Lab) -> None:
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    shared = lab.request(999, token="the same for both")
    batches = [[shared, *(lab.request(1000 + 10 * batch + i) for i in range(7))] for batch in range(2)]
    workers = [context.Process(target=_create, args=(lab.state_dir, batch, results)) for batch in batches]
    for worker in workers:
        worker.start()
    machines = [Machine.from_json(results.get(timeout=60)) for _ in range(16)]
    for worker in workers:
        worker.join(30)
    assert len({machine.provider_id for machine in machines}) == 15
    assert len({(machine.addresses["access_v4"], machine.port) for machine in machines}) == 15
    assert {machine.port for machine in machines} == {2222}
    assert len(lab.provider().machines("00000001")) == 15


def test_a_create_with_the_same_token_finds_the_first_ones_machine(lab: Lab) -> None:
    request = lab.request()
    assert lab.provider().create(request) == lab.provider().create(request)


def test_a_node_whose_record_cannot_be_read_does_not_count_as_gone(lab: Lab) -> None:
    machine = lab.node()
    lab.node(1001, "00000002")
    record = lab.state_dir / "local" / "nodes" / machine.provider_id / "node.json"
    text = record.read_text()
    record.write_text("{")
    with pytest.raises(CooprError, match=r"record of local node 00000001-1000-\w+ in .* cannot be read"):
        lab.provider().machines("00000001")
    assert [other.node for other in lab.provider().machines("00000002")] == [1001]
    record.write_text(text)
    assert lab.provider().machines("00000001") == [machine]


def test_a_node_that_is_gone_is_told_apart_from_one_that_does_not_answer(lab: Lab) -> None:
    machine = lab.node()
    lab.provider().delete(machine)
    with pytest.raises(MachineGone, match="is gone from"):
        lab.provider().confirm(machine)


def test_a_key_that_cannot_be_read_is_told_and_the_node_can_be_deleted(lab: Lab) -> None:
    with pytest.raises(CooprError, match=r"a key of local node .* cannot be read"):
        lab.provider().create(lab.request(authorized_key="not a key"))
    (machine,) = lab.provider().machines("00000001")
    lab.provider().delete(machine)
    assert lab.provider().machines("00000001") == []


def test_nodes_are_found_by_their_cluster(lab: Lab) -> None:
    ours = lab.node(1000, cluster="00000001")
    theirs = lab.node(1000, cluster="00000002")
    assert lab.provider().machines("00000001") == [ours]
    assert lab.provider().machines("00000002") == [theirs]
    assert lab.provider().machines("00000003") == []


def busy_everywhere() -> socket.socket:
    listener = socket.socket()
    listener.bind(("0.0.0.0", 0))
    listener.listen()
    return listener


def test_a_port_that_was_set_and_is_in_use_is_an_error_that_names_it(lab: Lab) -> None:
    with busy_everywhere() as listener:
        port = listener.getsockname()[1]
        with pytest.raises(AddressInUse, match=rf"port {port} on 127\.\d+\.\d+\.1 is in use"):
            lab.provider(port=port).create(lab.request())
    assert lab.provider().machines("00000001") == []


def test_a_port_that_was_not_set_gives_way_to_the_next_free_one(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from coopr_core.providers.local import addresses

    with busy_everywhere() as listener:
        port = listener.getsockname()[1]
        monkeypatch.setattr(addresses, "DEFAULT_PORT", port)
        machine = lab.node()
        assert port < machine.port < port + 100
        assert lab.run(machine, "true").exited == 0


def test_a_port_taken_while_the_node_was_down_is_told_by_confirm(lab: Lab) -> None:
    machine, other = lab.node(1000), lab.node(1001)
    kill_server(lab)
    endpoint = (machine.addresses["access_v4"], machine.port)
    wait_for(lambda: probe(*endpoint) is Probe.FREE, "the killed server's port is free")
    with socket.create_server(endpoint):
        with pytest.raises(Unreachable, match=rf"port {machine.port} on .* is in use by another process"):
            lab.provider().confirm(machine)
        assert lab.provider().confirm(other) == other
    assert lab.provider().confirm(machine) == machine


def test_where_there_is_one_address_nodes_share_it_with_a_port_each(lab: Lab) -> None:
    machines = [lab.node(1000 + number, address_range="127.0.0.1/32") for number in range(3)]
    assert {machine.addresses["bind_v4"] for machine in machines} == {"127.0.0.1"}
    assert len({machine.port for machine in machines}) == 3
    assert [lab.run(machine, "echo $COOPR_ROOT").stdout.strip() for machine in machines] == [m.root for m in machines]
    kill_server(lab)
    assert [lab.provider().confirm(machine) for machine in machines] == machines


def test_a_node_that_is_gone_cannot_be_confirmed(lab: Lab) -> None:
    machine = lab.node()
    lab.provider().delete(machine)
    with pytest.raises(Unreachable, match="is gone"):
        lab.provider().confirm(machine)
    assert lab.server() is None


def test_when_the_folders_are_removed_by_hand_processes_and_server_end(lab: Lab) -> None:
    machine = lab.node()
    pid = int(lab.run(machine, "cd /; env -i setsid sleep 300 >/dev/null 2>&1 </dev/null & echo $!").stdout)
    shutil.rmtree(lab.state_dir / "local" / "nodes")
    wait_for(lambda: lab.server() is None and not alive(pid), "all ends")


def test_a_delete_waits_for_a_server_that_ends_by_itself(lab: Lab) -> None:
    machine = lab.node()
    shutil.rmtree(lab.state_dir / "local/nodes" / machine.provider_id)
    wait_for(lambda: lab.server() is None, "the server ends without its nodes")
    delete = threading.Thread(target=lambda: lab.provider().delete(machine))
    with locked(lab.state_dir / "local/server/server.lock"):  # as one does that has closed its socket already
        delete.start()
        delete.join(0.5)
        assert delete.is_alive()
    wait_for(lambda: not delete.is_alive(), "the delete ends with the server")


def test_two_state_folders_do_not_meet(lab: Lab, key: Key) -> None:
    other = Lab(key, passable_folder("cp-"))
    try:
        mine, theirs = lab.node(), other.node()
        assert mine.addresses != theirs.addresses
        lab.provider().delete(mine)
        assert other.run(theirs, "true").exited == 0
    finally:
        other.close()


def test_a_long_state_folder_works(key: Key) -> None:
    base = passable_folder("cp-")
    folder = base / ("long-" * 12) / ("longer-" * 10)
    folder.mkdir(parents=True)
    for part in (folder, *folder.relative_to(base).parents):
        (base / part).chmod(0o711)
    lab = Lab(key, folder)
    try:
        assert lab.run(lab.node(), "true").exited == 0
    finally:
        lab.close()
        shutil.rmtree(base)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_roots_nodes_live_elsewhere_when_their_user_cannot_reach_the_state_folder(key: Key, tmp_path: Path) -> None:
    from coopr_core.providers.local.provider import ELSEWHERE

    tmp_path.chmod(0o700)
    lab = Lab(key, tmp_path / "state")
    before = ELSEWHERE.exists()
    try:
        machine = lab.node()
        assert machine.root.startswith(str(ELSEWHERE))
        assert lab.run(machine, "pwd; id -un").stdout.split() == [f"{machine.root}/home", "nobody"]
    finally:
        lab.close()
    assert not Path(machine.root).exists()
    assert ELSEWHERE.exists() == before


def test_fifty_nodes_are_made_used_and_deleted_and_leave_nothing(lab: Lab) -> None:
    provider = lab.provider()
    before = threading.active_count()
    with ThreadPoolExecutor(16) as pool:
        requests = [lab.request(1000 + number) for number in range(50)]
        machines = list(pool.map(lambda request: provider.confirm(provider.create(request)), requests))
        numbers = list(pool.map(lambda m: lab.run(m, "echo $SSH_CONNECTION").stdout.split()[2], machines))
        assert numbers == [machine.addresses["access_v4"] for machine in machines]
        server = lab.server()
        assert server is not None
        assert server.memory_info().rss < 150e6
        list(pool.map(provider.delete, machines))
    assert lab.server() is None
    wait_for(lambda: threading.active_count() <= before, "no thread is left over")
