"""Real local nodes for the tests: each test's state folder is its own, and nothing of it is left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import fabric
import paramiko
import psutil
import pytest
from watching import wait_for

from coopr_core.model.placement import Placement
from coopr_core.providers.cloud import Cloud
from coopr_core.providers.contract import Machine, MachineRequest
from coopr_core.providers.local import LocalProvider
from coopr_core.providers.scope import Scope


def passable_folder(prefix: str) -> Path:
    """A short folder that any user may pass through, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    folder.chmod(0o711)
    return folder.resolve()


@dataclass(frozen=True)
class Key:
    """A client's key."""

    path: Path
    public: str


@pytest.fixture(scope="session")
def key() -> Iterator[Key]:
    folder = passable_folder("cp-key-")
    pair = asyncssh.generate_private_key("ssh-ed25519")
    path = folder / "id_ed25519"
    path.write_bytes(pair.export_private_key())
    path.chmod(0o600)
    yield Key(path, pair.export_public_key().decode())
    shutil.rmtree(folder)


@pytest.fixture(scope="session", autouse=True)
def machine_cache() -> Iterator[Path]:
    """The images of this run, made once and removed at its end."""
    folder = passable_folder("cp-cache-")
    before = os.environ.get("COOPR_CACHE_DIR")
    os.environ["COOPR_CACHE_DIR"] = str(folder)
    yield folder
    if before is None:
        del os.environ["COOPR_CACHE_DIR"]
    else:
        os.environ["COOPR_CACHE_DIR"] = before
    shutil.rmtree(folder)


class LocalCloud(Cloud):
    """The local provider as the engine uses it."""

    def __init__(self, settings: dict[str, Any] | None = None, *, state_dir: Path | None = None) -> None:
        local = LocalProvider(settings, state_dir=state_dir)
        super().__init__(local)
        self._folders = local._folders

    def machines(self, cluster_id: str = "") -> list[Machine]:
        return list(self.find(Scope(cluster_id=cluster_id)).machines)


class Lab:
    """A state folder with a provider, and what tests do with its nodes."""

    def __init__(self, key: Key, state_dir: Path) -> None:
        self.key = key
        self.state_dir = state_dir
        self._connections: list[fabric.Connection] = []

    def provider(self, **settings: Any) -> LocalCloud:
        return LocalCloud(settings, state_dir=self.state_dir)

    def request(self, node: int = 1000, cluster: str = "00000001", token: str = "", **values: Any) -> MachineRequest:
        key = values.pop("authorized_key", self.key.public)
        return MachineRequest(
            token=token or uuid.uuid4().hex,
            scope=Scope(cluster_id=cluster, cluster_name="lab", authorized_key=key),
            node=node,
            host_name=f"lab-{node}",
            placement=Placement("local", flavor="small", image=values.pop("image", "python")),
            **values,
        )

    def node(self, number: int = 1000, cluster: str = "00000001", **settings: Any) -> Machine:
        provider = self.provider(**settings)
        return provider.confirm(provider.create(self.request(number, cluster)))

    def connect(self, machine: Machine) -> fabric.Connection:
        connection = fabric.Connection(
            machine.addresses["access_v4"],
            port=machine.port,
            user=machine.ssh_user,
            config=fabric.Config(overrides={"load_ssh_configs": False}),
            connect_kwargs={
                "pkey": paramiko.Ed25519Key.from_private_key_file(str(self.key.path)),
                "look_for_keys": False,
                "allow_agent": False,
            },
        )
        self._connections.append(connection)
        return connection

    def run(self, machine: Machine, command: str, **options: Any) -> Any:
        with self.connect(machine) as connection:
            return connection.run(command, **{"hide": True, "warn": True, "in_stream": False, **options})

    def ssh(self, machine: Machine, program: str = "ssh") -> list[str]:
        """The OpenSSH client's command line up to the host, host key pinned."""
        known = self.state_dir / f"known-{machine.provider_id}"
        address = machine.addresses["access_v4"]
        known.write_text("".join(f"[{address}]:{machine.port} {host_key}\n" for host_key in machine.host_keys))
        options = [
            *("BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={known}", "GlobalKnownHostsFile=none"),
            *("IdentitiesOnly=yes", "LogLevel=ERROR"),
        ]
        port = ["-p" if program == "ssh" else "-P", str(machine.port)]
        flags = [part for option in options for part in ("-o", option)]
        return [program, "-F", "none", "-i", str(self.key.path), *port, *flags]

    def server(self) -> psutil.Process | None:
        for process in psutil.process_iter():
            try:
                line = process.cmdline()
                ours = line[-2:] == ["coopr_core.providers.local.server", str(self.state_dir)]
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    return process
            except psutil.Error:
                continue
        return None

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        provider = self.provider()
        for machine in provider.machines():
            provider.delete(machine)
        wait_for(lambda: self.server() is None, "the server ends with its last node")
        shutil.rmtree(self.state_dir, ignore_errors=True)
        assert not self.state_dir.exists()


@pytest.fixture
def lab(key: Key) -> Iterator[Lab]:
    lab = Lab(key, passable_folder("cp-"))
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def shared_lab(key: Key) -> Iterator[Lab]:
    lab = Lab(key, passable_folder("cp-"))
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def machine(shared_lab: Lab) -> Machine:
    return shared_lab.node()


@pytest.fixture(scope="session")
def openssh() -> None:
    if shutil.which("ssh") is None:
        pytest.skip("the OpenSSH client is not installed (Debian: openssh-client)")
    if subprocess.run(["ssh", "-V"], capture_output=True).returncode != 0:
        pytest.skip("needs an ordinary user with a name: OpenSSH's client does not run for others")
