"""Where a catalog's files lie: the folders of a catalog directory, and a service's scripts beside its file.

Promise: every file that should hold an entity is read or reported, whatever is wrong with it; nothing outside the
catalog is sent to a node (a script that is a link to elsewhere is refused). Hidden files are not looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from coopr_core.catalog.kinds import BY_FOLDER, SERVICE, Kind
from coopr_core.catalog.resources import FOLDER as RESOURCES
from coopr_core.documents.document import SUFFIXES, Document, read, read_text
from coopr_core.errors import InvalidInput, Problem
from coopr_core.suggestions import did_you_mean, near


@dataclass(frozen=True, slots=True)
class Source:
    """One entity's file: its kind, what was read from it, and a service's scripts by their path below its folder."""

    kind: Kind
    path: Path
    document: Document
    files: dict[str, str] = field(default_factory=dict)


def sources(path: Path, problems: list[Problem]) -> Iterator[Source]:
    """Yield the entity files of a catalog directory (or one of its folders, or one file in it), in name order.

    What cannot be read goes to ``problems``.
    """
    try:
        if path.is_dir():
            yield from _catalog(path, problems)
        elif path.is_file():
            yield from _single(path, problems)
        else:
            problems.append(Problem("a link to nothing" if path.is_symlink() else "no such file or folder", str(path)))
    except OSError as error:
        problems.append(Problem(f"cannot be read: {error.strerror or error}", error.filename or str(path)))


def resource_folder(path: Path) -> Path:
    """Return the folder of resources that belongs to a catalog directory, to one of its folders or to a file in it."""
    home = path.resolve() if path.is_dir() else path.resolve().parent
    return (home.parent if home.name in BY_FOLDER and not (home / RESOURCES).is_dir() else home) / RESOURCES


def _catalog(path: Path, problems: list[Problem]) -> Iterator[Source]:
    folders = [entry for entry in _entries(path) if entry.is_dir()]
    known = [folder for folder in folders if folder.name in BY_FOLDER]
    own = BY_FOLDER.get(path.resolve().name)
    if not known and own is not None:
        yield from _folder(path, own, problems)
        return
    for folder in folders:
        meant = did_you_mean(folder.name, BY_FOLDER)
        if folder.name not in BY_FOLDER and folder.name != RESOURCES and meant:
            problems.append(Problem(f"is no folder of a catalog: {meant}", str(folder), severity="warning"))
    if not known and not (path / RESOURCES).is_dir():
        names = ", ".join(BY_FOLDER)
        problems.append(Problem(f"is no catalog: it has none of the folders {names}", str(path)))
    for folder in known:
        yield from _folder(folder, BY_FOLDER[folder.name], problems)


def _single(path: Path, problems: list[Problem]) -> Iterator[Source]:
    kind = BY_FOLDER.get(path.resolve().parent.name)
    if kind is None or path.suffix.lower() not in SUFFIXES:
        message = f"is no catalog: give a directory, or a YAML or JSON file that lies in one of {', '.join(BY_FOLDER)}"
        problems.append(Problem(message, str(path)))
        return
    yield from _entity(path, kind, problems)


def _folder(folder: Path, kind: Kind, problems: list[Problem]) -> Iterator[Source]:
    entries = _entries(folder)
    files = [entry for entry in entries if entry.suffix.lower() in SUFFIXES and not entry.is_dir()]
    stems = {file.stem for file in files}
    for entry in entries:
        if entry in files:
            yield from _entity(entry, kind, problems)
        elif entry.is_dir() and not (kind is SERVICE and entry.name in stems):
            likely = near(entry.name, stems, 1) if kind is SERVICE else []
            message = "belongs to no service's file" if kind is SERVICE else f"is not read: a {kind.noun} is one file"
            message += f': did you mean "{likely[0]}"?' if likely else ""
            problems.append(Problem(message, str(entry), severity="warning"))


def _entity(path: Path, kind: Kind, problems: list[Problem]) -> Iterator[Source]:
    scripts = path.with_suffix("")
    files = _scripts(scripts, problems) if kind is SERVICE and scripts.is_dir() else {}
    try:
        yield Source(kind, path, read(path), files)
    except InvalidInput as error:
        problems.extend(error.problems)


def _scripts(folder: Path, problems: list[Problem]) -> dict[str, str]:
    """Return the text of every file below a service's folder, by its path there."""
    files = {}

    def unreadable(error: OSError) -> None:
        problems.append(Problem(f"cannot be read: {error.strerror or error}", error.filename or str(folder)))

    home = folder.resolve()
    for directory, below, names in os.walk(folder, onerror=unreadable):
        for name in sorted(below):
            if (Path(directory) / name).is_symlink():
                problems.append(Problem("is a link to a folder: scripts are files", str(Path(directory) / name)))
        below[:] = sorted(name for name in below if not name.startswith(".") and name != "__pycache__")
        for name in sorted(names):
            path = Path(directory) / name
            if name.startswith(".") or name.endswith("~"):
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(home.parent):
                problems.append(Problem("is a link that leads out of the catalog", str(path)))
                continue
            try:
                files[path.relative_to(folder).as_posix()] = read_text(path)
            except InvalidInput as error:
                problems.extend(error.problems)
    return files


def _entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, in name order, hidden files left out."""
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
