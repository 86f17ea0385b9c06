"""What other users of the machine could see or change in a folder of ours."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

READ, WRITE, ENTER = 0o044, 0o022, 0o011


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def exposed(folder: Path, to: int = READ | WRITE) -> list[str]:
    """The paths, below a folder and itself, that others can get at in one of these ways."""
    return [f"{path} {mode:o}" for path, mode in _within_reach(folder) if mode & to]


def _within_reach(path: Path) -> Iterator[tuple[Path, int]]:
    found = path.lstat()
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        return
    yield path, mode
    if stat.S_ISDIR(found.st_mode) and mode & ENTER:
        for child in sorted(path.iterdir()):
            yield from _within_reach(child)
