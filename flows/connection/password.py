"""The password of our Prefect server: made once for an installation, and kept where only its owner can read it.

It is one text, ``coopr:<43 letters>``, name and password of HTTP's basic authentication in one: what Prefect takes as
``PREFECT_API_AUTH_STRING`` and what its UI asks for. It stands in ``prefect/password`` of the state directory and in
the environment of the server and of those who talk to it, never in arguments, records or logs.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path

from coopr_core.errors import CooprError

VARIABLE = "PREFECT_API_AUTH_STRING"
"""Where Prefect's clients look for it."""

_FORM = re.compile(r"coopr:[\w-]{16,}")


def password_file(home: Path) -> Path:
    """Where the password of the installation with this state directory is."""
    return home / "prefect" / "password"


def password(home: Path) -> str:
    """Return the password as it is kept; empty when none has been made yet. Raises ``CooprError`` if it is no use.

    A file or folder that others may read is closed to them: it was copied or restored without its mode.
    """
    path = password_file(home)
    try:
        _close_to_others(path.parent, 0o700)
        _close_to_others(path, 0o600)
        kept = path.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise CooprError(
            f"the password of coopr's Prefect server cannot be read from {path}: {reason}",
            hint="is this state directory another user's? Set COOPR_STATE_DIR to one of your own",
        ) from error
    if not _FORM.fullmatch(kept):
        raise CooprError(
            f"{path} does not hold the password of coopr's Prefect server",
            hint=f"`rm {path}`: another one is made when the server is started next",
        )
    return kept


def make_password(home: Path) -> str:
    """Return the password, made now unless there is one. Only for one process at a time: hold the server's lock."""
    kept = password(home)
    if kept:
        return kept
    made = f"coopr:{secrets.token_urlsafe(32)}"
    path = password_file(home)
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with open(partial, "x", encoding="utf-8", opener=_for_owner_alone) as file:
        file.write(f"{made}\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return made


def fingerprint(secret: str) -> str:
    """Return what tells two passwords apart without telling either."""
    return hashlib.sha256(secret.encode()).hexdigest()[:32]


def _close_to_others(path: Path, mode: int) -> None:
    if path.stat().st_mode & 0o077:
        path.chmod(mode)


def _for_owner_alone(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
