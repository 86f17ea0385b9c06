"""Opening a connection: the one place where every trap of the SSH libraries is closed.

- Only the host keys pinned in the machine are accepted; a machine without one is refused.
- Only our key is offered: no agent, no keys or configuration of the user who happens to run us.
- Connecting, the banner, authentication and opening a channel each end within their time.
- TCP_NODELAY is on (40 ms a command without it); keepalives and TCP_USER_TIMEOUT notice a pulled cable.
- Whatever goes wrong is an ``Unreachable`` that names node and address.
"""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from coopr_core.errors import Unreachable
from coopr_core.remote.keys import parse_host_key

if TYPE_CHECKING:
    import paramiko

    from coopr_core.providers.contract import Machine

_WIRE_LOG = "coopr_core.remote.wire"
# The library logs tracebacks of failures that are raised here as one message.
logging.getLogger(_WIRE_LOG).setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long each step may take, in seconds."""

    connect: float = 10
    handshake: float = 20
    """For the server to say that it speaks SSH, and again to agree on the keys of the connection."""
    authentication: float = 20
    channel: float = 15
    keepalive: int = 10
    unacknowledged: float = 30
    """Sent data that is not acknowledged for this long means that the connection is lost."""
    stalled: float = 60
    """A file's transfer that does not move for this long is given up."""


class WrongHostKey(Unreachable):
    """The machine at a node's address is not the one whose key was pinned."""

    code: ClassVar[str] = "wrong-host-key"


def address_of(machine: Machine) -> str:
    """Where we reach the machine: its ``access_v4`` address."""
    address = machine.addresses.get("access_v4") or machine.addresses.get("bind_v4")
    if not address:
        raise Unreachable(f"node {machine.node} has no address yet", hint="Its CONFIRM has not run, or has failed.")
    return address


def name_of(machine: Machine) -> str:
    """The machine as messages name it."""
    return f"node {machine.node} ({address_of(machine)}:{machine.port})"


def open_connection(machine: Machine, key: paramiko.PKey, limits: Limits) -> paramiko.Transport:
    """A live, authenticated connection to the machine, or ``Unreachable``."""
    import fabric
    import paramiko

    address, name = address_of(machine), name_of(machine)
    pins = [parse_host_key(text) for text in machine.host_keys]
    if not pins:
        hint = "The provider learns host keys in CREATE or CONFIRM; run CONFIRM again."
        raise WrongHostKey(f"no host key is known for {name}: connecting would trust anybody", hint=hint)

    def transport(sock: socket.socket, **settings: Any) -> paramiko.Transport:
        made = paramiko.Transport(sock, **settings)
        made.handshake_timeout = limits.handshake
        return made

    connection = fabric.Connection(
        address,
        user=machine.ssh_user or "root",
        port=machine.port,
        config=fabric.Config(overrides={"load_ssh_configs": False}, lazy=True),
        connect_kwargs={
            "sock": _open_socket(address, machine.port, name, limits),
            "pkey": key,
            "allow_agent": False,
            "look_for_keys": False,
            "banner_timeout": limits.handshake,
            "transport_factory": transport,
            "auth_timeout": limits.authentication,
            "channel_timeout": limits.channel,
        },
    )
    client: paramiko.SSHClient = connection.client
    client.set_log_channel(_WIRE_LOG)
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    known_as = address if machine.port == 22 else f"[{address}]:{machine.port}"
    for pin in pins:
        client.get_host_keys().add(known_as, pin.get_name(), pin)
    try:
        connection.open()
    except paramiko.BadHostKeyException as error:
        connection.client.close()
        seen, pinned = error.key.fingerprint, error.expected_key.fingerprint
        raise _wrong_host_key(name, f"its key is {seen}, pinned is {pinned}") from error
    except paramiko.AuthenticationException as error:
        connection.client.close()
        hint = f"The key {key.get_name()} {key.fingerprint} must be in {machine.ssh_user or 'root'}'s authorized_keys."
        raise Unreachable(f"{name} does not let us in as {machine.ssh_user or 'root'}", hint=hint) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        connection.client.close()
        if "not found in known_hosts" in str(error):
            raise _wrong_host_key(name, "it has no key of a pinned type") from error
        reason = str(error) or type(error).__name__
        raise Unreachable(f"{name} does not answer as an SSH server: {reason}") from error
    connected: paramiko.Transport = connection.transport
    connected.set_keepalive(limits.keepalive)
    return connected


def _wrong_host_key(name: str, details: str) -> WrongHostKey:
    hint = "If the machine was really reinstalled, replace the node; otherwise somebody may be answering in its place."
    return WrongHostKey(f"{name} is not the machine that was made: {details}", hint=hint)


def _open_socket(address: str, port: int, name: str, limits: Limits) -> socket.socket:
    try:
        sock = socket.create_connection((address, port), timeout=limits.connect)
    except TimeoutError as error:
        raise Unreachable(f"{name} does not answer within {limits.connect:g} s") from error
    except OSError as error:
        raise Unreachable(f"{name} cannot be connected to: {error.strerror or error}") from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(limits.unacknowledged * 1000))
    return sock
