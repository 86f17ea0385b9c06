"""Files and folders of a catalog that services need on their nodes as they are: cookbooks, playbooks, archives, jars.

They lie below the folder ``resources`` of a catalog, and a service names them (``resources: [cookbooks/hadoop]``).
Promise: a resource is known by what is in it: the same version for the same bytes, names and executable bits, wherever
and whenever it is read. Nothing outside of it goes along: links must stay inside. Left out are ``.git`` and its kin.
Cost: one pass over the bytes for each that a service names, once per process while it does not change.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from coopr_core.catalog.entities import Resource
from coopr_core.errors import InvalidInput, Problem
from coopr_core.suggestions import did_you_mean

FOLDER = "resources"
"""The folder of a catalog that resources lie in."""

LARGEST = 1 << 30
"""No resource is larger, in bytes."""

MOST = 100_000
"""No resource has more files and folders."""

_LEFT_OUT = frozenset({".git", ".hg", ".svn", "__pycache__", ".DS_Store"})
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder or link of a resource: ``name`` begins with the resource's own last name."""

    name: str
    path: Path
    mode: int
    """0o755 for folders and what may be executed, else 0o644."""
    size: int = 0
    link: str = ""
    """What a link leads to; empty for anything else."""

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return not self.link and self.path.is_dir()


def entries(root: Path) -> Iterator[Entry]:
    """Yield everything in a resource, in one and the same order everywhere.

    Raises ``InvalidInput`` that names what cannot travel: a link that leads out or to nothing, a pipe, what is too
    much.
    """
    home, size, count = root.resolve(), 0, 0
    for path in _below(root):
        name = path.relative_to(root.parent).as_posix()
        count += 1
        if path.is_symlink() and path != root:
            yield Entry(name, path, 0o777, link=_inside(path, home))
            continue
        kind = path.stat()
        if stat.S_ISDIR(kind.st_mode):
            yield Entry(name, path, 0o755)
        elif stat.S_ISREG(kind.st_mode):
            size += kind.st_size
            yield Entry(name, path, 0o755 if kind.st_mode & 0o100 else 0o644, kind.st_size)
        else:
            raise _flaw(path, "is neither a file nor a folder nor a link")
        if size > LARGEST or count > MOST:
            limits = f"{LARGEST >> 20} MiB and {MOST} files"
            raise _flaw(root, f"is more than a resource may be: {limits}; let the service fetch it from elsewhere")


def content(entry: Entry) -> Iterator[bytes]:
    """Yield a file's bytes in pieces. Raises ``InvalidInput`` when it cannot be read or is not as long as it was."""
    left = entry.size
    try:
        with entry.path.open("rb") as file:
            while piece := file.read(min(_PIECE, left)):
                left -= len(piece)
                yield piece
            if left or file.read(1):
                raise _flaw(entry.path, "changed while it was read")
    except OSError as error:
        raise _flaw(entry.path, f"cannot be read: {error.strerror or error}") from None


def version_of(root: Path) -> str:
    """Return what the resource is known by, 40 hexadecimal digits. Raises ``InvalidInput`` like ``entries``."""
    try:
        listed = list(entries(root))
        seen = tuple((each.name, each.mode, each.link, _stamp(each)) for each in listed)
    except OSError as error:
        raise _flaw(root, f"cannot be read: {error.strerror or error}") from None
    known = _known.get(root)
    if known is None or known[0] != seen:
        digest = hashlib.sha256()
        for each in listed:
            take(digest.update, each)
            for piece in content(each) if each.size else ():
                digest.update(piece)
        known = _known[root] = (seen, digest.hexdigest()[:40])
    return known[1]


_known: dict[Path, tuple[Sequence[object], str]] = {}


def take(update: Callable[[bytes], object], entry: Entry) -> None:
    """Give what a version takes of an entry besides its content to ``update``."""
    kind = "l" if entry.link else "d" if entry.is_folder else "f"
    update(f"{kind} {entry.mode:o} {entry.size} {entry.name}\0{entry.link}\0".encode("utf-8", "surrogateescape"))


def found_in(resource: Resource, folders: Sequence[Path]) -> Resource:
    """Return the resource with its source and version, as the last of the folders that have it does.

    One that no folder has, or that cannot travel, is without a version: ``flaws_of`` says why.
    """
    for folder in reversed(folders):
        path = folder / resource.name
        if path.exists() or path.is_symlink():
            try:
                version = _version_in(path, folder)
            except InvalidInput:
                version = ""
            return Resource(name=resource.name, source=str(path), version=version)
    return Resource(name=resource.name)


def also_needed(named: Sequence[Resource], names: Iterable[str], folders: Sequence[Path]) -> list[Resource]:
    """Return those of the names that the folders have and that nothing named covers, or is covered by, already."""
    found: list[Resource] = []
    for name in names:
        covered = [each.name for each in (*named, *found)]
        if any(f"{name}/".startswith(f"{one}/") or one.startswith(f"{name}/") for one in covered):
            continue
        if any((folder / name).exists() for folder in folders):
            found.append(Resource(name=name))
    return found


def flaws_of(resource: Resource, folders: Sequence[Path]) -> list[Problem]:
    """Return why a service cannot have this resource; nothing for one that is as it should be."""
    if resource.source and resource.version:  # it was looked at when it was found
        return []
    if resource.source:
        path = Path(resource.source)
        try:
            _version_in(path, path.parents[resource.name.count("/")])
        except InvalidInput as error:
            return list(error.problems)
        return []
    known = {path.relative_to(folder).as_posix() for folder in folders for path in _nearest(folder, resource.name)}
    meant = did_you_mean(resource.name, known)
    there = f"the catalog has no {FOLDER}/{resource.name}"
    return [Problem(f'no resource "{resource.name}": {meant or there}')]


def _version_in(path: Path, folder: Path) -> str:
    if not path.exists():
        raise _flaw(path, "is a link to nothing")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise _flaw(path, "is a link that leads out of the catalog")
    return version_of(path)


def _below(root: Path) -> Iterator[Path]:
    yield root
    if root.is_dir():
        for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
            if entry.name in _LEFT_OUT:
                continue
            path = root / entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _below(path)
            else:
                yield path


def _nearest(folder: Path, name: str) -> Iterator[Path]:
    """Yield what lies at the depth of a name, for suggestions."""
    return folder.glob("/".join("*" for _ in name.split("/")))


def _inside(path: Path, home: Path) -> str:
    target = os.readlink(path)
    if os.path.isabs(target) or not path.resolve().is_relative_to(home):
        raise _flaw(path, f"is a link that leads out of the resource: {target}")
    if not path.exists():
        raise _flaw(path, f"is a link to nothing: {target}")
    return target


def _stamp(entry: Entry) -> tuple[int, int, int]:
    found = entry.path.lstat() if entry.link else entry.path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _flaw(path: Path, message: str) -> InvalidInput:
    return InvalidInput(f"{path} {message}", problems=[Problem(message, file=str(path))])
