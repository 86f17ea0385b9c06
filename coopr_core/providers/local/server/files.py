"""SFTP and scp on a local node: the node's folder is ``/``, and what a command could not touch, a transfer cannot.

Promise: relative paths start at the node's home; absolute ones are below the node's root, which may be written out
(then the path means the same to commands and to transfers), as for ``coopr scp``. As root every look at the file system
is made as the nodes' user; all are synchronous on one thread, so nothing else ever runs with that user's rights.
"""

from __future__ import annotations

import functools
import os
import posixpath
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import asyncssh

from coopr_core.model.node_conventions import below_root
from coopr_core.providers.local.records import NodeRecord

_Method = TypeVar("_Method", bound=Callable[..., Any])
_BY_PATH = (
    *("open", "open56", "lstat", "stat", "setstat", "lsetstat", "fsetstat", "remove", "mkdir", "rmdir", "realpath"),
    *("rename", "readlink", "symlink", "link", "posix_rename", "statvfs"),
)


@contextmanager
def acting_as(record: NodeRecord) -> Iterator[None]:
    """Look at the file system with the rights of the nodes' user; nothing inside may wait."""
    if not record.switch:
        yield
        return
    group = os.getegid()
    os.setegid(record.gid)
    try:
        os.seteuid(record.uid)
        try:
            yield
        finally:
            os.seteuid(0)
    finally:
        os.setegid(group)


def _as_node_user(method: _Method) -> _Method:
    @functools.wraps(method)
    def guarded(self: NodeFiles, *arguments: Any, **options: Any) -> Any:
        with acting_as(self.record):
            return method(self, *arguments, **options)

    return cast(_Method, guarded)


class NodeFiles(asyncssh.SFTPServer):
    """The files of one node."""

    def __init__(self, chan: asyncssh.SSHServerChannel[bytes], record: NodeRecord) -> None:
        super().__init__(chan)
        self.record = record

    def map_path(self, path: bytes) -> bytes:
        """Where a path of the client is on this machine."""
        root, home = os.fsencode(self.record.root), os.fsencode(self.record.home)
        if self.channel.get_subsystem() is None and (path == b"~" or path.startswith(b"~/")):
            path = path[2:]  # scp of old leaves this to the login shell
        return below_root(path, root, home)

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        """Return the entries of a folder; one that goes away meanwhile is left out."""
        with acting_as(self.record):
            names = [b".", b"..", *os.listdir(self.map_path(path))]
        for name in names:
            try:
                attributes = await self.convert_attrs(self.lstat(posixpath.join(path, name)))
            except FileNotFoundError:
                continue
            yield asyncssh.SFTPName(name, attrs=attributes)

    def exit(self) -> None:
        """Tell the client that the session ended well: OpenSSH's scp takes a missing status for a failure."""
        if self.channel.get_subsystem() == "sftp":
            self.channel.exit(0)


for _name in _BY_PATH:
    setattr(NodeFiles, _name, _as_node_user(getattr(asyncssh.SFTPServer, _name)))
