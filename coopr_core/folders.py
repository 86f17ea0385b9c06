"""Folders and files of our own: nobody else writes to them, whatever the umask of whoever runs us.

``PRIVATE`` for records, logs and keys, ``PASSABLE`` for what root's nodes lie below (others may pass through, and see
nothing), ``SHARED`` for the cache, which the nodes' user reads.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

PRIVATE = 0o700
PASSABLE = 0o711
SHARED = 0o755


def make_folder(path: Path, mode: int = PRIVATE) -> Path:
    """Make a folder with this very mode unless it is there; the folder.

    Missing folders above it get the mode too; root's private ones may be passed through, since nodes may come to lie
    below them. Raises ``OSError``.
    """
    above = PASSABLE if mode == PRIVATE and os.geteuid() == 0 else mode
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        _make(folder, above)
    _make(path, mode)
    return path


def _make(path: Path, mode: int) -> None:
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        path.chmod(mode)


def narrow(path: Path, mode: int = SHARED) -> None:
    """Take from others what this mode does not give them, if the file or folder is ours."""
    with contextlib.suppress(OSError):
        found = path.stat()
        if found.st_uid == os.geteuid() and (wide := stat.S_IMODE(found.st_mode)) & ~mode & 0o077:
            path.chmod(wide & (mode | 0o7700))


def private(path: str, flags: int) -> int:
    """Return the ``opener`` of files that only their owner may read."""
    return os.open(path, flags, 0o600)


def logs_of(cluster_id: str) -> Path:
    """Return the folder of a cluster's task logs."""
    from coopr_core.settings import load_settings

    return load_settings().state_dir / "logs" / cluster_id


def known_hosts_of(cluster_id: str) -> Path:
    """Return the file in which a cluster's host keys are pinned for OpenSSH; it need not exist."""
    from coopr_core.settings import load_settings

    return load_settings().state_dir / "ssh" / f"{cluster_id}.known_hosts"


def cache_folder() -> Path:
    """Return the folder of what can be made or fetched again; ``COOPR_CACHE_DIR`` moves it. It need not exist."""
    import platformdirs

    standard = platformdirs.PlatformDirs("coopr", appauthor=False, use_site_for_root=True).user_cache_dir
    return Path(os.environ.get("COOPR_CACHE_DIR") or standard)
