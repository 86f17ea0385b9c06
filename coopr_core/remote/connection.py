"""Making and opening a ``fabric.Connection``: the one place where every trap of the SSH libraries is closed.

- Only the pinned host keys are accepted; a server without one is refused.
- Only our key is offered: no agent, no keys or configuration of the user who happens to run us.
- Connecting, the banner, authentication and opening a channel each end within their time.
- TCP_NODELAY is on (40 ms a command without it); keepalives and TCP_USER_TIMEOUT notice a pulled cable.
- A gateway that is gone is told apart from a node that does not answer, and taking leave of it is no failure.
- Whatever goes wrong is an ``Unreachable`` that names the node (or its gateway) and the address.

Slow to import, for the SSH libraries are: ``link`` does so when a connection is first needed.
"""

from __future__ import annotations

import logging
import socket
from contextlib import suppress
from typing import Any

import fabric
import paramiko

from coopr_core.errors import Unreachable, WrongHostKey
from coopr_core.remote.endpoint import Endpoint, Limits
from coopr_core.remote.keys import parse_host_key

_WIRE_LOG = "coopr_core.remote.wire"
# The library logs tracebacks of failures that are raised here as one message.
logging.getLogger(_WIRE_LOG).setLevel(logging.CRITICAL + 1)


class OnlyPinnedKeys(paramiko.MissingHostKeyPolicy):
    """The policy for a server that none of whose keys is pinned: it is refused, as our own error."""

    def __init__(self, name: str) -> None:
        self._name = name

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Raise ``WrongHostKey``."""
        raise _wrong_host_key(self._name, f"its key is {key.fingerprint}, and none is pinned for {hostname}")


class GatewayLost(Unreachable):
    """The connection to the gateway was gone when a node behind it was to be reached: opening it again is safe."""


class _Connection(fabric.Connection):  # type: ignore[misc]  # fabric has no types
    """A connection that says of its gateway when that is gone."""

    def open_gateway(self) -> Any:
        """Return a channel of the gateway's connection, which is open. Raises ``GatewayLost``."""
        try:
            return _Way(super().open_gateway())
        except (paramiko.SSHException, EOFError, OSError) as error:
            if isinstance(error, paramiko.SSHException) and self.gateway.is_connected:
                raise
            way = f"gateway {self.gateway.host}:{self.gateway.port}"
            raise GatewayLost(f"lost the connection to {way}, behind which is {self.host}: {_reason(error)}") from error


class _Way:
    """A gateway's channel as the socket of a node's connection, which is closed whatever became of the gateway."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    def close(self) -> None:
        """Close the channel, if there still is one."""
        with suppress(EOFError, OSError):
            self._channel.close()


def make_connection(
    endpoint: Endpoint, key: paramiko.PKey, limits: Limits, gateway: fabric.Connection | None = None
) -> fabric.Connection:
    """Return a connection to the endpoint, not opened yet. Raises ``WrongHostKey`` when no host key is pinned."""
    pins = [parse_host_key(text) for text in endpoint.host_keys]
    if not pins:
        hint = "The provider learns host keys in CREATE or CONFIRM; run CONFIRM again."
        raise WrongHostKey(f"no host key is known for {endpoint.name}: connecting would trust anybody", hint=hint)

    def transport(sock: Any, **settings: Any) -> paramiko.Transport:
        made = paramiko.Transport(sock, **settings)
        made.handshake_timeout = limits.handshake
        return made

    connection = _Connection(
        endpoint.address,
        user=endpoint.user,
        port=endpoint.port,
        # Nobody's files; one each, for a connection in the making changes its configuration.
        config=fabric.Config(overrides={"load_ssh_configs": False}, lazy=True),
        gateway=gateway,
        connect_kwargs={
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
    client.set_missing_host_key_policy(OnlyPinnedKeys(endpoint.name))
    known_as = endpoint.address if endpoint.port == 22 else f"[{endpoint.address}]:{endpoint.port}"
    for pin in pins:
        client.get_host_keys().add(known_as, pin.get_name(), pin)
    return connection


def open_connection(connection: fabric.Connection, endpoint: Endpoint, limits: Limits) -> None:
    """Open a connection that is not open (any more), through its gateway, which is.

    Raises ``Unreachable``; ``GatewayLost`` when the gateway turned out to be gone.
    """
    if connection.gateway is None:
        connection.connect_kwargs["sock"] = _open_socket(endpoint, limits)
    key = connection.connect_kwargs["pkey"]
    try:
        connection.open()
    except WrongHostKey:
        connection.client.close()
        raise
    except paramiko.BadHostKeyException as error:
        connection.client.close()
        if error.key.get_name() not in {pin.split()[0] for pin in endpoint.host_keys}:
            raise _wrong_host_key(endpoint.name, "it has no key of a pinned type") from error
        seen, pinned = error.key.fingerprint, error.expected_key.fingerprint
        raise _wrong_host_key(endpoint.name, f"its key is {seen}, pinned is {pinned}") from error
    except paramiko.AuthenticationException as error:
        connection.client.close()
        hint = f"The key {key.get_name()} {key.fingerprint} must be in {endpoint.user}'s authorized_keys."
        raise Unreachable(f"{endpoint.name} does not let us in as {endpoint.user}", hint=hint) from error
    except paramiko.ChannelException as error:
        raise Unreachable(f"{endpoint.name} cannot be connected to from its gateway: {error.text}") from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        connection.client.close()
        raise Unreachable(f"{endpoint.name} does not answer as an SSH server: {_reason(error)}") from error
    connection.transport.set_keepalive(limits.keepalive)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _wrong_host_key(name: str, details: str) -> WrongHostKey:
    hint = "If the machine was really reinstalled, replace the node; otherwise somebody may be answering in its place."
    return WrongHostKey(f"{name} is not the machine that was made: {details}", hint=hint)


def _open_socket(endpoint: Endpoint, limits: Limits) -> socket.socket:
    try:
        sock = socket.create_connection((endpoint.address, endpoint.port), timeout=limits.connect)
    except TimeoutError as error:
        raise Unreachable(f"{endpoint.name} does not answer within {limits.connect:g} s") from error
    except OSError as error:
        raise Unreachable(f"{endpoint.name} cannot be connected to: {error.strerror or error}") from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(limits.unacknowledged * 1000))
    return sock
