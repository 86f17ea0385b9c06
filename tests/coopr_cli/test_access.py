"""Getting on to the nodes of a real cluster: exec, ssh, scp, and what other tools make of the exports."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import yaml
from command_line import Coopr, start
from flow_catalog import service, write_catalog
from watching import alive, sleeping, wait_for

from coopr_core.store import Store

sys.path.insert(0, str(Path(__file__).parents[1] / "coopr_core" / "remote"))
from ssh_servers import AsyncServer, running

pytestmark = pytest.mark.both

NAME = "access"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_catalog(
        tmp_path_factory.mktemp("catalog"),
        {"web-front": service(start="true"), "base": service(start="true")},
        config={"password": "%secret.admin%", "port": 80},
        constraints={"services": {"web-front": {"quantities": {"min": 1, "max": 1}}}},
    )


@pytest.fixture(scope="module")
def cluster(prefect_server: object, catalog: str) -> Iterator[str]:
    """Two nodes: 1000 has web-front and base, 1001 only base."""
    from flows import create_cluster, delete_cluster

    created = create_cluster(name=NAME, template="tiny", size=2, catalog=[catalog], config={"port": 8080})
    yield str(created["cluster_id"])
    delete_cluster(NAME)


@pytest.fixture
def names(cluster: str) -> list[str]:
    return [f"{NAME}{int(cluster)}-{number}" for number in (1000, 1001)]


def end_servers(cluster: str) -> None:
    """What a reboot does: the server of the local nodes is gone."""
    from coopr_core.providers.local.control import ServerControl
    from coopr_core.providers.local.records import NodeFolders
    from coopr_core.settings import load_settings

    status = ServerControl(NodeFolders(load_settings().state_dir)).request("status")
    process = psutil.Process(status["pid"])
    process.kill()
    wait_for(lambda: not alive(process.pid), "the server of the nodes ends")


def test_exec_prefixes_each_line_with_its_node_and_the_worst_exit_code_wins(coopr: Coopr, names: list[str]) -> None:
    outcome = coopr("exec", NAME, "echo one; echo two >&2; case $(pwd) in *1001*) exit 3;; esac")
    assert outcome.code == 3
    assert sorted(outcome.out.splitlines()) == [f"{name}: one" for name in names]
    assert f"{names[0]}: two" in outcome.err
    assert f"1 of 2 nodes failed: {names[1]} (3)" in outcome.err


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ((), [1000, 1001]),
        (("--node", "1001"), [1001]),
        (("--service", "web-front"), [1000]),
        (("--service", "base", "--node", "1001"), [1001]),
        (("--node", "1000", "--node", "1001"), [1000, 1001]),
    ],
)
def test_exec_selects_nodes(coopr: Coopr, cluster: str, words: tuple[str, ...], numbers: list[int]) -> None:
    outcome = coopr("exec", NAME, *words, "-o", "json", "--", "printf", "%s", "a  b")
    assert [(found["node"], found["stdout"]) for found in outcome.json] == [(number, "a  b") for number in numbers]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--node", "7"), 8, "1000, 1001"),
        (("--service", "nothing"), 8, "web-front"),
        (("--service", "web-front", "--node", "1001"), 3, "no node"),
        (("--failed",), 3, "no task"),
    ],
)
def test_nodes_that_do_not_exist_are_said_so(
    coopr: Coopr, cluster: str, words: tuple[str, ...], code: int, says: str
) -> None:
    outcome = coopr("exec", NAME, *words, "true")
    assert (outcome.code, says in outcome.err) == (code, True), outcome.err


def test_a_command_that_takes_too_long_ends_and_hides_no_other(coopr: Coopr, names: list[str]) -> None:
    outcome = coopr("exec", NAME, "--timeout", "15", "case $(pwd) in *1000*) sleep 600;; *) echo done;; esac")
    assert outcome.code == 7
    assert f"{names[1]}: done" in outcome.out


def test_failed_selects_the_nodes_on_which_a_task_failed(coopr: Coopr, cluster: str) -> None:
    from coopr_cli.access.selectors import failed_nodes
    from coopr_core.model.operations import Operation
    from coopr_core.model.states import AttemptState, JobState
    from coopr_core.planner import plan

    with Store.open() as store:
        job = store.start_job(cluster, Operation.RESTART_SERVICES, plan("RESTART_SERVICES", store.layout(cluster)))
        task = next(task for task in store.tasks(job.id) if task.node == 1001)
        store.finish_attempt(store.start_attempt(task.id), AttemptState.FAILED, exit_status=1)
        store.finish_job(job.id, JobState.SUCCEEDED)
        assert failed_nodes(store, store.cluster(cluster)) == {1001}
    outcome = coopr("exec", NAME, "--failed", "--json", "true")
    assert [found["node"] for found in outcome.json] == [1001]


def test_nodes_come_back_when_they_are_needed_after_a_reboot(coopr: Coopr, cluster: str) -> None:
    end_servers(cluster)
    assert coopr("drift", NAME, "--json").code == 2
    notes = {check["name"]: check["state"] for check in coopr("doctor", "--json").json["checks"]}
    assert notes["local nodes"] == "note"
    assert coopr("exec", NAME, "true").code == 0
    assert coopr("drift", NAME, "--json").code == 0


def test_a_lost_node_hides_no_other(coopr: Coopr, cluster: str, names: list[str]) -> None:
    with Store.open() as store:
        node = store.node(cluster, 1000)
        assert node.machine is not None
        store.record_machine(cluster, 1000, {**node.machine, "provider_id": "lost", "port": 1}, node.state)
        try:
            outcome = coopr("exec", NAME, "echo here")
        finally:
            store.record_machine(cluster, 1000, node.machine, node.state)
    assert outcome.code == 4
    assert outcome.out.splitlines() == [f"{names[1]}: here"]
    assert names[0] in outcome.err


def test_control_c_ends_the_commands_on_the_nodes(cluster: str) -> None:
    mark = f"31{os.getpid() % 1000:03d}"
    process = start("exec", NAME, f"echo up; sleep {mark}")
    assert process.stdout is not None
    assert process.stdout.readline().endswith(": up\n")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    wait_for(lambda: not sleeping(mark), "the commands end")


@pytest.mark.parametrize("openssh", [pytest.param(True, marks=pytest.mark.real), False])
def test_ssh_runs_a_command_with_and_without_openssh(
    capfd: pytest.CaptureFixture[str], cluster: str, monkeypatch: pytest.MonkeyPatch, *, openssh: bool
) -> None:
    from coopr_cli.main import main

    if openssh and shutil.which("ssh") is None:
        pytest.skip("needs OpenSSH's client")
    if not openssh:
        monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        main(("ssh", NAME, "1001", "--", "sh", "-c", "echo 'a  b'; exit 5"))
    assert ended.value.code == 5
    assert capfd.readouterr().out == "a  b\n"


def test_logging_in_without_openssh_is_one_clear_error(
    coopr: Coopr, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    outcome = coopr("ssh", NAME)
    assert outcome.code == 8
    assert "openssh-client" in outcome.err
    assert f"coopr ssh {NAME} 1000 -- COMMAND" in outcome.err


def test_scp_takes_files_and_folders_there_and_back(coopr: Coopr, names: list[str], tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "empty").mkdir(parents=True)
    (site / "index.html").write_text("hello")
    (site / "big").write_bytes(os.urandom(3_000_000))
    (site / "run.sh").write_text("#!/bin/sh\n")
    (site / "run.sh").chmod(0o755)
    (site / "link").symlink_to("index.html")
    assert coopr("scp", str(site), f"{NAME}::").code == 0
    assert coopr("scp", str(site / "index.html"), f"{NAME}:1000:one.txt").code == 0
    assert coopr("exec", NAME, "-o", "json", "--node", "1000", "cat one.txt site/link; test -x site/run.sh").json[0][
        "stdout"
    ] == ("hellohello")

    back = tmp_path / "back"
    back.mkdir()
    assert coopr("scp", f"{NAME}:base:site", str(back)).code == 0
    for name in names:
        copied = back / name / "site"
        assert (copied / "big").read_bytes() == (site / "big").read_bytes()
        assert (copied / "link").readlink() == Path("index.html")
        assert (copied / "empty").is_dir()
        assert os.access(copied / "run.sh", os.X_OK)
    assert coopr("scp", f"{NAME}:{names[0]}:site/index.html", str(tmp_path / "page")).code == 0
    assert (tmp_path / "page").read_text() == "hello"
    assert coopr("scp", f"{NAME}:1000:site", str(tmp_path / "renamed"), "-o", "json").json[0]["files"] == 3
    assert (tmp_path / "renamed" / "index.html").read_text() == "hello"


PLACES = [
    ("near", "$HOME/near"),
    ("~/near", "$HOME/near"),
    ("../tmp/up", "$COOPR_ROOT/tmp/up"),
    ("/tmp/far", "$COOPR_ROOT/tmp/far"),
    ("/tmp/../../../../over", "$COOPR_ROOT/over"),
    ("{root}/tmp/whole", "$COOPR_ROOT/tmp/whole"),
]
"""Paths of copies, and the same for commands; ``{root}`` is the node's root."""


def root_of(cluster: str, number: int) -> str:
    with Store.open() as store:
        machine = store.node(cluster, number).machine
    assert machine is not None
    return str(machine["root"])


@pytest.mark.parametrize(("path", "place"), PLACES)
def test_scp_and_exec_mean_the_same_paths_and_each_node_its_own(
    coopr: Coopr, cluster: str, tmp_path: Path, path: str, place: str
) -> None:
    for number in (1000, 1001):
        there = path.format(root=root_of(cluster, number))
        (tmp_path / "sent").write_text(f"for {number}")
        assert coopr("scp", str(tmp_path / "sent"), f"{NAME}:{number}:{there}").code == 0
    found = coopr("exec", NAME, "-o", "json", f"cat {place}; echo later > {place}").json
    assert [one["stdout"] for one in found] == ["for 1000", "for 1001"]
    there = path.format(root=root_of(cluster, 1001))
    assert coopr("scp", f"{NAME}:1001:{there}", str(tmp_path / "back")).code == 0
    assert (tmp_path / "back").read_text() == "later\n"
    assert coopr("exec", NAME, f"rm {place}").code == 0
    assert not Path("/tmp/far").exists()
    assert not Path("/over").exists()


def test_folders_and_several_files_go_below_the_root_too(coopr: Coopr, cluster: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "b").write_text("b")
    assert coopr("scp", str(tmp_path / "a"), str(tmp_path / "tree"), f"{NAME}::/var/lib/sent/").code == 0
    found = coopr("exec", NAME, "-o", "json", "cd $COOPR_ROOT/var/lib/sent && cat a tree/b").json
    assert [one["stdout"] for one in found] == ["ab", "ab"]
    (tmp_path / "back").mkdir()
    assert coopr("scp", f"{NAME}:1000:/var/lib/sent/tree", str(tmp_path / "back")).code == 0
    assert (tmp_path / "back" / "tree" / "b").read_text() == "b"
    missing = coopr("scp", f"{NAME}:1000:/var/lib/sent/missing", str(tmp_path))
    assert (missing.code, "/var/lib/sent/missing is not on node 1000" in missing.err) == (8, True)


def test_scp_says_what_cannot_be_copied(coopr: Coopr, cluster: str, tmp_path: Path) -> None:
    outcome = coopr("scp", f"{NAME}:1000:nothing", str(tmp_path))
    assert (outcome.code, "nothing is not on node 1000" in outcome.err) == (8, True)
    assert coopr("scp", str(tmp_path / "missing"), f"{NAME}:1000:").code == 8
    assert coopr("scp", "a", "b").code == 3
    assert coopr("scp", f"{NAME}:1000:a", f"{NAME}:1001:b").code == 3
    (tmp_path / "file").touch()
    assert coopr("scp", str(tmp_path / "file"), f"{NAME}:1000:no/such/folder").code == 1


def test_a_node_cannot_write_beside_what_was_asked_for(coopr: Coopr, cluster: str, tmp_path: Path) -> None:
    """A ``tar`` that lies, first in the PATH of the node's commands."""
    evil = (
        "import io, sys, tarfile\n"
        "tar = tarfile.open(fileobj=sys.stdout.buffer, mode='w|')\n"
        "def add(name, **fields):\n"
        "    info = tarfile.TarInfo(name)\n"
        "    [setattr(info, key, value) for key, value in fields.items()]\n"
        "    tar.addfile(info, io.BytesIO(b'x' * info.size))\n"
        "add('.', type=tarfile.DIRTYPE)\n"
        "add('../escaped', size=1)\n"
        "add('out', type=tarfile.SYMTYPE, linkname='../..')\n"
        "add('up', type=tarfile.SYMTYPE, linkname='.')\n"
        "add('up/../../escaped', size=1)\n"
        "add('device', type=tarfile.CHRTYPE)\n"
        "add('good', size=1)\n"
        "add('twin', type=tarfile.LNKTYPE, linkname='./good')\n"
        "tar.close()\n"
    )
    folder = tmp_path / "inside"
    folder.mkdir()
    with Store.open() as store:
        machine = store.node(cluster, 1000).machine
    assert machine is not None
    liar = Path(machine["root"]) / "evil.py"
    liar.write_text(evil)
    from coopr_core.providers.contract import Machine
    from coopr_core.remote import trees
    from coopr_core.remote.access import NodeAccess
    from coopr_core.remote.keys import own_key

    with NodeAccess(own_key()) as access:
        session = access.session(Machine.from_json(machine))
        true_stream = session.stream
        session.stream = lambda command, **options: true_stream(f"python3 {liar}", **options)  # type: ignore[method-assign]
        done = trees.fetch(session, "whatever", folder)
    assert done.files == 2
    assert len(done.skipped) == 4
    assert (folder / "whatever" / "good").read_text() == "x"
    assert (folder / "whatever" / "twin").read_text() == "x"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["good", "inside", "twin", "up", "whatever"]


@pytest.mark.real
def test_plain_ssh_works_with_the_exported_config_and_trusts_no_other_machine(
    coopr: Coopr, cluster: str, names: list[str], tmp_path: Path
) -> None:
    if shutil.which("ssh") is None:
        pytest.skip("needs OpenSSH's client")
    config = tmp_path / "config"
    exported = coopr("ssh-config", NAME)
    assert exported.code == 0
    config.write_text(exported.out)
    command = ["ssh", "-F", str(config), "-o", "BatchMode=yes"]
    reached = subprocess.run([*command, names[1], "echo $HOME"], capture_output=True, text=True, check=True)
    assert "1001" in reached.stdout
    swapped = exported.out.replace(f"HostKeyAlias coopr-{cluster}-1000", f"HostKeyAlias coopr-{cluster}-1001")
    config.write_text(swapped)
    refused = subprocess.run([*command, names[0], "true"], capture_output=True, text=True, check=False)
    assert refused.returncode == 255
    assert "HOST IDENTIFICATION HAS CHANGED" in refused.stderr


@pytest.mark.real
def test_openssh_means_the_same_paths_as_scp_and_exec(
    coopr: Coopr, cluster: str, names: list[str], tmp_path: Path
) -> None:
    if shutil.which("scp") is None:
        pytest.skip("needs OpenSSH's client")
    config = tmp_path / "config"
    config.write_text(coopr("ssh-config", NAME).out)
    sent = tmp_path / "sent"
    for number, (path, place) in enumerate(PLACES):
        there = path.format(root=root_of(cluster, 1000))
        for way in ("-s", "-O"):
            sent.write_text(f"{number}{way}")
            command = ["scp", "-q", way, "-F", str(config), str(sent), f"{names[0]}:{there}"]
            subprocess.run(command, check=True, timeout=60)
            assert coopr("scp", f"{NAME}:1000:{there}", str(tmp_path / "back")).code == 0
            assert (tmp_path / "back").read_text() == f"{number}{way}"
            found = coopr("exec", NAME, "--node", "1000", "-o", "json", f"cat {place}; rm {place}").json
            assert found[0]["stdout"] == f"{number}{way}"
    assert coopr("scp", str(sent), f"{NAME}:1000:/tmp/far").code == 0
    batch = ["sftp", "-q", "-F", str(config), "-b", "-", names[0]]
    fetching = f"get /tmp/far {tmp_path}/fetched\n"
    subprocess.run(batch, input=fetching, text=True, check=True, timeout=60, stdout=subprocess.DEVNULL)
    assert (tmp_path / "fetched").read_text() == sent.read_text()


def _for_ansible(folder: Path) -> dict[str, str]:
    """The environment of an ansible that shares nothing, not even its connections, with another test's."""
    own = {"ANSIBLE_HOME": str(folder / "ansible"), "ANSIBLE_SSH_ARGS": "-o ControlMaster=no"}
    return {**os.environ, **own, "LC_ALL": "C.UTF-8"}


@pytest.mark.real
def test_ansible_reaches_the_nodes_by_service_with_the_exported_inventory(
    coopr: Coopr, cluster: str, names: list[str], tmp_path: Path
) -> None:
    ansible = Path(sys.executable).with_name("ansible")
    if not ansible.exists() or shutil.which("ssh") is None:
        pytest.skip("needs ansible-core and OpenSSH's client")
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(coopr("inventory", NAME, "-o", "ansible").out)
    groups = yaml.safe_load(inventory.read_text())["all"]["children"]
    assert {group: list(found["hosts"]) for group, found in groups.items()} == {"base": names, "web_front": names[:1]}
    environment = _for_ansible(tmp_path)

    def run(*words: str) -> str:
        command = [str(ansible), "-i", str(inventory), *words]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    raw = run("web_front", "-m", "raw", "-a", "echo $HOME {{ coopr_cluster }} {{ coopr_node }}")
    assert f"{names[0]} | CHANGED" in raw
    assert f"{NAME} 1000" in raw
    assert names[1] not in raw
    assert run("base", "-m", "ping").count('"pong"') == 2
    assert coopr("inventory", NAME, "-o", "json").json["all"]["hosts"].keys() == set(names)


@pytest.fixture
def bastion(cluster: str) -> Iterator[AsyncServer]:
    """A gateway that node 1000 is on record to be reached through."""
    from coopr_core.remote.keys import authorized_key, own_key

    with running(AsyncServer(authorized_key(own_key()))) as server, Store.open() as store:
        node = store.node(cluster, 1000)
        assert node.machine is not None
        gateway = {"address": "127.0.0.1", "port": server.port, "ssh_user": "jump", "host_keys": server.host_keys}
        store.record_machine(cluster, 1000, {**node.machine, "gateway": gateway}, node.state)
        yield server
        store.record_machine(cluster, 1000, node.machine, node.state)


def test_a_node_behind_a_gateway_is_reached_like_any_other(
    coopr: Coopr, names: list[str], bastion: AsyncServer, tmp_path: Path
) -> None:
    assert sorted(coopr("exec", NAME, "echo here").out.splitlines()) == [f"{name}: here" for name in names]
    assert bastion.connections == 1
    (tmp_path / "sent").write_text("through the gateway")
    assert coopr("scp", str(tmp_path / "sent"), f"{NAME}:1000:sent").code == 0
    assert coopr("scp", f"{NAME}:1000:sent", str(tmp_path / "back")).code == 0
    assert (tmp_path / "back").read_text() == "through the gateway"
    assert bastion.connections == 3
    assert coopr("drift", NAME, "--json").code == 0
    assert bastion.connections == 4


@pytest.mark.real
def test_other_tools_reach_a_node_behind_a_gateway_and_trust_no_other_gateway(
    coopr: Coopr, names: list[str], cluster: str, bastion: AsyncServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("ssh") is None:
        pytest.skip("needs OpenSSH's client")
    config = tmp_path / "config"
    config.write_text(coopr("ssh-config", NAME).out)
    assert config.read_text().count("ProxyJump") == 1

    def plain(name: str) -> subprocess.CompletedProcess[str]:
        command = ["ssh", "-F", str(config), "-o", "BatchMode=yes", name, "echo $HOME"]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert "1000" in plain(names[0]).stdout
    assert bastion.connections == 1
    assert "1001" in plain(names[1]).stdout
    assert bastion.connections == 1
    alias = f"coopr-{cluster}-gateway-127.0.0.1-{bastion.port}"
    config.write_text(config.read_text().replace(f"HostKeyAlias {alias}", f"HostKeyAlias coopr-{cluster}-1001"))
    refused = plain(names[0])
    assert refused.returncode == 255
    assert "HOST IDENTIFICATION HAS CHANGED" in refused.stderr

    # The provider of local nodes knows no gateways: what it says of the node would lose this one.
    monkeypatch.setattr("coopr_cli.access.login.reviver", lambda *_: lambda machine: machine)
    before = bastion.connections
    assert coopr("ssh", NAME, "1000", "--", "test", "-d", "$HOME").code in (0, 1)
    assert bastion.connections == before + 1

    ansible = Path(sys.executable).with_name("ansible")
    if not ansible.exists():
        pytest.skip("needs ansible-core")
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text(coopr("inventory", NAME).out)
    environment = _for_ansible(tmp_path)
    command = [str(ansible), "-i", str(inventory), "base", "-m", "raw", "-a", "echo $HOME"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("CHANGED") == 2
    assert bastion.connections > before + 1


def test_what_a_gateways_options_need_quoted_is_quoted(tmp_path: Path) -> None:
    from coopr_cli.access.openssh import proxy_command
    from coopr_core.providers.contract import Gateway, Machine

    gateway = Gateway("2001:db8::1", 22, "jump", ["ssh-ed25519 AAAA"])
    machine = Machine("t", "p", "00000001", 1000, {"access_v4": "10.0.0.1"}, host_keys=["k"], gateway=gateway)
    command = proxy_command(machine, tmp_path / "with 100% blanks", tmp_path / "known")["ProxyCommand"]
    expanded = command.replace("%%", "\0").replace("%h", "10.0.0.1").replace("%p", "22").replace("\0", "%")
    words = shlex.split(expanded)
    assert words[-3:] == ["-W", "[10.0.0.1]:22", "2001:db8::1"]
    assert f'IdentityFile="{tmp_path}/with 100%% blanks"' in words
    assert "HostKeyAlias=coopr-00000001-gateway-2001-db8--1-22" in words
    assert proxy_command(replace(machine, gateway=None), tmp_path, tmp_path) == {}


def test_what_show_prints_creates_the_same_again_under_another_name(coopr: Coopr, cluster: str, tmp_path: Path) -> None:
    file = tmp_path / "again.yaml"
    file.write_text(coopr("show", NAME, "-o", "yaml").out)
    request = yaml.safe_load(file.read_text())["request"]
    assert request["config"] == {"password": "%secret.admin%", "port": 8080}
    planned = coopr("plan", "--from", str(file), "-o", "json").json
    shown = coopr("show", NAME, "--json").json
    keys = ("number", "services", "hardware_type", "image_type")
    assert [[node[key] for key in keys] for node in planned["nodes"]] == [
        [node[key] for key in keys] for node in shown["nodes"]
    ]
    created = coopr("create", "another", "--from", str(file), "-y", "--json")
    assert created.code == 0, created.err
    again = coopr("show", "another", "--json").json["request"]
    assert again == {**request, "name": "another"}
    assert coopr("delete", "another", "-y").code == 0

    other = tmp_path / "other.yaml"
    other.write_text(file.read_text().replace("  services:\n  - base\n  - web-front\n", "  services:\n  - base\n", 1))
    assert other.read_text() != file.read_text()
    assert "not laid out as" in coopr("plan", "--from", str(other)).err
    assert "not laid out as" not in coopr("plan", "--from", str(file)).err
    larger = coopr("plan", "--from", str(file), "--nodes", "3", "--set", "port=9", "--json").json
    assert len(larger["nodes"]) == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("size: 2\n", "no 'template'"),
        ("[]\n", "no 'template'"),
        ("template: tiny\ncolour: red\n", "colour"),
        ("a: [\n", "2"),
    ],
)
def test_a_file_that_is_no_request_is_said_so(coopr: Coopr, tmp_path: Path, catalog: str, text: str, says: str) -> None:
    file = tmp_path / "request.yaml"
    file.write_text(text)
    outcome = coopr("create", "-y", "--from", str(file), "--catalog", catalog)
    assert (outcome.code, says in outcome.err) == (3, True), outcome.err


def test_doctor_says_what_is_wrong_and_what_to_do(
    coopr: Coopr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert coopr("doctor").code == 0
    monkeypatch.setenv("COOPR_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("COOPR_DATABASE_URL", "postgresql://127.0.0.1:9/none")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    (tmp_path / "ssh").mkdir()
    (tmp_path / "ssh" / "id_ed25519").write_text("no key")
    tmp_path.chmod(0o777)
    outcome = coopr("doctor", "-o", "json")
    assert outcome.code == 1
    states = {check["name"]: check["state"] for check in outcome.json["checks"]}
    wrong = {"state folder", "key", "database", "Prefect server"}
    assert {name for name, state in states.items() if state == "wrong"} == wrong
    assert all(check["hint"] for check in outcome.json["checks"] if check["state"] == "wrong")
