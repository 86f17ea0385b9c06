"""The shell automator on real SSH servers: what travels, what runs, and what never shows."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from task_contexts import TASK_ID, node, service, task
from watching import wait_for

from coopr_core.automators import load_automator
from coopr_core.automators.environment import environment
from coopr_core.automators.preparation import prepare_node
from coopr_core.automators.shell import ShellAutomator
from coopr_core.automators.task_files import task_json
from coopr_core.errors import InvalidInput, NotFound
from coopr_core.remote.command import CommandTimedOut
from coopr_core.remote.session import Session

pytestmark = pytest.mark.both

HOSTILE = {
    "quotes": """it's "quoted" `id` $(id) $HOME""",
    "lines": "one\ntwo\n\tthree\n",
    "unicode": "čau 🐎",
    "percent": "100%25 %0A %s %%",
    "backslash": "a\\nb\\",
    "empty": "",
    "dash": "-n",
}


@pytest.fixture
def shell() -> ShellAutomator:
    return ShellAutomator()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "a node's root"
    path.mkdir()
    return path


def lines(session: Session) -> tuple[Session, list[str]]:
    seen: list[str] = []
    return session.with_output(lambda _, line: seen.append(line)), seen


def test_a_script_runs_in_its_services_folder_with_its_arguments(
    shell: ShellAutomator, session: Session, root: Path
) -> None:
    demo = service(
        files={"bin/go.sh": 'pwd; cat ../demo/data.txt; for a; do echo "<$a>"; done\n', "data.txt": "data\n"},
        start={"script": "bin/go.sh", "args": ["a b", "it's", 3]},
    )
    inputs = node(root, demo)
    assert prepare_node(inputs, session).exit_status == 0
    watched, seen = lines(session)
    result = shell.run(task("START", demo, inputs), watched)
    assert result.exit_status == 0
    assert seen == [f"{root}/var/lib/coopr/.coopr/services/demo", "data", "<a b>", "<it's>", "<3>"]


def test_a_script_gets_the_task_as_variables(shell: ShellAutomator, session: Session, root: Path) -> None:
    config = {"nats": {"client-port": 4222, "tls": True, "off": None}, "peers": ["a", "b", 3], "maps": [{"x": 1}]}
    demo = service(files={"show.sh": 'env -0 > "$COOPR_DATA/out"\n'}, start={"script": "show.sh"})
    inputs = node(root, demo, config={**config, **HOSTILE})
    prepare_node(inputs, session)
    assert shell.run(task("start", demo, inputs), session).exit_status == 0
    text = (root / "var/lib/coopr/demo/out").read_text()
    variables = dict(line.split("=", 1) for line in text.split("\0") if "=" in line)
    ours = {name: value for name, value in variables.items() if name.startswith("COOPR_") and name not in os.environ}
    assert ours == {
        "COOPR_TASK_ID": TASK_ID,
        "COOPR_CLUSTER_ID": "00000015",
        "COOPR_CLUSTER_NAME": "demo",
        "COOPR_NODE_NUMBER": "1000",
        "COOPR_HOST_NAME": "demo15-1000.local",
        "COOPR_SERVICE": "demo",
        "COOPR_ACTION": "start",
        "COOPR_BIND_V4": "127.0.0.1",
        "COOPR_ACCESS_V4": "127.0.0.9",
        "COOPR_ROOT": str(root),
        "COOPR_DATA": f"{root}/var/lib/coopr/demo",
        "COOPR_TASK_FILE": f"{root}/var/cache/coopr/{TASK_ID}.json",
        "COOPR_CONFIG_NATS_CLIENT_PORT": "4222",
        "COOPR_CONFIG_NATS_TLS": "true",
        "COOPR_CONFIG_NATS_OFF": "",
        "COOPR_CONFIG_PEERS": "a b 3",
        **{f"COOPR_CONFIG_{name.upper()}": value for name, value in HOSTILE.items()},
    }


def test_the_tasks_files_are_for_their_owner_alone_and_hold_the_json(
    shell: ShellAutomator, session: Session, root: Path
) -> None:
    demo = service(start={"command": "true"})
    inputs = node(root, demo, config={"password": "s3cret"})
    prepare_node(inputs, session)
    shell.run(task("start", demo, inputs), session)
    folder = root / "var/cache/coopr"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        f"{TASK_ID}.{kind}": 0o600 for kind in ("json", "keys", "env", "sh", "command")
    }
    assert json.loads((folder / f"{TASK_ID}.json").read_text()) == task_json(task("start", demo, inputs))


def test_what_a_script_makes_on_a_shared_machine_is_for_its_owner_alone(
    shell: ShellAutomator, session: Session, root: Path
) -> None:
    demo = service(start={"command": 'umask; cd "$COOPR_DATA"; touch a; mkdir b'})
    inputs = node(root, demo)
    prepare_node(inputs, session)
    watched, seen = lines(session)
    assert shell.run(task("start", demo, inputs), watched).exit_status == 0
    assert seen == ["0077"]
    modes = [(root / "var/lib/coopr/demo" / name).stat().st_mode & 0o777 for name in ("a", "b")]
    assert modes == [0o600, 0o700]


def test_nothing_secret_is_on_any_command_line(shell: ShellAutomator, session: Session, root: Path) -> None:
    secret = "s3cret-in-config"
    demo = service(
        start={"command": f"[ $COOPR_CONFIG_PASSWORD = {secret} ] && cat /proc/[0-9]*/cmdline | tr '\\0' ' '"}
    )
    inputs = node(root, demo, config={"password": secret})
    prepare_node(inputs, session)
    watched, seen = lines(session)
    assert shell.run(task("start", demo, inputs), watched).exit_status == 0
    assert TASK_ID in "".join(seen)
    assert secret not in "".join(seen)


@pytest.mark.parametrize(
    ("name", "text", "shows"),
    [
        ("plain.py", "import sys; print(sys.implementation.name)", "cpython"),
        ("env", "#!/usr/bin/env python3\nimport sys; print(sys.argv[1:])", "['x']"),
        ("flags.sh", "#!/bin/sh -e\nfalse\necho not reached", ""),
        ("dos.sh", "#!/bin/sh\r\necho dos", "dos"),
        ("awk", "#!/usr/bin/awk -f\nBEGIN { print ARGV[1] }", "x"),
        ("plain", "echo $0", "./plain"),
    ],
)
def test_a_scripts_first_line_says_what_runs_it(
    shell: ShellAutomator, session: Session, root: Path, name: str, text: str, shows: str
) -> None:
    demo = service(files={name: text}, start={"script": f"./{name}", "args": "x"})
    inputs = node(root, demo)
    prepare_node(inputs, session)
    watched, seen = lines(session)
    shell.run(task("start", demo, inputs), watched)
    assert seen == ([shows] if shows else [])


def test_a_failing_script_gives_its_exit_status_and_last_lines(
    shell: ShellAutomator, session: Session, root: Path
) -> None:
    demo = service(install={"command": "for n in $(seq 99); do echo $n; done; echo no such package >&2; exit 42"})
    inputs = node(root, demo)
    prepare_node(inputs, session)
    result = shell.run(task("INSTALL", demo, inputs), session)
    assert result.exit_status == 42
    assert len(result.tail) == 40
    assert "no such package" in result.tail[-1] or "no such package" in result.tail


def test_an_action_out_of_time_is_ended(shell: ShellAutomator, session: Session, root: Path) -> None:
    demo = service(start={"command": "echo waiting; sleep 600", "timeout": 3})
    inputs = node(root, demo)
    prepare_node(inputs, session)
    began = time.monotonic()
    with pytest.raises(CommandTimedOut, match=r"start of service 'demo' on demo15-1000.local .* 3 s") as caught:
        shell.run(task("start", demo, inputs), session)
    assert time.monotonic() - began < 60
    assert caught.value.tail == ("waiting",)


def test_bootstrap_sends_only_what_changed_and_takes_away_what_is_gone(
    shell: ShellAutomator, session: Session, root: Path
) -> None:
    one, two = service("one", {"a.sh": "1", "old.sh": "x"}), service("two", {"b.sh": "2"})
    assert prepare_node(node(root, one, two), session).tail == ("sent the files of one, two",)
    assert prepare_node(node(root, one, two), session).tail == ("the services' files are on the node already",)
    folder = root / "var/lib/coopr/.coopr/services"
    untouched = (folder / "two/b.sh").stat().st_ino
    changed = service("one", {"a.sh": "changed"})
    assert prepare_node(node(root, changed, two), session).tail == ("sent the files of one",)
    assert (folder / "two/b.sh").stat().st_ino == untouched
    assert [path.name for path in (folder / "one").iterdir()] == ["a.sh"]
    assert (folder / "one/a.sh").read_text() == "changed"
    assert not (root / "var/lib/coopr/.coopr/incoming").exists()


def test_a_bootstrap_that_was_cut_short_is_done_again(shell: ShellAutomator, session: Session, root: Path) -> None:
    one = service("one", {"a.sh": "1"})
    (root / "var/lib/coopr/.coopr/incoming/services/one").mkdir(parents=True)
    (root / "var/lib/coopr/.coopr/services/one").mkdir(parents=True)
    (root / "var/lib/coopr/.coopr/services/one/half").touch()
    assert prepare_node(node(root, one), session).exit_status == 0
    assert [path.name for path in (root / "var/lib/coopr/.coopr/services/one").iterdir()] == ["a.sh"]


def test_bootstrap_on_a_node_that_cannot_be_written_says_why(shell: ShellAutomator, session: Session) -> None:
    result = prepare_node(node(Path("/proc/nowhere"), service()), session)
    assert result.exit_status != 0
    assert "/proc/nowhere" in " ".join(result.tail)


def test_each_service_keeps_its_things_in_its_own_folder(shell: ShellAutomator, session: Session, root: Path) -> None:
    both = [service(name, start={"command": 'touch "$COOPR_DATA/mine"'}) for name in ("bin", "služba")]
    inputs = node(root, *both)
    prepare_node(inputs, session)
    for one in both:
        assert shell.run(task("start", one, inputs), session).exit_status == 0
    assert sorted(str(path.relative_to(root)) for path in root.rglob("mine")) == [
        "var/lib/coopr/bin/mine",
        "var/lib/coopr/služba/mine",
    ]


def test_a_node_that_lost_its_files_is_told_apart_from_a_failing_script(
    shell: ShellAutomator, session: Session, root: Path
) -> None:
    demo = service(start={"command": "true"})
    result = shell.run(task("start", demo, node(root, demo)), session)
    assert result.exit_status == 66
    assert "BOOTSTRAP" in result.tail[-1]
    assert result.unprepared
    demo = service(start={"command": "echo BOOTSTRAP; exit 66"})
    prepare_node(node(root, demo), session)
    failing = shell.run(task("start", demo, node(root, demo)), session)
    assert (failing.exit_status, failing.unprepared) == (66, False)


@pytest.mark.parametrize(
    "harm",
    [
        "rm -rf {root}/*",
        "rm -rf {own}",
        "rm -rf {own}/bin",
        "rm -rf {own}/services/demo",
        "rm {own}/services/demo/lib/words.sh",
        "rm -r {own}/services/demo/lib; echo not a folder > {own}/services/demo/lib",
        "rm -rf {root}/var/lib/coopr/demo",
        "rm -rf {root}/var/cache",
        "chmod 000 {root}/var/cache/coopr",
        "chmod 000 {own}/services/demo/lib {own}/services/demo {own}",
    ],
)
def test_what_bootstrap_brought_and_is_gone_is_noticed_and_brought_again(
    shell: ShellAutomator, session: Session, root: Path, harm: str
) -> None:
    demo = service(
        files={
            "go.sh": '. ./lib/words.sh; coopr_lookup_key clusterName; [ -d "$COOPR_DATA" ]\n',
            "lib/words.sh": "true\n",
        },
        start={"script": "go.sh"},
    )
    inputs = node(root, demo)
    assert prepare_node(inputs, session).exit_status == 0
    assert shell.run(task("start", demo, inputs), session).exit_status == 0
    own = shlex.quote(f"{root}/var/lib/coopr/.coopr")
    subprocess.run(harm.format(root=shlex.quote(str(root)), own=own), shell=True, check=True)
    result = shell.run(task("start", demo, inputs), session)
    if "var/cache" not in harm and (os.geteuid() or "chmod" not in harm):
        assert result.unprepared, result
    assert prepare_node(inputs, session).exit_status == 0
    again = shell.run(task("start", demo, inputs), session)
    assert (again.exit_status, again.unprepared) == (0, False), again
    assert not list((root / "var/cache/coopr").glob("*.lost"))
    assert (root / "var/cache/coopr").stat().st_mode & 0o777 == 0o700


def test_on_a_real_machine_an_ordinary_user_works_through_sudo(
    shell: ShellAutomator, root: Path, access: Any, key_path: Path, tmp_path: Path
) -> None:
    """The machine's ``id`` and ``sudo`` are stand-ins: being another user cannot be provoked without being root."""
    from ssh_servers import AsyncServer, machine_at, running

    from coopr_core.remote.keys import ensure_client_key

    stand_ins = tmp_path / "bin"
    stand_ins.mkdir()
    (stand_ins / "id").write_text("#!/bin/sh\necho 1000\n")
    (stand_ins / "sudo").write_text(
        f'#!/bin/sh\necho "$2" "$3" >> {tmp_path}/sudo.log\n[ "$1" = -n ] && shift && "$@"\n'
    )
    for path in stand_ins.iterdir():
        path.chmod(0o755)
    with running(AsyncServer(ensure_client_key(key_path), env_path=str(stand_ins))) as server:
        session = access.session(machine_at(server.port, server.host_keys)).as_root()
        assert session.run("echo hello").stdout == "hello\n"
        session.put(b"x", f"{tmp_path}/put")
        assert session.get(f"{tmp_path}/put") == b"x"
        assert session.run("cat", text="hello").stdout == "hello"
        with pytest.raises(CommandTimedOut):
            session.run("sleep 600", timeout=2)
        wait_for(lambda: "kill -s" in (tmp_path / "sudo.log").read_text(), "the command is ended")
    log = (tmp_path / "sudo.log").read_text().splitlines()
    assert log[:3] == ["sh -c"] * 3
    assert "kill -s" in log


def test_what_cannot_run_is_refused_before_connecting(shell: ShellAutomator, root: Path) -> None:
    nobody: Any = None  # any use of the session would fail
    demo = service(files={"b.sh": "", "a.sh": ""}, start={"script": "missing.sh"}, stop={})
    with pytest.raises(InvalidInput, match=r"service 'demo', action 'start'.*no script 'missing.sh'.*a.sh, b.sh"):
        shell.run(task("START", demo, node(root, demo)), nobody)
    with pytest.raises(InvalidInput, match="needs either 'script' or 'command'"):
        shell.run(task("stop", demo, node(root, demo)), nobody)
    with pytest.raises(InvalidInput, match="no action 'configure'; it defines: start, stop"):
        shell.run(task("configure", demo, node(root, demo)), nobody)
    good = service(start={"command": "true"})
    with pytest.raises(InvalidInput, match="NUL"):
        shell.run(task("start", good, node(root, good, config={"x": "a\0b"})), nobody)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"script": "a.sh"}, ""),
        ({"script": "./a.sh", "args": "x 'y z'", "timeout": "1h30m"}, ""),
        ({"command": "true", "timeout": 90}, ""),
        ({"command": "true", "timeout": "%num.service.x%m"}, ""),
        ({"script": "a.sh", "command": "true"}, "not both"),
        ({"script": "../a.sh"}, "no script"),
        ({"script": "/etc/passwd"}, "no script"),
        ({"script": 7}, "must be text"),
        ({"script": "a.sh", "args": "it's"}, "'args'"),
        ({"script": "a.sh", "args": {"x": 1}}, "'args'"),
        ({"script": "%config.script%", "args": "%ip.self% 'a"}, ""),
        ({"script": "a.sh", "args": ["%secret.db%"]}, "visible"),
        ({"script": "a.sh", "args": "%join(secret.db,'')%"}, "visible"),
        ({"script": "a.sh", "args": ["%literal('%secret.db%')%"]}, ""),
        ({"command": "echo %secret.db%"}, ""),
        ({"script": "%secret.db%"}, "no use here"),
        ({"command": "true", "timeout": "soon"}, "'timeout'"),
        ({"command": "true", "timeout": 0}, "'timeout'"),
        ({"command": "true", "timeout": True}, "'timeout'"),
        ({"comand": "true"}, "unknown field 'comand'"),
    ],
)
def test_check_finds_what_is_wrong_with_an_action(shell: ShellAutomator, fields: dict[str, Any], says: str) -> None:
    problems = shell.check("start", service(files={"a.sh": "true"}, start=fields))
    assert bool(problems) == bool(says)
    if says:
        assert any(says in problem.message for problem in problems)
        assert all("service 'demo', action 'start'" in problem.message for problem in problems)
        assert all(problem.path.startswith("provisioner.actions.start.fields") for problem in problems)


def test_an_automator_is_found_by_its_name_and_an_unknown_one_names_the_known() -> None:
    assert isinstance(load_automator("shell"), ShellAutomator)
    with pytest.raises(NotFound, match=r"service 'db', action 'start': there is no automator 'shel'.*shell") as caught:
        load_automator("shel", service="db", action="start")
    assert "'shell'" in caught.value.hint


def test_the_fields_of_an_action_are_declared_for_forms(shell: ShellAutomator) -> None:
    declared = shell.fields_type.fields()
    assert [field.name for field in declared] == ["script", "args", "command", "timeout"]
    assert all(field.label and field.tip for field in declared)
    assert shell.fields_type.required_sets == (("script",), ("command",))


def test_importing_the_automators_imports_no_ssh_library() -> None:
    code = "import sys, coopr_core.automators.shell; print({'fabric', 'paramiko', 'asyncssh'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_two_values_that_would_be_one_variable_are_refused_before_connecting(shell: ShellAutomator, root: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        environment(task("start", service(), node(root, config={"client-port": 1, "client_port": 2})))
    assert "config.client-port" in str(caught.value)
    assert "config.client_port" in str(caught.value)
