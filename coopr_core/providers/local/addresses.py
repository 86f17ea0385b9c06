"""Which address and port a node gets: a loopback address of its own, or one address with a port per node.

Promise: what is handed out was free when asked (tried by binding it), and two state folders keep to different slices of
127.0.0.0/8. Costs one bind per candidate, and one step per address that is taken already.
"""

from __future__ import annotations

import errno
import hashlib
import os
import socket
from collections.abc import Collection, Iterator
from enum import Enum
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from coopr_core.errors import CooprError, OverQuota
from coopr_core.providers.local.settings import DEFAULT_PORT, LocalSettings

Endpoint = tuple[str, int]
"""An address and a port."""

SHARED_ADDRESS = "127.0.0.1"
"""The address nodes share where no second loopback address can be had."""

_SLICE_BITS = 12
_FIRST_SLICE = 32
_PORTS_TRIED = 2000
_HELD_TRIED = 100


class AddressInUse(CooprError):
    """Something else listens on the address and port a node should have."""

    code = "address-in-use"


class Probe(Enum):
    """What binding an address and port shows."""

    FREE = "free"
    BUSY = "busy"
    ABSENT = "absent"
    DENIED = "denied"


def own_slice(state_dir: Path) -> IPv4Network:
    """Return the /20 network of this user's state folder: the same every time, most likely nobody else's."""
    digest = hashlib.sha256(f"{os.geteuid()}:{state_dir.resolve()}".encode()).digest()
    slices = 2 ** (24 - _SLICE_BITS) - _FIRST_SLICE
    index = _FIRST_SLICE + int.from_bytes(digest[:8], "big") % slices
    return IPv4Network((int(IPv4Address("127.0.0.0")) + (index << _SLICE_BITS), 32 - _SLICE_BITS))


def probe(address: str, port: int) -> Probe:
    """Tell what happens when one tries to listen there."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
            trial.listen(1)
        except PermissionError:
            return Probe.DENIED
        except OSError as error:
            return Probe.ABSENT if error.errno == errno.EADDRNOTAVAIL else Probe.BUSY
    return Probe.FREE


def allocate(settings: LocalSettings, default_range: IPv4Network, taken: Collection[Endpoint]) -> Endpoint:
    """Return a free address and port for one more node beside those ``taken``.

    The usual port of the first address that nobody uses; where it is held everywhere, another port. An address whose
    port is held is most likely a node's of another state folder, with services on it that ours would be in the way of.
    Raises ``AddressInUse`` when a port was set and is held by something else, ``OverQuota`` when the range is used up.
    """
    network = settings.address_range or default_range
    port = settings.port or DEFAULT_PORT
    own = _on_own_address(network, port, {address for address, _ in taken}, explicit=settings.port is not None)
    if own is not None:
        return own
    shared = SHARED_ADDRESS if settings.address_range is None else next(_hosts(network))
    if probe(shared, 0) is Probe.ABSENT:
        raise CooprError(
            f"this machine has no address {shared}, so no local node can listen there",
            hint=f"Add it (macOS: sudo ifconfig lo0 alias {shared} up), or leave address_range unset.",
        )
    return _on_shared_address(shared, port, taken, explicit=settings.port is not None)


def address_in_use(address: str, port: int) -> AddressInUse:
    """Return the error for a port that is held by something else."""
    return AddressInUse(
        f"port {port} on {address} is in use by another process",
        hint=f"Find it with `ss -ltnp 'sport = :{port}'` (or lsof -i :{port}) and end it, or set another port.",
    )


def _hosts(network: IPv4Network) -> Iterator[str]:
    """Return the addresses of a network that look like hosts to every program (not x.y.z.0 or x.y.z.255)."""
    if network.num_addresses == 1:
        yield str(network.network_address)
        return
    for host in network.hosts():
        if int(host) & 0xFF not in (0, 0xFF):
            yield str(host)


def _on_own_address(network: IPv4Network, port: int, taken: Collection[str], *, explicit: bool) -> Endpoint | None:
    """Return an endpoint on an address that no node of ours has; None when this machine has no such address."""
    held: list[str] = []
    for address in _hosts(network):
        if address in taken:
            continue
        if probe(address, 0) is Probe.ABSENT or len(held) == _HELD_TRIED:
            break
        if _usable(address, port):
            return address, port
        if explicit:
            raise address_in_use(address, port)
        held.append(address)
    else:
        if network.num_addresses > 1 and not held:
            raise OverQuota(
                f"all addresses of {network} are taken by {len(taken)} local nodes",
                hint="Delete clusters you no longer need, or set a wider address_range.",
            )
    return (held[0], _next_free(held[0], port + 1, frozenset())) if held else None


def _on_shared_address(address: str, port: int, taken: Collection[Endpoint], *, explicit: bool) -> Endpoint:
    ours = {own_port for own_address, own_port in taken if own_address == address}
    if explicit and port not in ours and not _usable(address, port):
        raise address_in_use(address, port)
    return address, _next_free(address, port, ours)


def _next_free(address: str, first: int, ours: Collection[int]) -> int:
    for port in range(first, min(first + _PORTS_TRIED, 65536)):
        if port not in ours and _usable(address, port):
            return port
    raise AddressInUse(
        f"no port from {first} on is free on {address}",
        hint="Set the local provider's port to one with free ports after it.",
    )


def _usable(address: str, port: int) -> bool:
    state = probe(address, port)
    if state is Probe.DENIED:
        raise CooprError(
            f"this user may not listen on port {port} of {address}",
            hint="Set a port of 1024 or above, which is the default.",
        )
    return state is Probe.FREE
