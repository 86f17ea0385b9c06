"""The account daemons run under: never root.

Promise: where the node's commands run as root, daemons run as a system user without a login (config ``run_as``, made
when missing), and own only what they must write. Elsewhere daemons run as the user the commands run as.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from coopr_node.task import Failed, config

DEFAULT = "coopr-services"
"""The system user that is made when the config does not name one."""


@cache
def account() -> pwd.struct_passwd | None:
    """Whom daemons run as; None is the current user."""
    if os.geteuid() != 0:
        return None
    name = config("run_as", DEFAULT)
    for attempt in (_make_user, None):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            if attempt:
                attempt(name)
            continue
        if found.pw_uid == 0:
            raise Failed(f"config 'run_as' is {name!r}, which is root: name an unprivileged user")
        return found
    raise Failed(f"there is no user {name!r} and it cannot be made: make it, or name another with --set run_as=USER")


def identity() -> dict[str, Any]:
    """The arguments that make ``subprocess`` start a process as the account."""
    user = account()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


def hand_over(*folders: Path) -> None:
    """Let the account own ``folders`` (made when missing) and all in them."""
    user = account()
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        if user:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def _make_user(name: str) -> None:
    for program, arguments in (
        ("useradd", ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", name]),
        ("adduser", ["-S", "-D", "-H", name]),
    ):
        if shutil.which(program):
            subprocess.run([program, *arguments], capture_output=True, check=False, timeout=60)
            return
