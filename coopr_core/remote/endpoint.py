"""Where a node answers and how long it is waited for, without the SSH libraries, which are slow to import.

A gateway is an endpoint too: a server that lets us through to others, with host keys of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coopr_core.errors import Unreachable

if TYPE_CHECKING:
    from coopr_core.providers.contract import Gateway, Machine


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
    idle: float = 60
    """A connection that nobody uses for this long is closed; the next command opens another."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An SSH server as we reach it; ``name`` is what messages call it."""

    name: str
    address: str
    port: int
    user: str
    host_keys: tuple[str, ...]
    gateway: Endpoint | None = None

    @classmethod
    def of(cls, machine: Machine) -> Endpoint:
        """Return the endpoint of a machine. Raises ``Unreachable`` when it has no address.

        A machine that is not reached by SSH, as in a simulation, has a session all the same, which cannot connect.
        """
        address = machine.address if machine.reached_by == "ssh" else ""
        if not address and machine.reached_by == "ssh":
            raise Unreachable(f"node {machine.node} has no address yet", hint="Its CONFIRM has not run, or has failed.")
        return cls(
            f"node {machine.node} ({address}:{machine.port})" if address else f"node {machine.node}",
            address,
            machine.port,
            machine.ssh_user or "root",
            tuple(machine.host_keys),
            cls.of_gateway(machine.gateway) if machine.gateway else None,
        )

    @classmethod
    def of_gateway(cls, gateway: Gateway) -> Endpoint:
        """Return the endpoint of a gateway."""
        return cls(
            f"gateway {gateway.address}:{gateway.port}",
            gateway.address,
            gateway.port,
            gateway.ssh_user or "root",
            tuple(gateway.host_keys),
        )
