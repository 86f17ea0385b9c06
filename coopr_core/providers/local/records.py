"""The nodes of a state folder, as files: found again by any process, after any crash.

Promise: a node's record appears whole or not at all, before anything of the node starts, and goes last. Layout, below
``<state>/local``: ``nodes/<id>/node.json`` and ``host_key`` (only ours to read), ``nodes/<id>/installation`` (whose it
is, where several stores share a state folder), ``nodes/<id>/root`` (the node's own folder), ``nodes/<id>/running``
(commands under way), ``server/`` (locks and control socket), ``server.log``.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from coopr_core.errors import CooprError
from coopr_core.folders import PASSABLE, PRIVATE, make_folder
from coopr_core.providers.local.accounts import NodeUser
from coopr_core.providers.local.processes import Marks

logger = logging.getLogger(__name__)

_DELETING = "deleting"
_REMOVALS = 4


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One local node. ``mark`` and ``secret`` are what its processes are known by (see ``processes``)."""

    node_id: str
    token: str
    cluster_id: str
    cluster_name: str
    number: int
    host_name: str
    address: str
    port: int
    ssh_user: str
    authorized_key: str
    host_key: str
    image: str
    image_folder: str
    cache: str
    root: str
    user: str
    uid: int
    gid: int
    switch: bool
    mark: int
    secret: str

    @property
    def account(self) -> NodeUser:
        """The user its commands run as."""
        return NodeUser(self.user, self.uid, self.gid, self.switch)

    @property
    def marks(self) -> Marks:
        """What its processes are known by."""
        return Marks(self.mark, self.secret, self.root)

    @property
    def home(self) -> str:
        """The folder commands start in."""
        return f"{self.root}/home"


def node_id(cluster_id: str, number: int, token: str) -> str:
    """Return a node's name in the file system: readable, short (sockets live below it), the same for the same token."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", f"{cluster_id}-{number}")[:40].strip("-")
    return f"{readable}-{hashlib.sha256(token.encode()).hexdigest()[:8]}"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file's lock against other processes and against other threads of this one; a crash releases it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether anybody holds a file's lock just now."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


class NodeFolders:
    """The files of the local nodes of one state folder."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir.expanduser().resolve()
        self.local = self.state_dir / "local"
        self.nodes = self.local / "nodes"
        self.server = self.local / "server"
        self.server_lock = self.server / "server.lock"  # the server's, from before it listens until it is gone
        self.log = self.local / "server.log"

    def prepare(self) -> None:
        """Make the folders: as root others may pass through to the nodes, but read nothing of ours."""
        passable = PASSABLE if os.geteuid() == 0 else PRIVATE
        try:
            make_folder(self.state_dir, passable)
            for folder, mode in ((self.local, passable), (self.nodes, passable), (self.server, PRIVATE)):
                make_folder(folder, mode)
                if stat.S_IMODE(folder.stat().st_mode) != mode:
                    folder.chmod(mode)
        except OSError as error:
            raise CooprError(
                f"the local provider's folder {self.local} cannot be made: {error.strerror}",
                hint="Name a folder you may write to in COOPR_STATE_DIR.",
            ) from error

    def lock(self, name: str) -> contextlib.AbstractContextManager[None]:
        """One of the locks of this state folder."""
        return locked(self.server / f"{name}.lock")

    def folder(self, node: str) -> Path:
        """Return a node's folder."""
        return self.nodes / node

    def running(self, node: str) -> Path:
        """Return the folder with one file per command under way, named by its process id."""
        return self.folder(node) / "running"

    def record(self, node: str) -> NodeRecord | None:
        """Return the record of a node; None when there is no such node."""
        try:
            return NodeRecord(**json.loads((self.folder(node) / "node.json").read_text()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError) as error:
            raise CooprError(
                f"the record of local node {node} in {self.folder(node)} cannot be read: {error}",
                hint="If nothing of it is needed, end its processes and remove that folder.",
            ) from error

    def records(self, whole: str = "") -> list[NodeRecord]:
        """All nodes, in the order of their names, those half deleted too; one that cannot be read is left out.

        ``whole`` is the id of a cluster of which none may be left out: raises ``CooprError`` then.
        """
        try:
            names = sorted(os.listdir(self.nodes))
        except FileNotFoundError:
            return []
        found = []
        for name in names:
            if not name.startswith("."):
                try:
                    record = self.record(name)
                except CooprError as error:
                    if whole and name.startswith(f"{whole}-"):
                        raise
                    logger.warning("%s", error.message)
                else:
                    found.extend([record] if record else [])
        return found

    def installation(self, node: str) -> str:
        """Return the installation that a node was made for; empty when it was made before there were any."""
        try:
            return (self.folder(node) / "installation").read_text()
        except (FileNotFoundError, NotADirectoryError):
            return ""

    def add(
        self, record: NodeRecord, private_key: bytes, populate: Callable[[Path, NodeRecord], None], installation: str
    ) -> None:
        """Record a node; call with the ``allocate`` lock held.

        The node's folder, its root filled by ``populate``, appears whole or not at all.
        """
        fresh = self.nodes / f".new-{record.node_id}"
        remove_tree(fresh)
        fresh.mkdir(mode=0o700)
        (fresh / "running").mkdir(mode=0o700)
        _write_private(fresh / "host_key", private_key)
        if installation:
            _write_private(fresh / "installation", installation.encode())
        _write_private(fresh / "node.json", json.dumps(asdict(record), indent=1).encode())
        inside = Path(record.root).parent == self.folder(record.node_id)
        root = fresh / "root" if inside else Path(record.root)
        remove_tree(root)
        make_folder(root)
        populate(root, record)
        fresh.chmod(0o711 if record.switch else 0o700)
        fresh.rename(self.folder(record.node_id))

    def replace(self, record: NodeRecord) -> None:
        """Write a node's record anew."""
        _write_private(self.folder(record.node_id) / "node.json", json.dumps(asdict(record), indent=1).encode())

    def start_deleting(self, node: str) -> None:
        """Note that the node is going: nothing serves it from now on."""
        with contextlib.suppress(FileNotFoundError):
            _write_private(self.folder(node) / _DELETING, b"")

    def is_deleting(self, node: str) -> bool:
        """Whether a delete of the node has begun."""
        return (self.folder(node) / _DELETING).exists()

    def remove(self, record: NodeRecord) -> None:
        """Remove a node's files, its record last."""
        folder = self.folder(record.node_id)
        remove_tree(Path(record.root))
        gone = self.nodes / f".gone-{record.node_id}"
        with contextlib.suppress(FileNotFoundError):
            folder.rename(gone)
        remove_tree(gone)

    def sweep(self) -> None:
        """Remove what interrupted adds and removes left; call with the ``allocate`` lock held."""
        for leftover in (*self.nodes.glob(".new-*"), *self.nodes.glob(".gone-*")):
            remove_tree(leftover)


def remove_tree(path: Path) -> None:
    """Remove a folder with all in it, also where commands took away our right to look inside; gone is fine."""
    if path.is_symlink():
        path.unlink(missing_ok=True)
        return
    reason, failures = "", 0
    while path.exists() and failures < _REMOVALS:
        try:
            if failures and os.geteuid() != 0:
                _permit(path)
            shutil.rmtree(path)
        except FileNotFoundError:
            continue  # somebody else removes it too, and so it gets smaller
        except OSError as error:
            reason, failures = f"{error.strerror} ({error.filename})", failures + 1
    if path.exists():
        raise CooprError(
            f"the folder {path} cannot be removed: {reason}",
            hint="See what holds it (a mount? another user's files?) and delete again.",
        )


def _permit(path: Path) -> None:
    """Give ourselves back the right to enter and change every folder of a tree; follows no links."""
    folders = [str(path)]
    while folders:
        folder = folders.pop()
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
            with os.scandir(folder) as entries:
                folders.extend(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))


def _write_private(path: Path, content: bytes) -> None:
    """Write a file only its owner can read, whole or not at all."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
