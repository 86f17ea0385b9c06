"""What a node's server and whoever works on the node agree on: where a path is, and what is said of output left open.

A relative path starts at the home folder. An absolute one lies below the node's root, which may be written out; nothing
leads above the root. On a machine of its own the root is ``/``, and so every path is what it says.
"""

from __future__ import annotations

import posixpath
from typing import AnyStr

LEFT_OPEN = (
    "coopr: what this command left running ({}) still had its output open; that is closed now, and what it writes next "
    "fails. Start it with an output of its own: COMMAND >FILE 2>&1 &\n"
)
"""What is said, in the place of a process's name, of an output that somebody may still want to write to."""


def below_root(path: AnyStr, root: AnyStr, home: AnyStr) -> AnyStr:
    """Return the path as commands on the node write it. ``home`` is the folder relative ones start from."""
    slash = b"/" if isinstance(path, bytes) else "/"
    full = posixpath.normpath(posixpath.join(home, path))
    if full.startswith(slash * 2):  # which POSIX lets mean something else, and normpath leaves
        full = full[1:]
    top = root.rstrip(slash)
    if full == top or full.startswith(top + slash):
        return full
    return posixpath.join(root, full.lstrip(slash))
