"""What a command on a local node finds: its folders, its variables, its own Python environment.

Promise: the same for every command on every node, whatever the environment of the one who started the server; only
what reaching the outside needs (proxies, certificates, where pip fetches from) is handed through.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from coopr_core.folders import SHARED, make_folder, narrow
from coopr_core.providers.local.processes import MARK_VARIABLE
from coopr_core.providers.local.records import NodeRecord
from coopr_core.proxies import direct, restored

_FOLDERS = ("home", "tmp", "etc", "var/lib", "var/cache", "var/log", "var/run", "usr/local/bin")
_SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_HANDED_THROUGH = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "FTP_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "TZ"),
)
_NOT_FOR_NODES = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PIP_LOG", "PIP_REQUIRE_VIRTUALENV")
_WRAPPER = '#!/bin/sh\nexec "$(dirname "$0")/python3" -m pip "$@"\n'


def login_shell() -> str:
    """Return the shell commands are given to."""
    return next((shell for shell in ("/bin/bash", "/usr/bin/bash") if os.access(shell, os.X_OK)), "/bin/sh")


def populate(root: Path, record: NodeRecord) -> None:
    """Fill a fresh node's folder: its folders and its own Python environment, owned by the nodes' user.

    The environment is a virtual one laid over the image's, so ``pip install`` on one node touches no other. Only for a
    folder nobody else has written to yet: as root we follow no links that a node's command could have planted.
    """
    for folder in _FOLDERS:
        make_folder(root / folder, SHARED)
    _lay_python(root / "usr" / "local", Path(record.image_folder))
    prompt = f"PS1='\\u@{_quotable(record.host_name)}:\\w\\$ '\n"
    (root / "home" / ".bashrc").write_text(prompt, encoding="utf-8")
    for path, _, files in os.walk(root):
        for name in map(Path, (path, *(os.path.join(path, file) for file in files))):
            if not name.is_symlink():
                narrow(name)
            if record.switch:
                os.chown(name, record.uid, record.gid, follow_symlinks=False)
    (root / "tmp").chmod(0o1777)


def environment(record: NodeRecord, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of every command on the node; ``inherited`` is the environment of the server."""
    values = handed_through(inherited)
    values.update(direct(values, record.address, record.host_name))
    if not record.switch and "PIP_CONFIG_FILE" not in values:
        values.update(_own_pip_settings(inherited))
    path = (f"{record.root}/usr/local/bin", f"{record.image_folder}/bin", *_SYSTEM_PATH)
    values.update(
        PATH=":".join([*path, "/opt/homebrew/bin"] if sys.platform == "darwin" else path),
        HOME=record.home,
        TMPDIR=f"{record.root}/tmp",
        USER=record.user,
        LOGNAME=record.user,
        SHELL=login_shell(),
        LANG="en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8",
        COOPR_ROOT=record.root,
        COOPR_CACHE=record.cache,
        PIP_CACHE_DIR=f"{record.cache}/pip",
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_NO_INPUT="1",
    )
    values[MARK_VARIABLE] = record.secret
    return values


def handed_through(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return what of an environment is needed to reach the outside: proxies, certificates, pip's settings."""
    return {
        name: value
        for name, value in restored(inherited).items()
        if name.upper() in _HANDED_THROUGH or (name.startswith("PIP_") and name not in _NOT_FOR_NODES)
    }


def _own_pip_settings(inherited: Mapping[str, str]) -> dict[str, str]:
    """Where the user's own pip settings are: a node has another home, and must fetch from the same index."""
    home = inherited.get("HOME", "")
    config = inherited.get("XDG_CONFIG_HOME") or f"{home}/.config"
    places = [f"{config}/pip/pip.conf", f"{home}/.pip/pip.conf", f"{home}/Library/Application Support/pip/pip.conf"]
    return next(({"PIP_CONFIG_FILE": place} for place in places if home and os.access(place, os.R_OK)), {})


def _lay_python(folder: Path, image: Path) -> None:
    """Return a virtual environment like the image's, with the image's packages (pip) to be seen from it."""
    packages = next((image / "lib").glob("python3.*"))
    library = folder / "lib" / packages.name / "site-packages"
    make_folder(library, SHARED)
    (library / "coopr-image.pth").write_text(f"{packages / 'site-packages'}\n")
    (folder / "pyvenv.cfg").write_text((image / "pyvenv.cfg").read_text())
    (folder / "bin" / "python3").symlink_to(_absolute_target(image / "bin" / "python3"))
    for name in ("python", packages.name):
        (folder / "bin" / name).symlink_to("python3")
    for name in ("pip", "pip3"):
        (folder / "bin" / name).write_text(_WRAPPER)
        (folder / "bin" / name).chmod(0o755)


def _absolute_target(link: Path) -> Path:
    """Where a chain of links inside one folder leads outside it."""
    while link.is_symlink():
        target = link.readlink()
        if target.is_absolute():
            return target
        link = link.parent / target
    return link


def _quotable(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum() or letter in "-._")
