"""Software from the package index: exactly the pinned packages, fetched once per machine.

Promise: after ``install`` the folder holds exactly the packages named, whole; killed at any moment and run again it
gets there. Nothing is resolved: what is not named is not installed. Nodes of one machine (``COOPR_CACHE`` is set) share
one download, whoever comes first makes it while the others wait, and their files are hard links. Costs one ``pip
install`` per machine and set of packages, then a tenth of a second per thousand files.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from coopr_node.task import Failed, say

INSTALL_LIMIT_S = 1500
_MARK = ".coopr-packages"
_UNREACHABLE = re.compile(
    r"NewConnectionError|ConnectTimeout|ReadTimeout|Max retries|Name or service not known|name resolution"
    r"|nodename nor servname|SSLError|ProxyError|ConnectionError|Connection refused|Connection broken"
    r"|Network is unreachable",
    re.IGNORECASE,
)


def install(requirements: Sequence[str], folder: Path) -> None:
    """Make ``folder`` hold exactly ``requirements`` (``NAME==VERSION`` each)."""
    for requirement in requirements:
        if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+", requirement):
            raise Failed(f"{requirement!r} is not a pinned package: write NAME==VERSION")
    mark = "\n".join([*sorted(requirements), _platform(), ""])
    if _marked(folder, mark):
        say(f"{', '.join(requirements)}: installed already")
        return
    began = time.monotonic()
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = folder.with_name(f"{folder.name}.new")
    _discard(new)
    cache = os.environ.get("COOPR_CACHE", "")
    if cache:
        source = _cached(requirements, mark, Path(cache) / "packages")
        shutil.copytree(source, new, copy_function=_link, symlinks=True)
    else:
        _fetch(requirements, new)
    (new / _MARK).unlink(missing_ok=True)
    (new / _MARK).write_text(mark, encoding="utf-8")
    old = folder.with_name(f"{folder.name}.old")
    _discard(old)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    _discard(old)
    say(f"{', '.join(requirements)}: installed in {time.monotonic() - began:.1f} s")


def _platform() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor} {platform.system()} {platform.machine()}"


def _marked(folder: Path, mark: str) -> bool:
    try:
        return (folder / _MARK).read_text(encoding="utf-8") == mark
    except OSError:
        return False


def _cached(requirements: Sequence[str], mark: str, cache: Path) -> Path:
    """The folder all nodes of this machine link from; made by the first, under a lock."""
    cache.mkdir(parents=True, exist_ok=True)
    name = f"{requirements[0].replace('==', '-')}-{hashlib.sha256(mark.encode()).hexdigest()[:12]}"
    source = cache / name
    if not source.is_dir():
        with _lock(cache / f"{name}.lock", f"another node to install {requirements[0]}"):
            if not source.is_dir():
                partial = cache / f"{name}.partial"
                _discard(partial)
                _fetch(requirements, partial)
                for file in partial.rglob("*"):
                    if file.is_file() and not file.is_symlink():
                        file.chmod(file.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
                partial.rename(source)
    return source


@contextmanager
def _lock(path: Path, what: str) -> Iterator[None]:
    """Hold ``path``'s lock; the kernel frees it when its holder dies."""
    deadline = time.monotonic() + INSTALL_LIMIT_S
    said = False
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Failed(f"gave up after {INSTALL_LIMIT_S} s of waiting for {what} ({path})") from None
                if not said:
                    say(f"waiting for {what}")
                    said = True
                time.sleep(0.1)
        yield


def _fetch(requirements: Sequence[str], folder: Path) -> None:
    """Let pip put the packages into ``folder``; bounded, and never asking for anything."""
    say(f"fetching {', '.join(requirements)}")
    options = ["--no-deps", "--no-compile", "--no-input", "--disable-pip-version-check", "--prefer-binary", "--quiet"]
    defaults = {"PIP_DEFAULT_TIMEOUT": "30", "PIP_RETRIES": "3"}
    if os.environ.get("COOPR_CACHE"):
        options.append("--no-cache-dir")  # what is fetched is kept by us, installed
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), *requirements]
    try:
        done = subprocess.run(
            command,
            env={**defaults, **os.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        _discard(folder)
        raise Failed(f"pip did not install {' '.join(requirements)} within {INSTALL_LIMIT_S} s") from None
    if done.returncode:
        _discard(folder)
        raise Failed(_reason(requirements, done.stdout + done.stderr))


def _reason(requirements: Sequence[str], output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()][-8:]
    wanted = " ".join(requirements)
    if _UNREACHABLE.search(output):
        what = (
            f"cannot fetch {wanted}: the package index does not answer. Check the network, the proxy (HTTPS_PROXY), or"
            " name a mirror with PIP_INDEX_URL, then run the job again"
        )
    elif "(from versions: none)" in output:
        what = (
            f"the package index gives no {wanted} for {_platform()}: there is none, or the index does not answer"
            " (the network, the proxy HTTPS_PROXY, the mirror PIP_INDEX_URL)"
        )
    elif "No matching distribution" in output:
        what = f"the package index has no {wanted} for {_platform()}: set another version in the cluster's config"
    else:
        what = f"pip cannot install {wanted}"
    return "\n".join([what, "--- the last lines of pip", *lines])


def _link(source: str, target: str) -> None:
    """A hard link where the file system and the owner allow it, else a copy."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _discard(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
