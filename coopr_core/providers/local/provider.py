"""The local provider: machines that are folders of this one, each with an address and an SSH server.

Promise: the calls of the contract, each safe to repeat from any thread or process and after any crash; a deleted node
leaves no process and no file. A create costs a key and some files (about 10 ms) once image and server are there.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from coopr_core.errors import CooprError, InvalidInput, MachineGone, Unreachable
from coopr_core.folders import PASSABLE, make_folder
from coopr_core.providers.contract import Account, Machine, MachineRequest, MachineState, Status
from coopr_core.providers.limits import ProviderLimits
from coopr_core.providers.local import processes
from coopr_core.providers.local.accounts import NodeUser, node_user
from coopr_core.providers.local.addresses import AddressInUse, allocate, own_slice
from coopr_core.providers.local.control import ServerControl
from coopr_core.providers.local.environment import populate
from coopr_core.providers.local.image import downloads, ensure_image, image_cache
from coopr_core.providers.local.records import NodeFolders, NodeRecord, node_id
from coopr_core.providers.local.settings import LocalNodeOptions, LocalSettings
from coopr_core.providers.scope import Scope
from coopr_core.providers.simple import SimpleProvider

logger = logging.getLogger(__name__)

ELSEWHERE = Path("/var/lib/coopr-nodes")
"""Where root's nodes live when their user cannot reach the state folder (below ``/root``, say)."""

_PORT_ATTEMPTS = 5


class LocalProvider(SimpleProvider):
    """Makes nodes on this machine; a ``coopr.providers`` plug-in."""

    settings_type: ClassVar[type[LocalSettings]] = LocalSettings
    options_type: ClassVar[type[LocalNodeOptions]] = LocalNodeOptions
    limits = ProviderLimits(answers_within=0.1)  # its server listens before a machine is READY

    def __init__(self, settings: Mapping[str, Any] | None = None, *, state_dir: Path | None = None) -> None:
        self._settings = LocalSettings.checked(settings, "local")
        if state_dir is None:
            from coopr_core.settings import load_settings

            state_dir = load_settings().state_dir
        self._folders = NodeFolders(state_dir)
        self._control = ServerControl(self._folders)
        self._user = node_user(self._settings.user)
        self._place: Path | None = None
        self._place_lock = threading.Lock()

    def check(self) -> Account:
        """Say whom the nodes' commands run as, and where nodes live."""
        where = f"nodes live in {self._folders.nodes}"
        return Account(f"user {self._user.name} on this machine; {where}", may=("create", "delete", "find"))

    def create_machine(self, request: MachineRequest) -> Machine:
        """Record the node and start serving it; a second call with the same token finds the first one's node."""
        self._folders.prepare()
        name = node_id(request.cluster_id, request.node, request.token)
        if self._folders.is_deleting(name):
            self._delete(name)
        record = self._folders.record(name)
        if record is None:
            cache = image_cache(self._folders.state_dir)
            image = ensure_image(request.placement.image, cache, self._user)
            record = self._add(name, request, image, downloads(cache, self._user))
        return _machine(self._serve(record))

    def machine_status(self, machine: Machine) -> Status:
        """See that the node is there and served; its server is brought back when it does not run."""
        record = self._folders.record(machine.provider_id)
        if record is None or self._folders.is_deleting(machine.provider_id):
            gone = MachineGone(
                f"local node {machine.provider_id} of cluster {machine.cluster_id} is gone from {self._folders.nodes}",
                hint=f"`coopr replace {machine.cluster_id} {machine.node}` makes it anew; a cluster that never was "
                "complete can only be deleted and created again.",
            )
            return Status(machine, MachineState.GONE, error=gone)
        self._folders.prepare()
        ensure_image(record.image, image_cache(self._folders.state_dir), record.account)
        try:
            self._control.serve(record.node_id)
        except Unreachable:
            raise
        except CooprError as error:
            raise Unreachable(f"node {record.host_name}: {error.message}", hint=error.hint) from error
        return Status(_machine(record), MachineState.READY)

    def delete_machine(self, machine: Machine) -> None:
        """End every process of the node and remove its folder; the last one takes the server with it."""
        self._delete(machine.provider_id)

    def find_machines(self, scope: Scope) -> list[Machine]:
        """Find the nodes of a cluster, or of this state folder, by their records; those half deleted too.

        Raises ``CooprError`` when the record of a cluster's node cannot be read: that is no sign that it is gone.
        """
        found = [r for r in self._folders.records(scope.cluster_id) if scope.cluster_id in ("", r.cluster_id)]
        return [_machine(record) for record in found if self._belongs(record, scope.installation)]

    def _belongs(self, record: NodeRecord, installation: str) -> bool:
        return not installation or self._folders.installation(record.node_id) in ("", installation)

    def _add(self, name: str, request: MachineRequest, image: Path, cache: Path) -> NodeRecord:
        private_key, public_key = _new_host_key()
        root = self._nodes_place() / name
        with self._folders.lock("allocate"):
            known = self._folders.record(name)
            if known is not None:
                return known
            self._folders.sweep()
            taken = [(record.address, record.port) for record in self._folders.records()]
            address, port = allocate(self._settings, own_slice(self._folders.state_dir), taken)
            record = NodeRecord(
                node_id=name,
                token=request.token,
                cluster_id=request.cluster_id,
                cluster_name=request.cluster_name,
                number=request.node,
                host_name=request.host_name,
                address=address,
                port=port,
                ssh_user=request.ssh_user or self._user.name,
                authorized_key=request.authorized_key,
                host_key=public_key,
                image=request.placement.image,
                image_folder=str(image),
                cache=str(cache),
                root=str(root / "root" if root.parent == self._folders.nodes else root),
                user=self._user.name,
                uid=self._user.uid,
                gid=self._user.gid,
                switch=self._user.switch,
                mark=processes.new_limit(secrets.randbits(62)),
                secret=secrets.token_hex(12),
            )
            self._folders.add(record, private_key, populate, request.installation)
        logger.info("local node %s: %s port %d, %s", name, address, port, record.root)
        return record

    def _serve(self, record: NodeRecord) -> NodeRecord:
        """Have the node served; when another process took its port meanwhile and any will do, on another."""
        for _ in range(_PORT_ATTEMPTS):
            try:
                self._control.serve(record.node_id)
                return record
            except AddressInUse:
                if self._settings.port is not None:
                    raise
                record = self._move(record)
        self._control.serve(record.node_id)
        return record

    def _move(self, record: NodeRecord) -> NodeRecord:
        with self._folders.lock("allocate"):
            others = [(r.address, r.port) for r in self._folders.records() if r.node_id != record.node_id]
            address, port = allocate(self._settings, own_slice(self._folders.state_dir), others)
            moved = replace(record, address=address, port=port)
            self._folders.replace(moved)
        return moved

    def _nodes_place(self) -> Path:
        """Return the folder the nodes' own folders are in: one their user can reach."""
        with self._place_lock:
            if self._place is None:
                self._place = self._folders.nodes
                if not self._user.reaches(self._folders.nodes):
                    self._place = _place_elsewhere(self._folders.state_dir, self._user)
            return self._place

    def _delete(self, name: str) -> None:
        record = self._folders.record(name)
        if record is not None:
            self._folders.start_deleting(name)
            self._control.release(name)
            processes.end(lambda: processes.of_node(record.marks), f"local node {record.host_name}")
            self._folders.remove(record)
            logger.info("local node %s is gone", name)
        if self._folders.server.exists():
            with self._folders.lock("allocate"):
                self._folders.sweep()
            self._control.retire()
            _remove_if_empty(elsewhere(self._folders.state_dir))


def _machine(record: NodeRecord) -> Machine:
    return Machine(
        token=record.token,
        provider_id=record.node_id,
        cluster_id=record.cluster_id,
        node=record.number,
        addresses={"access_v4": record.address, "bind_v4": record.address},
        port=record.port,
        ssh_user=record.ssh_user,
        host_keys=(record.host_key,),
        root=record.root,
    )


def _new_host_key() -> tuple[bytes, str]:
    """Return a node's private key in OpenSSH form, and its public key as ``"<type> <base64>"``."""
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519")
    kind, blob = key.export_public_key().decode().split()[:2]
    return key.export_private_key(), f"{kind} {blob}"


def _place_elsewhere(state_dir: Path, user: NodeUser) -> Path:
    place = elsewhere(state_dir)
    try:
        make_folder(place, PASSABLE)
        for folder in (ELSEWHERE, place):
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                raise PermissionError(f"{folder} belongs to somebody else")
            folder.chmod(0o711)
    except OSError as error:
        raise _out_of_reach(state_dir, user, str(error)) from error
    if not user.reaches(place):
        raise _out_of_reach(state_dir, user, f"nor can it enter {place}")
    return place


def _out_of_reach(state_dir: Path, user: NodeUser, reason: str) -> InvalidInput:
    return InvalidInput(
        f"user {user.name!r}, whom the nodes' commands run as, cannot enter the state folder {state_dir}: {reason}",
        hint="Name a folder that others may pass through in COOPR_STATE_DIR, such as /var/lib/coopr.",
    )


def elsewhere(state_dir: Path) -> Path:
    """Return the folder of nodes whose user cannot reach the state folder."""
    return ELSEWHERE / hashlib.sha256(str(state_dir.resolve()).encode()).hexdigest()[:10]


def _remove_if_empty(folder: Path) -> None:
    for place in (folder, folder.parent):
        try:
            place.rmdir()
        except OSError:
            return
