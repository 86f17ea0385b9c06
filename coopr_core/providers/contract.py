"""What a provider plug-in must do: four calls, each safe to repeat.

A plug-in is a class named by an entry point of the group ``coopr.providers``; it is made with the provider's settings
(the catalog's ``provisioner`` fields, overlaid by its block's values). Its ``settings_type`` declares these, its
``node_options`` the fields of its own that hardware and image types may have below ``providermap.<provider>``; without
it there are none. All calls may block and are made from threads.

What a call raises says whether trying again helps (``CooprError.retry``), and the engine acts on that alone: ``Denied``
and ``InvalidInput`` end the task; ``Throttled``, ``TimedOut``, ``Unreachable`` and every other error let it be tried
again later, with the same machine; ``MachineFailed``, ``MachineGone`` and ``NoCapacity`` let another machine be made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

USABLE_WITHIN = 1800.0
"""How many seconds after it was accepted a machine that is not usable yet is replaced, unless its provider knows."""


@dataclass(frozen=True, slots=True)
class MachineRequest:
    """One machine to make.

    ``token`` is the idempotency key: a second ``create`` with it finds the first one's machine. ``authorized_key`` is
    the public key, in OpenSSH form, that must be let in. ``options`` are those of the plug-in's own ``node_options``
    that the node's hardware and image type give, as they stand in the catalog. ``installation`` says whose cluster it
    is, for cluster ids are counted per store: machines are tagged with both.
    """

    token: str
    cluster_id: str
    cluster_name: str
    node: int
    host_name: str
    flavor: str
    image: str
    ssh_user: str
    authorized_key: str
    zone: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    installation: str = ""


@dataclass(frozen=True, slots=True)
class Gateway:
    """An SSH server that machines without an address of their own are reached through (a bastion).

    It lets in the same key as the machines behind it, and is told by its pinned ``host_keys``, like they are.
    """

    address: str
    port: int = 22
    ssh_user: str = ""
    host_keys: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the gateway as the store keeps it with its machine."""
        return {
            "address": self.address,
            "port": self.port,
            "ssh_user": self.ssh_user,
            "host_keys": list(self.host_keys),
        }


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine a provider made. A node is an address and a port everywhere, never an address alone.

    ``addresses`` has ``access_v4`` (reachable by us) and ``bind_v4`` (for services to bind to); ``host_keys`` are the
    pinned keys, ``"<type> <base64>"``; ``root`` is the folder its paths live below (``/`` on a real machine). With a
    ``gateway`` it is reached through that.
    """

    token: str
    provider_id: str
    cluster_id: str
    node: int
    addresses: Mapping[str, str] = field(default_factory=dict)
    port: int = 22
    ssh_user: str = ""
    host_keys: Sequence[str] = ()
    root: str = "/"
    gateway: Gateway | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the machine as the store keeps it."""
        return {
            "token": self.token,
            "provider_id": self.provider_id,
            "cluster_id": self.cluster_id,
            "node": self.node,
            "addresses": dict(self.addresses),
            "port": self.port,
            "ssh_user": self.ssh_user,
            "host_keys": list(self.host_keys),
            "root": self.root,
            **({"gateway": self.gateway.to_json()} if self.gateway else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Machine:
        """Return the machine the store kept."""
        gateway = value.get("gateway")
        return cls(**{**value, "gateway": Gateway(**gateway) if gateway else None})


class Provider(Protocol):
    """Makes and unmakes machines."""

    def create(self, request: MachineRequest) -> Machine:
        """Ask for a machine: accepted, not yet usable. Idempotent by ``request.token``."""

    def confirm(self, machine: Machine) -> Machine:
        """Wait until the machine is usable: addresses known, SSH answers, host keys known.

        Also called for a machine that stopped answering: it may bring it back, and must not make a new one.
        Raises ``MachineFailed`` or ``MachineGone`` only when that is certain, for the machine is given up then;
        ``Unreachable`` or ``TimedOut`` when it was looked at and is not usable yet; anything else when it could not be
        looked at.
        """

    def delete(self, machine: Machine) -> None:
        """Delete the machine and end all that runs on it; one that is gone already is a success."""

    def find(self, cluster_id: str, installation: str = "") -> list[Machine]:
        """Every machine that carries the tags of the cluster and the installation, known to the store or not.

        One without an installation's tag is of a time before there were any, and counts; "" is any installation.
        """


@runtime_checkable
class KnowsItsPace(Protocol):
    """What a provider may offer besides: how long its machines may take to become usable."""

    usable_within: float
    """In seconds, from the moment a machine was accepted, instead of ``USABLE_WITHIN``; 0 is for ever."""


@runtime_checkable
class ListsAll(Protocol):
    """What a provider may offer besides, where all machines it can see belong to this installation."""

    def find_all(self, installation: str = "") -> list[Machine]:
        """Every machine the installation ever made and that is still there, whichever cluster it was made for."""
