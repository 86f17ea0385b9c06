"""What a provider plug-in must do: ask for machines, look at them, delete them, many at a time, each call repeatable.

A plug-in is a class named by an entry point of the group ``coopr.providers``; it is made with the provider's settings
(the catalog's ``provisioner`` fields, overlaid by its credentials). ``settings_type`` declares these, ``options_type``
the fields of its own that hardware and image types may have below ``providermap.<provider>``, ``limits`` how much at
once and how fast it may be asked. Whoever only knows calls about one machine derives from ``SimpleProvider``.

Left to the core (``cloud``): gathering calls into batches, the rate of calls, asking again when throttled, polling,
deadlines, and whether SSH answers with the very key. Calls come from many threads, and should not wait for anything
but their answer.

What a call raises, or says of one machine, tells whether trying again helps (``CooprError.retry``); the engine acts on
that alone: ``Denied``, ``OverQuota`` and ``InvalidInput`` never; ``Throttled``, ``TimedOut``, ``Unreachable`` and any
other error later, with the same machine; ``MachineFailed``, ``MachineGone`` and ``NoCapacity`` elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Literal, Protocol

from coopr_core.errors import CooprError
from coopr_core.model.placement import Placement
from coopr_core.providers.host_keys import HostKey
from coopr_core.providers.limits import ProviderLimits
from coopr_core.providers.scope import Attached, Scope
from coopr_core.providers.settings import NodeOptions, ProviderSettings


@dataclass(frozen=True, slots=True)
class MachineRequest:
    """One machine to make.

    ``token`` is the idempotency key: a second ``create`` with it finds the first one's machine. ``scope`` is the
    cluster it is for, ``attached`` what ``prepare`` made for that. ``host_key`` is the key the machine's SSH server is
    to have, and ``user_data`` the text for cloud-init that sees to it; both only for plug-ins that ``take_user_data``.
    """

    token: str
    scope: Scope
    node: int
    host_name: str
    placement: Placement
    ssh_user: str = ""
    host_key: HostKey | None = None
    user_data: str = field(default="", repr=False)
    attached: tuple[Attached, ...] = ()

    @property
    def cluster_id(self) -> str:
        """The cluster's id."""
        return self.scope.cluster_id

    @property
    def cluster_name(self) -> str:
        """The cluster's name."""
        return self.scope.cluster_name

    @property
    def installation(self) -> str:
        """Whose cluster it is, for cluster ids are counted per store."""
        return self.scope.installation

    @property
    def authorized_key(self) -> str:
        """The public key, in OpenSSH form, that must be let in."""
        return self.scope.authorized_key

    @property
    def tags(self) -> dict[str, str]:
        """What the machine is tagged with: cluster, node, token, owner, end of the lease, installation."""
        return {**self.scope.tags, "coopr-node": str(self.node), "coopr-token": self.token}


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
    pinned keys, ``"<type> <base64>"``; ``root`` is the folder its paths live below (``/`` on a real machine).
    ``reached_by`` is ``ssh``, through the ``gateway`` if there is one, or ``none`` for what has no SSH server, as in a
    simulation. ``attached`` are things that came with it and go with it, such as volumes and addresses.
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
    reached_by: Literal["ssh", "none"] = "ssh"
    attached: tuple[Attached, ...] = ()

    @property
    def address(self) -> str:
        """The address SSH connects to; empty while it is not known."""
        return self.addresses.get("access_v4") or self.addresses.get("bind_v4") or ""

    def to_json(self) -> dict[str, Any]:
        """Return the machine as the store keeps it; what most machines do not have is left out."""
        more: dict[str, Any] = {}
        if self.gateway is not None:
            more["gateway"] = self.gateway.to_json()
        if self.reached_by != "ssh":
            more["reached_by"] = self.reached_by
        if self.attached:
            more["attached"] = [thing.to_json() for thing in self.attached]
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
            **more,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Machine:
        """Return the machine that the store kept, by whichever version."""
        gateway = value.get("gateway")
        more = {
            "gateway": Gateway(**gateway) if gateway else None,
            "attached": tuple(Attached.from_json(thing) for thing in value.get("attached", ())),
        }
        return cls(**{**value, **more})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request: the machine that was accepted, or why none was."""

    machine: Machine | None = None
    error: CooprError | None = None


class MachineState(StrEnum):
    """How a machine is, as its provider says."""

    PENDING = "PENDING"
    """It is being made or started."""
    READY = "READY"
    """It runs, and its addresses are known."""
    STOPPED = "STOPPED"
    """It is there and does not run; it may be revived."""
    FAILED = "FAILED"
    """It will never be usable; only when that is certain, for it is given up then."""
    GONE = "GONE"
    """There is no such machine (any more); only when that is certain. One too new to be listed is left out instead."""


@dataclass(frozen=True, slots=True)
class Status:
    """How one machine is now.

    ``machine`` holds what the provider knows by now (addresses, host keys). ``reason`` is the provider's own word for
    the state. ``error`` is set for FAILED and GONE when it says more than ``MachineFailed`` (``NoCapacity``), and for a
    machine that could not be looked at, whose state does not matter then.
    """

    machine: Machine
    state: MachineState
    reason: str = ""
    error: CooprError | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are for a provider, in words, and what we may and may not do there."""

    who: str
    may: tuple[str, ...] = ()
    may_not: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that carries the tags of a scope, known to the store or not."""

    machines: tuple[Machine, ...] = ()
    attached: tuple[Attached, ...] = ()


class Provider(Protocol):
    """Makes and unmakes machines."""

    settings_type: ClassVar[type[ProviderSettings]]
    options_type: ClassVar[type[NodeOptions]]
    limits: ProviderLimits
    takes_user_data: bool
    """Whether its machines run cloud-init on the request's user data, so that they have the host key made for them.

    Otherwise the plug-in says itself which keys a machine has, as soon as it is READY.
    """

    def check(self) -> Account:
        """Say who we are there and what we may do, by asking. Raises ``Denied`` when we are nobody."""

    def prepare(self, scope: Scope) -> Iterable[Attached]:
        """Make what a cluster's machines need beside themselves, such as a key pair; what is there already is found.

        A generator that yields each thing before it makes it, and again when its ``provider_id`` is known: what is
        yielded is on record before the generator goes on.
        """

    def create(self, requests: Sequence[MachineRequest]) -> Sequence[Outcome]:
        """Ask for machines: accepted, not yet usable. Idempotent by token; one outcome per request, in their order.

        What it raises, rather than says of a request, is true of all of them.
        """

    def describe(self, machines: Sequence[Machine]) -> Iterable[Status]:
        """Say how machines are, in one call. One that the answer does not tell of is left out, and asked for again."""

    def revive(self, machine: Machine) -> None:
        """Start a machine that is stopped; never make a new one."""

    def delete(self, machines: Sequence[Machine]) -> Mapping[str, CooprError]:
        """Delete machines and end all that runs on them; return what kept each of the others, by its token.

        One that is gone already is a success.
        """

    def release(self, scope: Scope, attached: Sequence[Attached]) -> None:
        """Remove what ``prepare`` made; what is gone already is a success."""

    def find(self, scope: Scope) -> Found:
        """Find everything that carries the tags of the scope.

        What has no installation's tag is of a time before there were any, and counts; so does all with an empty
        ``cluster_id`` that the installation ever made and that is still there.
        """
