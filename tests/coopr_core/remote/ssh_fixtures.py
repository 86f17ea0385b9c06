"""Real SSH servers as fixtures: what works must work on each of them."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ssh_servers import PATIENT, AsyncServer, FaultyNetwork, OpenSshServer, machine_at, running

from coopr_core.remote.access import NodeAccess
from coopr_core.remote.keys import ensure_client_key
from coopr_core.remote.session import Session


@pytest.fixture(scope="session")
def key_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ssh") / "id_ed25519"
    ensure_client_key(path)
    return path


@pytest.fixture(scope="session")
def async_server(key_path: Path) -> Iterator[AsyncServer]:
    with running(AsyncServer(ensure_client_key(key_path))) as server:
        yield server


@pytest.fixture(scope="session", params=["asyncssh", "openssh"])
def server(request: pytest.FixtureRequest, key_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Each kind of SSH server in turn."""
    if request.param == "asyncssh":
        yield request.getfixturevalue("async_server")
        return
    if shutil.which("sshd", path="/usr/sbin:/sbin:/usr/bin") is None:
        pytest.skip("OpenSSH's sshd is not installed")
    if pwd.getpwuid(os.getuid()).pw_shell.endswith(("/nologin", "/false")):
        pytest.skip("OpenSSH's sshd lets nobody in whose login shell is nologin")
    with running(OpenSshServer(tmp_path_factory.mktemp("sshd") / "node", ensure_client_key(key_path))) as made:
        yield made


@pytest.fixture
def access(key_path: Path) -> Iterator[NodeAccess]:
    with NodeAccess(key_path, limits=PATIENT) as pool:
        yield pool


@pytest.fixture
def hasty(key_path: Path) -> Iterator[NodeAccess]:
    """Connections of which each step may take a second or two, for servers that do not answer."""
    with NodeAccess(key_path, limits=replace(PATIENT, connect=2, handshake=1, authentication=2, channel=1.5)) as pool:
        yield pool


@pytest.fixture(scope="session")
def kept_access(key_path: Path) -> Iterator[NodeAccess]:
    """Connections that stay open from test to test, for those to which it does not matter."""
    with NodeAccess(key_path, limits=PATIENT) as pool:
        yield pool


@pytest.fixture
def session(kept_access: NodeAccess, server: Any) -> Session:
    return kept_access.session(machine_at(server.port, server.host_keys, user=getpass.getuser()))


@pytest.fixture
def network(server: Any) -> Iterator[FaultyNetwork]:
    with running(FaultyNetwork(server.port)) as proxy:
        yield proxy


@pytest.fixture
def shaky(access: NodeAccess, server: Any, network: FaultyNetwork) -> Session:
    """A session through a network that can be broken."""
    return access.session(machine_at(network.port, server.host_keys, user=getpass.getuser()))
