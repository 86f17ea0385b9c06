"""Claim: one command on fifty nodes takes no longer than pyinfra, and ten tasks on each less than ansible.

Makes fifty local nodes in a state folder of its own and works on them in turn with ours, pyinfra and ansible (50 forks,
pipelining), each over the same SSH servers with the same key, host keys checked: ``true`` on all nodes, cold; the same
once more on connections that are open; ten one-line tasks a node. What is compared is the fastest of the rounds.

    python benchmarks/fan_out.py [--nodes 50] [--rounds 3] [--tools VENV/bin] [--profile]

pyinfra and ansible are looked for beside this Python, in ``--tools`` and on the PATH; what is not there is left out,
and said to be: ``python -m venv tools && tools/bin/pip install pyinfra ansible-core``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

NAME = "fanout"
SERVICES = 10

LONGEST_COLD = 1.0
"""``coopr exec`` beside pyinfra, both cold."""
LONGEST_KEPT = 1 / 3
"""A command on open connections beside pyinfra's cold one."""
LONGEST_TASKS = 1.0
"""Our tasks beside ansible's."""


def main() -> int:
    """Measure, print the table, and fail when a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tools", type=Path, help="folder with the programs pyinfra and ansible-playbook")
    parser.add_argument("--no-tasks", action="store_true", help="leave the tasks out")
    parser.add_argument("--profile", action="store_true", help="show where ours spends its time, and measure nothing")
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="coopr-bench-"))
    place.chmod(0o711)
    os.environ.update(COOPR_STATE_DIR=str(place / "state"), XDG_CONFIG_HOME=str(place), PREFECT_LOGGING_LEVEL="ERROR")
    os.environ.pop("PREFECT_API_URL", None)
    try:
        catalog = write_catalog(place / "catalog")
        coopr("create", NAME, "-t", "tiny", "-n", str(given.nodes), "--catalog", str(catalog), "-y")
        if given.profile:
            return profile()
        return measure(place, given.nodes, given.rounds, given.tools, tasks=not given.no_tasks)
    finally:
        coopr("delete", NAME, "-y", check=False)
        coopr("server", "stop", check=False)
        shutil.rmtree(place, ignore_errors=True)


def write_catalog(folder: Path) -> Path:
    """Write a catalog of ten services, each of which has nothing but a START of one line."""
    for kind in ("services", "clustertemplates"):
        (folder / kind).mkdir(parents=True)
    names = [f"task-{number}" for number in range(SERVICES)]
    for name in names:
        start = {"type": "shell", "fields": {"command": f"echo {name}"}}
        service = {"name": name, "provisioner": {"actions": {"start": start}}}
        (folder / "services" / f"{name}.json").write_text(json.dumps(service))
    defaults = {"services": names, "provider": "local", "hardwaretype": "local-small", "imagetype": "local-python"}
    (folder / "clustertemplates" / "tiny.json").write_text(json.dumps({"name": "tiny", "defaults": defaults}))
    return folder


def coopr(*words: str, check: bool = True) -> str:
    """Run a coopr command in a process of its own; return its output."""
    done = subprocess.run([sys.executable, "-m", "coopr_cli", *words], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise SystemExit(f"coopr {' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def seconds(work: Callable[[], object]) -> float:
    """Return how long one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def program(name: str, tools: Path | None) -> str | None:
    """Return where a peer's program is, None when it is not installed."""
    folders = [str(Path(sys.executable).parent), *([str(tools.absolute())] if tools else []), os.environ["PATH"]]
    return shutil.which(name, path=os.pathsep.join(folders))


def run(*words: str, **environment: str) -> None:
    """Run a peer's command, which must succeed."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stdout[-3000:]}{done.stderr[-3000:]}")


def measure(place: Path, nodes: int, rounds: int, tools: Path | None, *, tasks: bool) -> int:
    """Measure all in turn, and print."""
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores, {nodes} local nodes\n")
    ours: dict[str, Callable[[], object]] = {"coopr exec": lambda: coopr("exec", NAME, "--", "true")}
    pyinfra, ansible = program("pyinfra", tools), program("ansible-playbook", tools)
    if pyinfra:
        inventory, deploy = write_pyinfra(place)
        ours["pyinfra exec"] = lambda: run(pyinfra, str(inventory), "exec", "--", "true")
    if tasks:
        ours["coopr start"] = lambda: coopr("start", NAME, "--max-concurrency", str(nodes))
        if pyinfra:
            ours["pyinfra deploy"] = lambda: run(pyinfra, "-y", str(inventory), str(deploy))
        if ansible:
            book, hosts = write_ansible(place)
            settings = {"ANSIBLE_FORKS": str(nodes), "ANSIBLE_PIPELINING": "1", "ANSIBLE_GATHERING": "explicit"}
            settings |= {"ANSIBLE_HOME": str(place / "ansible"), "LC_ALL": "C.UTF-8"}
            ours["ansible-playbook"] = lambda: run(ansible, "-i", str(hosts), str(book), **settings)
    best = {name: min(series) for name, series in in_turn(ours, rounds).items()}
    first, kept = on_open_connections(rounds)
    line("coopr exec, cold", best["coopr exec"], best.get("pyinfra exec"), "pyinfra's")
    line("pyinfra exec, cold", best.get("pyinfra exec"), None, "")
    line("a command on all, connecting", first, best.get("pyinfra exec"), "pyinfra's cold")
    line("a command on all, connections open", kept, best.get("pyinfra exec"), "pyinfra's cold")
    if tasks:
        line(f"coopr start, {SERVICES} tasks a node", best["coopr start"], best.get("ansible-playbook"), "ansible's")
        line("pyinfra, the same", best.get("pyinfra deploy"), None, "")
        line("ansible, the same", best.get("ansible-playbook"), None, "")
    broken = [
        f"{name}: {mine / theirs:.2f} of the peer's time, the limit is {limit:.2f}"
        for name, mine, theirs, limit in (
            ("coopr exec, cold", best["coopr exec"], best.get("pyinfra exec"), LONGEST_COLD),
            ("on open connections", kept, best.get("pyinfra exec"), LONGEST_KEPT),
            ("the tasks", best.get("coopr start"), best.get("ansible-playbook"), LONGEST_TASKS),
        )
        if mine is not None and theirs is not None and mine > theirs * limit
    ]
    print("".join(f"\n{text}" for text in broken))
    return 1 if broken else 0


def in_turn(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each work, all done in turn, so that what else the machine does is the same to all."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(seconds(work))
    return found


def machines() -> list[object]:
    """Return the cluster's machines."""
    from coopr_core.providers.contract import Machine
    from coopr_core.store import Store

    with Store.open() as store:
        nodes = store.nodes(store.cluster(NAME).id)
    return [Machine.from_json(node.machine) for node in nodes if node.machine]


def on_open_connections(rounds: int) -> tuple[float, float]:
    """Return the seconds of a command on all nodes in this process, connecting and on connections that are open."""
    from coopr_core.remote.access import NodeAccess
    from coopr_core.remote.keys import own_key

    nodes = machines()
    with NodeAccess(own_key()) as access:

        def everywhere() -> None:
            access.each(nodes, lambda machine: access.session(machine).run("true"))  # type: ignore[arg-type]

        return seconds(everywhere), min(seconds(everywhere) for _ in range(max(rounds, 5)))


def write_pyinfra(place: Path) -> tuple[Path, Path]:
    """Write pyinfra's inventory, its file of host keys, and its operations; return the first and the last."""
    from coopr_core.providers.contract import Machine
    from coopr_core.remote.keys import own_key

    hosts, pins = [], []
    for machine in machines():
        assert isinstance(machine, Machine)
        address = machine.addresses["access_v4"]
        pins += [f"[{address}]:{machine.port} {key}\n" for key in machine.host_keys]
        data = {"ssh_hostname": address, "ssh_port": machine.port, "ssh_user": machine.ssh_user}
        hosts.append((f"n{machine.node}", data))
    (place / "known_hosts").write_text("".join(pins))
    common = {
        "ssh_key": str(own_key()),
        "ssh_known_hosts_file": str(place / "known_hosts"),
        "ssh_strict_host_key_checking": "yes",
        "ssh_allow_agent": False,
        "ssh_look_for_keys": False,
    }
    inventory, deploy = place / "hosts.py", place / "deploy.py"
    inventory.write_text(f"hosts = ({hosts!r}, {common!r})\n")
    operations = "".join(f"server.shell(name='task-{n}', commands=['echo task-{n}'])\n" for n in range(SERVICES))
    deploy.write_text(f"from pyinfra.operations import server\n{operations}")
    return inventory, deploy


def write_ansible(place: Path) -> tuple[Path, Path]:
    """Write ansible's playbook and inventory."""
    tasks = [{"name": f"task-{n}", "ansible.builtin.shell": f"echo task-{n}"} for n in range(SERVICES)]
    book, hosts = place / "book.json.yaml", place / "hosts.yaml"
    book.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    inventory = json.loads(coopr("inventory", NAME, "-o", "json"))
    # The nodes' own Python, which their users may run, as they may not always run this one.
    python = coopr("exec", NAME, "--node", "1000", "-o", "json", "command -v python3")
    inventory["all"]["vars"]["ansible_python_interpreter"] = json.loads(python)[0]["stdout"]
    hosts.write_text(json.dumps(inventory))
    return book, hosts


def line(name: str, taken: float | None, theirs: float | None, whose: str) -> None:
    """Print one line of the table, with the ratio to a peer's value."""
    value = f"{taken:.2f} s" if taken is not None else "not installed"
    ratio = f"{taken / theirs:.2f} of {whose}" if taken is not None and theirs is not None else ""
    print(f"{name:<42} {value:>14}  {ratio}")


def profile() -> int:
    """Print what ``coopr exec`` spends on its slowest imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "coopr_cli", "exec", NAME, "--", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    imports = [text.removeprefix("import time:").split("|") for text in done.stderr.splitlines() if "|" in text][1:]
    slowest = sorted(imports, key=lambda columns: -int(columns[1]))[:25]
    print("\n".join(f"{int(total) / 1000:>8.1f} ms {name.strip()}" for _, total, name in slowest))
    return 0


if __name__ == "__main__":
    sys.exit(main())
