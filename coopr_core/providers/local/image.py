"""What local nodes have for an operating system image: a Python with pip, and a sudo.

Promise: made once per machine and interpreter, under a lock, and handed out only after the nodes' user has really run
it. The first node waits some seconds for it; after that it costs a look at one file. Where our own interpreter cannot
be run by that user (root's home is closed to others), another Python of the machine serves, else a copy of ours.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from coopr_core.errors import CooprError, InvalidInput
from coopr_core.folders import SHARED, cache_folder, make_folder, narrow
from coopr_core.providers.local.accounts import NodeUser, clean_environment
from coopr_core.providers.local.records import locked, remove_tree

IMAGES = ("python",)
"""The images there are."""

_OLDEST = (3, 11)
_FORMAT = "2"
_PROBE = "import sys, ssl, venv, ctypes, zlib; sys.exit(sys.version_info < (3, 11))"
_NOT_COPIED = ("site-packages", "dist-packages", "test", "tests", "idlelib", "turtledemo", "__pycache__", "config-*")


def image_cache(state_dir: Path) -> Path:
    """Return the folder of images and downloads, for all local nodes of this machine; ``COOPR_CACHE_DIR`` moves it."""
    given = os.environ.get("COOPR_CACHE_DIR")
    chosen = cache_folder() / "local"
    try:
        narrow(make_folder(chosen, SHARED))
        if not given:
            narrow(chosen.parent)
        if os.access(chosen, os.W_OK):
            return chosen
    except OSError:
        pass
    return make_folder(state_dir / "local" / "cache", SHARED)


def downloads(cache: Path, user: NodeUser) -> Path:
    """Return the folder the nodes' user keeps downloads in, writable by that user alone."""
    folder = cache / f"downloads-{user.name}"
    if not folder.is_dir():
        folder.mkdir(mode=0o700, exist_ok=True)
        if user.switch:
            os.chown(folder, user.uid, user.gid)
    return folder


def ensure_image(name: str, cache: Path, user: NodeUser) -> Path:
    """Return the folder of a ready image, made when missing.

    Raises ``InvalidInput`` for an unknown image, ``CooprError`` when no Python on the machine can serve.
    """
    if name and name not in IMAGES:
        raise InvalidInput(
            f"the local provider has no image {name!r}; it has: {', '.join(IMAGES)}",
            hint="Correct the image type's providermap entry for the local provider.",
        )
    folder = make_folder(cache / "images", SHARED)
    if not user.reaches(folder):
        raise CooprError(
            f"user {user.name!r} cannot reach the folder of the nodes' images, {folder}",
            hint="Name a folder all users may enter in COOPR_CACHE_DIR, or remove that variable.",
        )
    image = _chosen.get((folder, user.name))
    if image is not None and (image / ".ready").exists():
        return image
    with locked(folder / "lock"):
        interpreter = _interpreter(folder, user)
        image = folder / f"python-{_fingerprint(interpreter)}"
        if not (image / ".ready").exists():
            _build(image, interpreter, user)
    _chosen[folder, user.name] = image
    return image


_chosen: dict[tuple[Path, str], Path] = {}


def _interpreter(folder: Path, user: NodeUser) -> Path:
    for candidate in candidates():
        if user.can_run([candidate, "-c", _PROBE]):
            return candidate
    copy = copied_interpreter(folder)
    if user.can_run([copy, "-c", _PROBE]):
        return copy
    raise CooprError(
        f"no Python of {'.'.join(map(str, _OLDEST))} or later on this machine can be run by user {user.name!r}",
        hint="Install python3 and its venv module for all users (Debian: apt-get install python3-venv).",
    )


def candidates() -> Iterator[Path]:
    """Return the Pythons a node could use: the one we run on, then others of the machine."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    yield Path(sys.base_prefix) / "bin" / name
    folders = dict.fromkeys(["/usr/bin", "/usr/local/bin", *os.environ.get("PATH", "").split(os.pathsep)])
    for other in (name, "python3", *(f"python3.{minor}" for minor in range(_OLDEST[1], 20))):
        for folder in folders:
            path = Path(folder) / other
            if folder and os.access(path, os.X_OK) and not path.resolve().is_relative_to(sys.prefix):
                yield path


def copied_interpreter(folder: Path) -> Path:
    """Return a copy of our own interpreter and standard library, for a user who cannot reach the original."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(sys.base_prefix)
    target = folder / f"interpreter-{hashlib.sha256(f'{base}{sys.version}'.encode()).hexdigest()[:12]}"
    if not (target / ".ready").exists():
        remove_tree(target)
        make_folder(target, SHARED)
        make_folder(target / "bin", SHARED)
        _copy_program(base, version, target / "bin" / version)
        library = target / "lib" / version
        shutil.copytree(base / "lib" / version, library, symlinks=False, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        (library / "site-packages").mkdir()
        for shared in (base / "lib").glob("libpython*"):
            if not shared.name.endswith(".a"):
                shutil.copy2(shared, target / "lib" / shared.name)
        _make_readable(target)
        (target / ".ready").touch(mode=0o644)
    return target / "bin" / version


def _copy_program(base: Path, name: str, target: Path) -> None:
    """Copy an interpreter's program; where it names the folder of its library, name it relative to the program."""
    program = (base / "bin" / name).resolve()
    content = program.read_bytes()
    absolute, relative = os.fsencode(base / "lib") + b"\0", b"$ORIGIN/../lib"
    if content.startswith(b"\x7fELF") and len(relative) < len(absolute):
        content = content.replace(absolute, relative.ljust(len(absolute), b"\0"))
    target.write_bytes(content)
    target.chmod(0o755)


def _build(image: Path, interpreter: Path, user: NodeUser) -> None:
    remove_tree(image)
    make_folder(image, SHARED)
    _run([interpreter, "-m", "venv", "--without-pip", image], "makes no virtual environment")
    python = image / "bin" / "python3"
    if _quiet([python, "-m", "ensurepip", "--default-pip"]).returncode != 0:
        _copy_own_pip(image, python)
    shutil.copyfile(Path(__file__).with_name("sudo.sh"), image / "bin" / "sudo")
    (image / "bin" / "sudo").chmod(0o755)
    _make_readable(image)
    trial = user.run([python, "-m", "pip", "--version"])
    if trial.returncode != 0:
        raise CooprError(
            f"the nodes' Python image in {image} does not work for user {user.name!r}: {trial.stderr.strip()[-300:]}",
            hint="Install python3 and its venv module for all users (Debian: apt-get install python3-venv).",
        )
    (image / ".ready").touch(mode=0o644)


def _copy_own_pip(image: Path, python: Path) -> None:
    """Give an interpreter that ships no pip (Debian without python3-venv) the one we have: it is pure Python."""
    try:
        files = importlib.metadata.files("pip") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    packages = _run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], "has no library").strip()
    for file in files:
        if file.parts[0] != ".." and file.suffix != ".pyc":
            target = Path(packages, *file.parts)
            make_folder(target.parent, SHARED)
            shutil.copyfile(str(file.locate()), target)
    if not files:
        raise CooprError(
            f"{python} has no ensurepip and this environment has no pip to copy",
            hint="Install pip in the environment coopr runs in, or python3-venv on the machine.",
        )
    _quiet([python, "-m", "compileall", "-q", packages])
    for name in ("pip", "pip3"):
        script = image / "bin" / name
        script.write_text('#!/bin/sh\nexec "$(dirname "$0")/python3" -m pip "$@"\n')
        script.chmod(0o755)


@functools.cache
def _fingerprint(interpreter: Path) -> str:
    version = _run([interpreter, "-c", "import sys; print(sys.version)"], "does not start")
    text = "\n".join([_FORMAT, str(interpreter), str(interpreter.resolve()), version])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _make_readable(folder: Path) -> None:
    for path, _, files in os.walk(folder):
        os.chmod(path, 0o755)
        for name in files:
            file = os.path.join(path, name)
            if not os.path.islink(file):
                os.chmod(file, os.stat(file).st_mode & 0o700 | 0o644 | (os.stat(file).st_mode & 0o100 and 0o111))


def _quiet(command: list[str | Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd="/",
        env=clean_environment(),
        timeout=300,
        check=False,
        umask=0o022,
    )


def _run(command: list[str | Path], failure: str) -> str:
    done = _quiet(command)
    if done.returncode != 0:
        raise CooprError(
            f"{command[0]} {failure}: {(done.stderr or done.stdout).strip()[-300:]}",
            hint="Install python3 and its venv module (Debian: apt-get install python3-venv).",
        )
    return done.stdout
