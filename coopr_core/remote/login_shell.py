"""A command as any login shell passes it on to ``sh``: one line, whatever the command is and whichever shell reads it.

A server hands a command to the user's own login shell first. csh ends a quoted text at the end of its line and takes
``!`` for history even in quotes, fish has its own idea of backslashes in quotes. So all of that travels as numbers that
``printf`` turns back; what is left is read alike by sh, bash, dash, zsh, csh, tcsh and fish.

Such shells may also speak when they start (``echo`` in ``.bashrc``, ``.cshrc``, ``config.fish``), and some run nothing
(``nologin``): our ``sh`` marks where it begins, so that ``Beginning`` can tell their words from the command's.
"""

from __future__ import annotations

import shlex

from coopr_core.errors import InvalidInput, Unreachable
from coopr_core.remote.command import ByteSink

_MARK = b"\x1ecoopr\x1e\n"
_WRITE_MARK = "printf '\\036coopr\\036\\n'; printf '\\036coopr\\036\\n' >&2; "
_PLAIN = frozenset(b"\t" + bytes(range(32, 127))) - frozenset(b"!'\\")
_NUMBERED = tuple(chr(byte) if byte in _PLAIN else f"\\0{byte:03o}" for byte in range(256))
"""Each byte as ``printf`` turns it back."""

_MOST_KEPT = 4096


class NoLoginShell(Unreachable):
    """The user's login shell on a node did not pass our command on, so nothing of it was begun."""

    code = "no-login-shell"


def through_any_shell(script: str, *arguments: str, marked: bool = False) -> str:
    """Return the line that has ``sh`` run a script with ``arguments``, whichever login shell reads it.

    With ``marked`` both streams begin as ``Beginning`` expects. Raises ``InvalidInput`` for a NUL character, which no
    command can hold. Bytes of a file's name that are no UTF-8 (surrogates, as Python has them) arrive as they are.
    """
    given = f"set -- {shlex.join(arguments)}; " if arguments else ""
    text = f"{_WRITE_MARK if marked else ''}{given}{script}"
    content = text.encode("utf-8", "surrogateescape")
    if 0 in content:
        raise InvalidInput("a command on a node cannot hold a NUL character")
    numbered = "".join(map(_NUMBERED.__getitem__, content))
    return f"""exec sh -c 'eval "$(printf %b "$1")"' coopr '{numbered}'"""


class Beginning:
    """Passes on what a marked command says, and keeps what was said before it began to itself; a ``ByteSink``."""

    def __init__(self, receive: ByteSink) -> None:
        self._receive = receive
        self._before = {"stdout": b"", "stderr": b""}
        self._begun: set[str] = set()

    def __call__(self, stream: str, chunk: bytes) -> None:
        """Take what came on a stream."""
        if stream in self._begun:
            self._receive(stream, chunk)
            return
        before, mark, rest = (self._before[stream] + chunk).partition(_MARK)
        self._before[stream] = before[-_MOST_KEPT:]
        if mark:
            self._begun.add(stream)
            if rest:
                self._receive(stream, rest)

    def check(self, node: str, user: str, status: int) -> None:
        """Raise ``NoLoginShell`` when the command has ended, with this status, without having begun."""
        if self._begun:
            return
        said = " ".join(b"".join(self._before.values()).decode("utf-8", "replace").split())
        raise NoLoginShell(
            f"the login shell of {user} on {node} runs no commands: {said or 'it says nothing'} (exit status {status})",
            hint=f"Log in as another user (the image type's sshuser), or give {user} a shell such as /bin/sh.",
        )
