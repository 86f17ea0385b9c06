"""Nodes without SSH: runs the builtin services' scripts as the shell automator would, on loopback addresses.

Each node has a folder and an address of its own; as root the scripts run as ``nobody``, as on local nodes. Everything
is stopped and deleted at the end, and a process that is left over is an error.
"""

from __future__ import annotations

import atexit
import itertools
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from coopr_core.automators.context import TaskContext
from coopr_core.automators.environment import environment
from coopr_core.automators.node_folders import NodeFolders
from coopr_core.catalog.catalog import Catalog
from coopr_core.macros import MacroContext, MacroNode, expand
from coopr_core.model.config import merge_config
from coopr_core.model.layout import ClusterLayout, Node
from coopr_core.planner import Plan, plan

_SUBNETS = itertools.count(1)
PASSED_ON = re.compile(r"PIP_.*|.*_PROXY|.*_proxy|SSL_CERT_.*|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|LANG|LC_ALL")


class ActionFailed(AssertionError):
    """An action of a service ended with another status than 0."""


@dataclass(frozen=True)
class Done:
    """How an action on a node ended."""

    task: str
    status: int
    output: str
    seconds: float


class ServiceNodes:
    """The nodes of one cluster, made from a template of the builtin catalog."""

    def __init__(
        self,
        template: str,
        services: Sequence[Sequence[str]],
        config: Mapping[str, Any] | None = None,
        *,
        one_address: bool = False,
        user: str = "nobody",
        cache: Path | None = None,
    ) -> None:
        catalog = Catalog.load()
        self.user = pwd.getpwnam(user) if os.geteuid() == 0 and user != "root" else None
        self.folder = new_folder(self.user)
        self.subnet = f"127.{os.getpid() % 200 + 20}.{next(_SUBNETS)}"
        self.one_address = one_address
        self.python, shared = shared_python(self.user)
        self.cache = cache or shared
        self.layout = ClusterLayout(
            nodes=tuple(
                Node(number, host_name=f"test1-{number}.local", services=tuple(sorted(names)))
                for number, names in enumerate(services, start=1000)
            ),
            services={name: catalog.service(name) for name in set(itertools.chain(*services))},
        )
        self.macros = MacroContext(
            owner="tester",
            nodes=[
                MacroNode(
                    node.number,
                    node.host_name,
                    node.services,
                    {kind: self.address(node.number) for kind in ("bind_v4", "access_v4")},
                )
                for node in self.layout.nodes
            ],
            secret=lambda name: f'it\'s "secret" {name}',
        )
        self.config = merge_config(catalog.template(template).defaults.config, config or {})
        self.done: list[Done] = []
        for node in self.layout.nodes:
            for name in node.services:
                self._send_files(node, name)

    def __enter__(self) -> ServiceNodes:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        left = self.processes()
        for pid in left:
            os.kill(pid, 9)
        shutil.rmtree(self.folder, ignore_errors=True)
        assert failure or not left, f"processes left over: {left}"

    def address(self, number: int) -> str:
        """The node's own address."""
        return f"{self.subnet}.{1 if self.one_address else number - 999}"

    def scripts(self, number: int, service: str) -> Path:
        """The folder a service's scripts run in on a node."""
        return Path(NodeFolders(str(self.folder / str(number))).scripts(service))

    def data(self, number: int, service: str) -> Path:
        """The folder a service keeps its things in on a node."""
        return Path(NodeFolders(str(self.folder / str(number))).data(service))

    def run_operation(self, operation: str, services: Sequence[str] | None = None) -> None:
        """Run an operation's plan, stage by stage, all tasks of a stage at once; the first failure ends it."""
        self.run_plan(plan(operation, self.layout, services))

    def run_plan(self, planned: Plan) -> None:
        """Run a plan's tasks of services, stage by stage, all tasks of a stage at once; the first failure ends it."""
        for stage in planned.stages:
            tasks = [task for task in stage if task.service]
            with ThreadPoolExecutor(max_workers=max(1, len(tasks))) as threads:
                done = list(threads.map(lambda task: self.run(task.action, task.service, task.node), tasks))
            for one in done:
                if one.status:
                    raise ActionFailed(f"{one.task}: status {one.status}\n{one.output}")

    def run(self, action: str, service: str, number: int, **variables: str) -> Done:
        """Run one action of a service on a node."""
        script = self.layout.services[service].actions[action.lower()].fields["script"]
        command = [self.scripts(number, service) / script]
        return self.execute(command, number, service, action=action, **variables)

    def execute(
        self, command: Sequence[str | Path], number: int, service: str, *, action: str = "", **variables: str
    ) -> Done:
        """Run any command on a node, in the folder and with the environment a service's script has."""
        began = time.monotonic()
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.scripts(number, service),
            env={**self._environment(number, service, action), **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
            start_new_session=True,
            **self._identity(),
        )
        task = f"{action or command[0]} {service} @ {number}"
        self.done.append(Done(task, done.returncode, done.stdout, time.monotonic() - began))
        return self.done[-1]

    def kill(self, number: int, service: str) -> None:
        """Kill every process of a service on a node, as a crash would."""
        for pid in self.processes(self.data(number, service)):
            os.kill(pid, 9)

    def processes(self, folder: Path | None = None) -> list[int]:
        """The live processes that belong to a folder of the cluster (by program, arguments or working folder)."""
        mark = str(folder or self.folder)
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
                state = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
                place = str((entry / "cwd").readlink())
            except OSError:
                continue
            if state != "Z" and (mark in words or place.startswith(mark)) and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        return found

    def _send_files(self, node: Node, service: str) -> None:
        folder = self.scripts(node.number, service)
        for path, text in self.layout.services[service].files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            target.chmod(0o755)
        for made in (folder, self.data(node.number, service), self.folder / str(node.number) / "tmp"):
            made.mkdir(parents=True, exist_ok=True)
        if self.user:
            for path in [self.folder, *self.folder.rglob("*")]:
                os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def _environment(self, number: int, service: str, action: str) -> dict[str, str]:
        """What the shell automator and a local node give to a script."""
        root = self.folder / str(number)
        cluster = expand(self.config, self.macros.at(number))
        addresses = {"bind_v4": self.address(number), "access_v4": self.address(number)}
        context = TaskContext(
            task_id=f"00000001-001-{number}",
            action=action.upper(),
            cluster_id="00000001",
            cluster_name="test",
            host_name=f"test1-{number}.local",
            number=number,
            root=str(root),
            services=[self.layout.services[service]],
            service=self.layout.services[service],
            config=cluster,
            addresses=addresses,
        )
        passed_on = {name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)}
        return {
            **passed_on,
            **environment(context),
            "COOPR_CACHE": str(self.cache),
            "HOME": str(root),
            "TMPDIR": str(root / "tmp"),
            "PATH": f"{self.python.parent}:/usr/local/bin:/usr/bin:/bin",
        }

    def _identity(self) -> dict[str, Any]:
        if not self.user:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}


def new_folder(user: pwd.struct_passwd | None) -> Path:
    """A new temporary folder that ``user`` owns and every path component of which may be entered."""
    folder = Path(tempfile.mkdtemp(prefix="coopr-nodes-", dir="/tmp"))
    folder.chmod(0o755)
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def shared_python(user: pwd.struct_passwd | None) -> tuple[Path, Path]:
    """A Python with pip that ``user`` may run, and a folder for downloads all nodes share; made once per test run."""
    folder = new_folder(user)
    identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            made = subprocess.run([python, "-m", "venv", folder / "python"], capture_output=True, cwd="/", **identity)
        except OSError:
            continue
        if made.returncode == 0:
            cache = Path(os.environ.get("COOPR_TEST_CACHE", folder / "cache"))
            return folder / "python" / "bin" / "python3", cache
    return pytest.skip("needs a python3 with venv that the nodes' user may run (Debian: python3-venv)")
