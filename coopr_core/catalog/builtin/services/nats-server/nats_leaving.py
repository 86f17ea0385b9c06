"""How a server leaves a NATS cluster for good: its streams move to the others first, then they forget it.

Promise: when ``leave`` and then ``wait_for_heirs`` have returned, every stream and consumer has as many up-to-date
copies as before (or as the servers that stay can hold) without this one, so no acknowledged message goes with it.
Servers that leave together go one after the other, the last in node-number order first. A stream whose only copy is
here is never given up: that is a failure.

In between the server is stopped: one that does not notice that it was removed goes on leading its streams, and as long
as the others hear from it they elect no leader of their own. What was acknowledged is on most copies, so they have it.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from coopr_node.network import get_json
from coopr_node.task import Failed, say

POLL_S = 0.3


@dataclass(frozen=True)
class Server:
    """A server that keeps streams: its name, where its clients connect, and its monitoring page."""

    name: str
    client: tuple[str, int]
    monitor: str

    def state(self) -> dict[str, Any] | None:
        """What it says of JetStream, with all streams it has a copy of; None while it does not answer."""
        found = get_json(f"{self.monitor}/jsz?streams=true&consumers=true&config=true")
        return found if isinstance(found, dict) else None


def leave(me: str, servers: Sequence[Server], leaving: Sequence[str], user: tuple[str, str], timeout: float) -> None:
    """Take the server ``me`` out of the group of ``servers``, some of which are ``leaving`` too; stop it afterwards."""
    staying = [server for server in servers if server.name not in leaving]
    if not staying:
        raise Failed("no server that keeps streams would be left: delete the cluster instead")
    after = [name for name in leaving if name > me]
    others = [server for server in servers if server.name != me]

    def turn() -> str:
        group = _group(others)
        if not group:
            return "the other servers have no leader"
        before = sorted(set(group) & set(after))
        gone = {*leaving} - {*group}
        members = [server for server in servers if server.name not in gone]
        return f"{', '.join(before)} leaves first" if before else _unsettled(members, gone)

    _wait(turn, timeout)
    if me in _group(others):
        _refuse_only_copies(me, servers)
        _wait(lambda: _removal(me, others, staying, user), timeout, calm=1)
        _wait(lambda: f"{me} is still in the JetStream group" if me in _group(others) else "", timeout)


def wait_for_heirs(me: str, servers: Sequence[Server], timeout: float) -> None:
    """Wait until everything is complete without ``me``, which has left the group and does not run any more."""
    others = [server for server in servers if server.name != me]
    _wait(lambda: _unsettled(others, gone={me}), timeout)
    say(f"{me} has left the JetStream group; every stream is complete without it")


def _group(servers: Sequence[Server]) -> list[str]:
    """The names of the servers in the group, as their leader knows them; empty while there is none."""
    for server in servers:
        meta = (server.state() or {}).get("meta_cluster") or {}
        if meta.get("leader") == server.name:
            return [server.name, *(replica["name"] for replica in meta.get("replicas") or [])]
    for server in servers:  # the leader may be the one that leaves; any member knows of the others
        meta = (server.state() or {}).get("meta_cluster") or {}
        if meta.get("leader"):
            return sorted({server.name, meta["leader"], *(r["name"] for r in meta.get("replicas") or [])})
    return []


def _unsettled(servers: Sequence[Server], gone: set[str]) -> str:
    """What is missing until every stream and consumer is complete without the servers ``gone``; "" when nothing is."""
    group = [name for name in _group(servers) if name not in gone]
    if not group:
        return "the other servers have no leader"
    named: set[str] = set()
    led: set[str] = set()
    for server in servers:
        for name, stream, wanted in _copies(server):
            named.add(name)
            cluster = stream.get("cluster") or {}
            if cluster.get("leader") != server.name:
                continue
            led.add(name)
            replicas = cluster.get("replicas") or []
            there = {server.name, *(replica["name"] for replica in replicas)}
            if there & gone:
                return f"{name} still has a copy on {', '.join(sorted(there & gone))}"
            behind = [replica["name"] for replica in replicas if not replica.get("current") or replica.get("offline")]
            if behind:
                return f"{name} is not up to date on {', '.join(behind)}"
            if len(there) < min(wanted, len(group)):
                return f"{name} has {len(there)} of {min(wanted, len(group))} copies"
    leaderless = sorted(named - led)
    return f"{leaderless[0]} has no leader" if leaderless else ""


def _copies(server: Server) -> Iterator[tuple[str, dict[str, Any], int]]:
    """The streams and consumers with a copy on the server: name, what it says of them, copies wanted."""
    for account in (server.state() or {}).get("account_details") or []:
        for stream in account.get("stream_detail") or []:
            copies = int((stream.get("config") or {}).get("num_replicas") or 1)
            yield f"stream {stream['name']}", stream, copies
            for consumer in stream.get("consumer_detail") or []:
                asked = consumer.get("config") or {}
                own = int(asked.get("num_replicas") or (copies if asked.get("durable_name") else 1))
                yield f"consumer {consumer['name']} of stream {stream['name']}", consumer, own


def _refuse_only_copies(me: str, servers: Sequence[Server]) -> None:
    here = next(server for server in servers if server.name == me)
    alone = sorted(
        name for name, stream, _ in _copies(here)
        if name.startswith("stream ") and not (stream.get("cluster") or {}).get("replicas")
    )  # fmt: skip
    if alone:
        raise Failed(
            f"the only copy of {', '.join(alone)} is on this server and would be lost: give it more replicas, for"
            " example with `nats stream edit --replicas 3`, or delete it; then `coopr retry`"
        )


def _removal(me: str, others: Sequence[Server], staying: Sequence[Server], user: tuple[str, str]) -> str:
    """Have the group's leader remove this server; what it says against that, "" when it is done."""
    said = "no other server answers"
    for server in staying:
        try:
            answer = _ask(server.client, user, "$JS.API.SERVER.REMOVE", json.dumps({"peer": me}))
        except (OSError, ValueError) as error:
            said = f"{server.name}: {error}"
            continue
        if answer.get("success") or me not in _group(others):
            return ""
        refusal = answer.get("error") or {}
        said = f"{server.name}: {refusal.get('description') or answer}"
    return f"{me} is not removed from the JetStream group: {said}"


def _ask(endpoint: tuple[str, int], user: tuple[str, str], subject: str, payload: str) -> dict[str, Any]:
    """One request in NATS's own protocol, as the system account's user; the answer's JSON."""
    login = json.dumps({"user": user[0], "pass": user[1], "verbose": False, "lang": "sh", "version": "1"})
    body = payload.encode()
    with socket.create_connection(endpoint, timeout=5) as client:
        client.sendall(f"CONNECT {login}\r\nSUB answer 1\r\nPUB {subject} answer {len(body)}\r\n".encode())
        client.sendall(body + b"\r\n")
        said = b""
        while True:
            heard = client.recv(65536)
            if not heard:
                raise OSError("the connection was closed")
            said += heard
            if b"-ERR" in said:
                raise OSError(said[said.index(b"-ERR") :].decode("utf-8", "replace").strip())
            _, found, rest = said.partition(b"MSG answer 1 ")
            size, line, content = rest.partition(b"\r\n")
            if found and line and len(content) >= int(size):
                answer = json.loads(content[: int(size)])
                return answer if isinstance(answer, dict) else {}


def _wait(missing: Callable[[], str], timeout: float, calm: int = 2) -> None:
    """Wait until nothing is missing, ``calm`` times in a row: a group that changes looks complete for a moment."""
    deadline = time.monotonic() + timeout
    quiet = 0
    while quiet < calm:
        lacking = missing()
        quiet = 0 if lacking else quiet + 1
        if lacking and time.monotonic() > deadline:
            raise Failed(f"gave up after {timeout:g} s: {lacking}")
        time.sleep(POLL_S)
