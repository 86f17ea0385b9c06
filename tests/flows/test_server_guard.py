"""A server is known by its process: what has taken its port is told nothing by any client of this process."""

from __future__ import annotations

import json
import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest
from websockets.sync.client import connect

from flows.connection import guard
from flows.connection.record import ServerRecord, write
from flows.server import is_ours

ENDED = 0.0
"""When a process started that is none of now."""


@dataclass
class Another:
    """Who listens on the port: it notes what it is told, and hangs up."""

    port: int
    told: list[bytes] = field(default_factory=list)


@pytest.fixture
def another(monkeypatch: pytest.MonkeyPatch) -> Iterator[Another]:
    monkeypatch.setattr(guard, "_watched", None)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = Another(listening.getsockname()[1])

        def serve() -> None:
            while True:
                try:
                    connection = listening.accept()[0]
                except OSError:
                    return
                with connection:
                    connection.settimeout(60)
                    found.told.append(connection.recv(4096))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield found
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def ask_with_httpx(port: int) -> None:
    with httpx.Client(trust_env=False, timeout=60) as client:
        client.get(f"http://127.0.0.1:{port}/api/version", headers={"Authorization": "Basic secret"})


def ask_with_urllib(port: int) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(f"http://127.0.0.1:{port}/api/version", timeout=60)


def ask_by_socket(port: int) -> None:
    connect(f"ws://127.0.0.1:{port}/api/events/in", proxy=None, open_timeout=60)


@pytest.mark.parametrize("ask", [ask_with_httpx, ask_with_urllib, ask_by_socket])
def test_another_that_took_the_port_of_our_server_is_told_nothing(
    another: Another, tmp_path: Path, ask: object
) -> None:
    assert callable(ask)
    guard.watch(tmp_path, ServerRecord(os.getpid(), ENDED, another.port))
    with pytest.raises((OSError, httpx.ConnectError)) as caught:
        ask(another.port)
    assert "not the Prefect server that coopr started" in str(caught.value)
    assert another.told == []


def test_the_server_itself_and_its_successor_are_talked_to(another: Another, tmp_path: Path) -> None:
    this = ServerRecord(os.getpid(), psutil.Process().create_time(), another.port)
    guard.watch(tmp_path, this)
    with pytest.raises(httpx.RemoteProtocolError):
        ask_with_httpx(another.port)
    guard.watch(tmp_path, ServerRecord(os.getpid(), ENDED, another.port))
    write(tmp_path, this)
    with pytest.raises(httpx.RemoteProtocolError):
        ask_with_httpx(another.port)
    assert len(another.told) == 2
    assert is_ours(this.api_url, tmp_path)


def test_other_ports_and_a_server_of_the_users_own_are_not_looked_at(another: Another, tmp_path: Path) -> None:
    guard.watch(tmp_path, ServerRecord(os.getpid(), ENDED, another.port + 1))
    with pytest.raises(httpx.RemoteProtocolError):
        ask_with_httpx(another.port)
    guard.watch(tmp_path, ServerRecord(os.getpid(), ENDED, another.port))
    guard.unwatch()
    with pytest.raises(httpx.RemoteProtocolError):
        ask_with_httpx(another.port)


def test_a_process_that_no_longer_listens_is_no_server_of_ours(another: Another, tmp_path: Path) -> None:
    this = ServerRecord(os.getpid(), psutil.Process().create_time(), another.port)
    write(tmp_path, this)
    assert is_ours(this.api_url, tmp_path)
    elsewhere = ServerRecord(os.getpid(), this.created, 1)
    write(tmp_path, elsewhere)
    assert not is_ours(elsewhere.api_url, tmp_path), "it lives, but listens on another port"
    (tmp_path / "server.json").write_text(json.dumps({"pid": os.getpid(), "created": ENDED, "port": another.port}))
    assert not is_ours(this.api_url, tmp_path)
