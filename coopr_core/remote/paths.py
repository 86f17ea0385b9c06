"""Where a path on a node is, for whoever copies to or from it: one rule for ``coopr scp``, SFTP and scp.

A relative path starts at the home folder. An absolute one lies below the node's root, which may be written out; nothing
leads above the root. On a machine of its own the root is ``/``, and so every path is what it says.
"""

from __future__ import annotations

import posixpath
from typing import AnyStr


def below_root(path: AnyStr, root: AnyStr, home: AnyStr) -> AnyStr:
    """The path as commands on the node write it. ``home`` is the folder relative ones start from."""
    slash = b"/" if isinstance(path, bytes) else "/"
    full = posixpath.normpath(posixpath.join(home, path))
    if full.startswith(slash * 2):  # which POSIX lets mean something else, and normpath leaves
        full = full[1:]
    top = root.rstrip(slash)
    if full == top or full.startswith(top + slash):
        return full
    return posixpath.join(root, full.lstrip(slash))
