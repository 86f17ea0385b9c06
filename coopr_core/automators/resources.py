"""Resources on their way to nodes: packed once, kept in the cache folder by their version, sent once per node.

On a node each version is a folder of its own, ``.coopr/store/<version>``, unpacked beside and moved into place, so it
is whole or not there; ``.coopr/resources/<service>/<name>`` leads to the one that a service is to have. Promise: what
arrives is what the version says, byte for byte, whatever became of the catalog meanwhile: an archive is checked while
it is made, and one that cannot be made any more is refused by name. Cost: a node that has a version gets one command
for all of them; packing is one pass over the bytes per machine and version.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shlex
import tarfile
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from coopr_core.automators.node_folders import NodeFolders
from coopr_core.catalog.entities import Resource, Service
from coopr_core.catalog.resources import Entry, content, entries, take
from coopr_core.errors import InvalidInput, NotFound
from coopr_core.folders import PRIVATE, cache_folder, make_folder
from coopr_core.remote.command import RemoteFailure

if TYPE_CHECKING:
    from coopr_core.remote.session import Session

LIST = ".files"
"""What a version's list of its files is called, on the node."""

_STAMP = 315_532_800
"""The time of every file, 1980-01-01: archives are the same each time, and older times are unknown to some tools."""

_SECONDS = 120
_SLOWEST_BYTES_PER_SECOND = 50_000
_PIECE = 1 << 18


def needed(services: Iterable[Service]) -> dict[str, Resource]:
    """Return the resources of services by version."""
    return {resource.version: resource for service in services for resource in service.resources if resource.version}


def archive_of(resource: Resource) -> Path:
    """Return the resource's archive in the cache folder, made when missing; safe in many threads and processes.

    Raises ``NotFound`` when neither the cache nor the catalog has this version any more.
    """
    folder = make_folder(cache_folder() / "resources", PRIVATE)
    path = folder / f"{resource.version}.tar.gz"
    with _packing(resource.version):
        if not path.exists():
            _pack(resource, path)
    return path


def _packing(version: str) -> threading.Lock:
    with _guard:
        return _locks.setdefault(version, threading.Lock())


_guard = threading.Lock()
_locks: dict[str, threading.Lock] = {}


def _pack(resource: Resource, path: Path) -> None:
    source = Path(resource.source)
    gone = NotFound(
        f"resource {resource.name} is not any more what the cluster was made with ({resource.version[:12]}): "
        f"{resource.source or 'its catalog'} has changed, and the cache does not have it",
        hint="Restore it there, or have the cluster take today's: `coopr sync` does.",
    )
    if not source.exists():
        raise gone
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".packing-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            version = write_archive(source, file)
        if version != resource.version:
            raise gone
        Path(name).replace(path)
    except InvalidInput as error:
        raise gone from error
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()


def write_archive(source: Path, file: BinaryIO) -> str:
    """Write a resource as a compressed tar archive, the same each time, and return the version of what went in."""
    digest = hashlib.sha256()
    names: list[str] = []
    with (
        gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for entry in entries(source):
            names.append(entry.name)
            take(digest.update, entry)
            _add(tar, entry, digest)
        listed = "".join(f"{name}\0" for name in names).encode("utf-8", "surrogateescape")
        info = tarfile.TarInfo(LIST)
        info.size, info.mtime = len(listed), _STAMP
        tar.addfile(info, io.BytesIO(listed))
    return digest.hexdigest()[:40]


def _add(tar: tarfile.TarFile, entry: Entry, digest: hashlib._Hash) -> None:
    info = tarfile.TarInfo(entry.name)
    info.mode, info.mtime = entry.mode, _STAMP
    if entry.link:
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
        tar.addfile(info)
    elif entry.is_folder:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    else:
        info.size = entry.size
        tar.addfile(info, _Digested(entry, digest))


class _Digested(io.RawIOBase):
    """A file's content, taken into a digest as it is read."""

    def __init__(self, entry: Entry, digest: hashlib._Hash) -> None:
        self._pieces = content(entry)
        self._digest = digest
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """Read as many bytes as are asked for, fewer only at the end."""
        found = [self._rest]
        have = len(self._rest)
        while size < 0 or have < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self._digest.update(piece)
            found.append(piece)
            have += len(piece)
        whole = b"".join(found)
        cut = have if size < 0 else size
        self._rest = whole[cut:]
        return whole[:cut]


def send(resource: Resource, root: str, session: Session) -> int:
    """Bring a version to a node, whole or not at all, and return the bytes that travelled.

    ``session`` is of who owns services there. Raises ``RemoteFailure`` with the node's own words.
    """
    archive = archive_of(resource)
    size = archive.stat().st_size
    store = f"{NodeFolders(root).own}/store"
    script = (
        f"umask 022; v={resource.version}; mkdir -p {shlex.quote(store)} && cd {shlex.quote(store)} || exit 1\n"
        'n=.$v-$$; rm -rf ".$v"-*; mkdir "$n" && (cd "$n" && exec tar -xzpof -) && { chmod -R u+rwX "$v" 2>/dev/null\n'
        'rm -rf "$v"; mv "$n" "$v"; } || { rm -rf "$n"; exit 1; }\n'
    )
    done = session.stream(script, content=_pieces(archive), timeout=_SECONDS + size / _SLOWEST_BYTES_PER_SECOND)
    if done.exit_status:
        said = "; ".join(done.tail) or f"exit status {done.exit_status}"
        raise RemoteFailure(f"cannot bring resource {resource.name} to node {session.machine.node}: {said}")
    return size


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def linking(services: Iterable[Service], folders: NodeFolders) -> str:
    """Return shell lines that lead each service to its resources, there or not, and remove versions nobody is to have.

    They print ``+ <version>`` for each that is there whole. Nothing at all for nodes that need none and have none.
    """
    services = list(services)
    wanted = sorted(needed(services))
    lines = [f"cd {shlex.quote(folders.own)} || exit 1\n"]
    if not wanted:
        return f"{lines[0]}[ ! -d store ] || {{ chmod -R u+rwX store; rm -rf store resources; }} 2>/dev/null\n"
    lines.append(
        "chmod u+rwx store resources 2>/dev/null\nmkdir -p store && rm -rf resources.new && mkdir resources.new\n"
    )
    for service in services:
        for resource in service.resources:
            place = f"resources.new/{service.name}/{resource.name}"
            up = "../" * (resource.name.count("/") + 2)
            target = f"{up}store/{resource.version}/{resource.name.rpartition('/')[2]}"
            lines.append(
                f"mkdir -p {shlex.quote(os.path.dirname(place))} && ln -s {shlex.quote(target)} {shlex.quote(place)}\n"
            )
    kept, has_all = " ".join(wanted), whole('"store/$v"')
    lines.append(f"""rm -rf resources && mv resources.new resources || exit 1
for v in store/* store/.[!.]*; do
  v=${{v#store/}}
  w=${{v#.}}
  [ -e "store/$v" ] || continue
  case " {kept} " in
    *" ${{w%-*}} "*) [ "$v" != "$w" ] || ! {has_all} || echo "+ $v" ;;
    *) chmod -R u+rwX "store/$v" 2>/dev/null; rm -rf "store/$v" ;;
  esac
done
""")
    return "".join(lines)


def whole(place: str) -> str:
    """Return a shell command that succeeds when the version at this place, a shell's word, has all its files."""
    return f"(cd {place} 2>/dev/null && xargs -0 ls -d <{LIST} >/dev/null 2>&1)"


def read_versions(text: str) -> set[str]:
    """Return the versions that ``linking`` found whole."""
    return {line[2:] for line in text.splitlines() if line.startswith("+ ")}
