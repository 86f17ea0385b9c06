"""Files and folders to and from a node, over its session, as ``cp -r`` would copy them; needs ``tar`` there, no SFTP.

A single file sent appears whole or not at all. What a node sends back is never trusted: nothing is written outside the
place it was asked for, no link that leads out, no device, no set-uid bit. Cost: one pass over the bytes, in pieces;
what is fetched is kept in a temporary file until the node has said that it is complete.
"""

from __future__ import annotations

import os
import posixpath
import shlex
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from coopr_core.errors import InvalidInput, NotFound
from coopr_core.model.node_conventions import below_root
from coopr_core.remote.command import RemoteFailure
from coopr_core.remote.session import Session

_PIECE = 1 << 18
_BLOCK = tarfile.BLOCKSIZE
_ABSENT = 66


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied: how many files, how many bytes, and the names of what could not be, with the reason."""

    files: int
    size: int
    skipped: tuple[str, ...] = ()


def send(session: Session, sources: Sequence[Path], target: str) -> Copied:
    """Copy files and folders to ``target`` on the node.

    Below ``target`` if it is a folder, ends with ``/``, or there are several sources; otherwise the one source gets
    that name. Relative paths are meant from where commands start, absolute ones below the node's root. Raises
    ``NotFound`` for a source that is not there, ``RemoteFailure`` with the node's own words.
    """
    for source in sources:
        if not source.exists():
            raise NotFound(f"there is no {source}")
    path = _on_node(session, target)
    below = len(sources) > 1 or target.endswith("/") or target in ("", ".") or _is_folder(session, path)
    if not below and sources[0].is_file():
        session.put(sources[0], path, sources[0].stat().st_mode & 0o777)
        return Copied(1, sources[0].stat().st_size)
    folder = path if below else posixpath.dirname(path) or "."
    names = [source.resolve().name if below else posixpath.basename(path) for source in sources]
    counted = _Counted()
    quoted = shlex.quote(folder)
    made = session.stream(
        f"{f'mkdir -p {quoted} && ' if below else ''}cd {quoted} && tar -xpof -",
        content=_archive(list(zip(sources, names, strict=True)), counted),
    )
    if made.exit_status:
        raise RemoteFailure(
            f"cannot copy to {target or '.'} on node {session.machine.node}: "
            f"{'; '.join(made.tail) or f'exit status {made.exit_status}'}"
        )
    return Copied(counted.files, counted.size, tuple(counted.skipped))


def fetch(session: Session, source: str, target: Path) -> Copied:
    """Copy a file or folder of the node to ``target``: below it if it is a folder, otherwise under that name.

    Raises ``NotFound`` when it is not on the node, ``RemoteFailure`` with the node's own words.
    """
    path = _on_node(session, source)
    final = target / _own_name(remote_path(source)) if target.is_dir() else target
    if not final.parent.is_dir():
        raise NotFound(f"there is no folder {final.parent}")
    quoted = shlex.quote(path)
    command = (
        f"[ -e {quoted} ] || exit {_ABSENT}; if [ -d {quoted} ]; then cd {quoted} && exec tar -cf - .; "
        f"else cd {shlex.quote(posixpath.dirname(path) or '.')} && exec tar -chf - {shlex.quote(_dashed(path))}; fi"
    )
    with tempfile.TemporaryFile(dir=final.parent) as archive:
        sent = session.stream(command, receive=lambda chunk: _write(archive.fileno(), chunk))
        if sent.exit_status == _ABSENT:
            raise NotFound(f"{source} is not on node {session.machine.node}")
        changed = sent.tail and all("changed as we read it" in line for line in sent.tail)
        if sent.exit_status and not (sent.exit_status == 1 and changed):
            said = "; ".join(sent.tail) or f"exit status {sent.exit_status}"
            raise RemoteFailure(f"cannot copy {source} from node {session.machine.node}: {said}")
        archive.seek(0)
        try:
            with tarfile.open(fileobj=archive, mode="r:") as tar:
                return _unpack(tar, final)
        except tarfile.TarError as error:
            raise RemoteFailure(f"node {session.machine.node} sent no archive of {source}: {error}") from error


def remote_path(text: str) -> str:
    """Return a path on a node as a shell takes it quoted: ``~`` and nothing are where commands start."""
    if text in ("", "~", "~/"):
        return "."
    path = text.removeprefix("~/").rstrip("/") or "/"
    return f"./{path}" if path.startswith("-") else path


def _on_node(session: Session, text: str) -> str:
    """Return the path as commands on the node write it, see ``below_root``."""
    path, root = remote_path(text), session.machine.root
    if root == "/" or not (path.startswith("/") or ".." in path.split("/")):
        return path
    home = root if path.startswith("/") else session.run("pwd", on_line=_silent).stdout.rstrip("\n")
    return below_root(path, root, home)


def _silent(stream: str, line: str) -> None:
    """Questions of our own are nothing for whoever watches the session."""


def _own_name(path: str) -> str:
    name = posixpath.basename(posixpath.normpath(path))
    if name in ("", ".", ".."):
        raise InvalidInput(f"{path!r} has no name of its own", hint="name the folder to copy it to")
    return name


def _dashed(path: str) -> str:
    return f"./{posixpath.basename(path)}"


def _is_folder(session: Session, path: str) -> bool:
    return session.run(f"[ -d {shlex.quote(path)} ]", on_line=_silent).exit_status == 0


def _write(descriptor: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


class _Counted:
    """What went into an archive."""

    def __init__(self) -> None:
        self.files = 0
        self.size = 0
        self.skipped: list[str] = []


def _archive(sources: Sequence[tuple[Path, str]], counted: _Counted) -> Iterator[bytes]:
    """Yield a tar archive of the sources under their names; links named as a source are followed, others kept."""
    for source, name in sources:
        yield from _entry(source.resolve(), name, counted)
    yield b"\0" * (2 * _BLOCK)


def _entry(path: Path, name: str, counted: _Counted) -> Iterator[bytes]:
    info = _described(path, name)
    if info is None:
        counted.skipped.append(f"{path}: neither a file nor a folder")
        return
    if not info.isreg():
        yield info.tobuf(tarfile.PAX_FORMAT)
    else:
        with path.open("rb") as file:
            yield info.tobuf(tarfile.PAX_FORMAT)
            left = info.size
            while left:
                piece = file.read(min(left, _PIECE))
                if not piece:
                    raise RemoteFailure(f"{path} became shorter while it was copied", hint="copy it again")
                left -= len(piece)
                yield piece
            yield b"\0" * (-info.size % _BLOCK)
        counted.files += 1
        counted.size += info.size
    if info.isdir():
        for child in sorted(path.iterdir()):
            yield from _entry(child, f"{name}/{child.name}", counted)


def _described(path: Path, name: str) -> tarfile.TarInfo | None:
    """Return the head of an archive's entry, without the names of our users; None for a socket, a pipe or a device."""
    status = path.lstat()
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = status.st_mode & 0o777, status.st_mtime
    if path.is_symlink():
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
    elif path.is_dir():
        info.type = tarfile.DIRTYPE
    elif path.is_file():
        info.size = status.st_size
    else:
        return None
    return info


def _unpack(tar: tarfile.TarFile, final: Path) -> Copied:
    """Unpack what a node sent as ``final`` and below; what it has no business to send is skipped and named."""
    first = tar.next()
    if first is None:
        return Copied(0, 0)
    if posixpath.normpath(first.name) != ".":
        first.name = final.name
        skipped = _extract(tar, first, final.parent) if first.isreg() else "it is no file"
        return Copied(0, 0, (f"{final.name}: {skipped}",)) if skipped else Copied(1, first.size)
    final.mkdir(exist_ok=True)
    files, size, refused = 0, 0, []
    for member in tar:
        member.name = posixpath.normpath(member.name)
        if member.name == ".":
            continue
        if reason := _extract(tar, member, final):
            refused.append(f"{member.name}: {reason}")
        elif member.isreg() or member.islnk():
            files, size = files + 1, size + member.size
    return Copied(files, size, tuple(refused))


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> str:
    """Extract one entry below ``folder``; empty, or why that was not done.

    Done by hand: the filter for this in Python's own library is missing in some 3.11 that are in use.
    """
    inside = folder.resolve()
    path = folder / member.name
    place = path.parent.resolve() / path.name
    if not place.is_relative_to(inside) or ".." in Path(member.name).parts:
        return "it leads out of the folder"
    try:
        if member.isdir():
            if path.is_symlink():
                path.unlink()
            path.mkdir(parents=True, exist_ok=True)
        elif member.issym():
            if not (place.parent / member.linkname).resolve().is_relative_to(inside):
                return "it is a link that leads out of the folder"
            path.unlink(missing_ok=True)
            path.symlink_to(member.linkname)
        elif member.isreg() or member.islnk():
            _write_file(tar, member, path)
        else:
            return "it is neither a file nor a folder nor a link"
    except (OSError, KeyError) as error:
        return str(error)
    return ""


def _write_file(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Write a file, never through a link; one with several names in the archive becomes several files."""
    content = tar.extractfile(member)
    if content is None:
        raise OSError(f"the archive does not have what {member.name} is another name of")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with content, os.fdopen(descriptor, "wb") as file:
        shutil.copyfileobj(content, file)
        os.fchmod(file.fileno(), member.mode & 0o755 | 0o600)
    os.utime(path, (member.mtime, member.mtime))
