"""The text that comes in as arguments and goes out to the terminal, in whatever encoding the environment speaks.

Promise: no text ends a command. What stdout cannot show is a ``?`` there, so that tables stay tables, and an escape on
stderr, so that messages stay true; an argument that is no text is refused by one message. Costs nothing that can be
measured where everything speaks UTF-8.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, TextIO

from coopr_core.errors import InvalidInput

if TYPE_CHECKING:
    from rich.console import Console

_ASCII = "coopr_ascii"
"""ASCII under a name of ours: click takes a stream that calls itself ASCII for a mistake, and writes UTF-8 to it."""


def speak_utf8() -> None:
    """Begin again in Python's UTF-8 mode where the locale has no letters but ASCII's, which was asked for by accident.

    Python does this by itself for the locales C and POSIX; PYTHONUTF8=0 keeps it from that, and then no name beyond
    ASCII could be given, read or handed to another program. The streams stay as they are.
    """
    if sys.flags.utf8_mode or codecs.lookup(sys.getfilesystemencoding()).name != "ascii":
        return
    streams = {"PYTHONIOENCODING": os.environ.get("PYTHONIOENCODING") or "ascii:replace"}
    words = [sys.executable, "-X", "utf8", *sys.orig_argv[1:]]
    os.execve(sys.executable, words, {**os.environ, **streams, "PYTHONUTF8": "1"})


def replace_what_cannot_be_shown() -> None:
    """Let stdout write ``?`` for every letter that its encoding does not have, stderr an escape."""
    codecs.register(_own_codec)
    for stream, errors in ((sys.stdout, "replace"), (sys.stderr, "backslashreplace")):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding=_ASCII if _encoding(stream) == "ascii" else None, errors=errors)


def end_at_once(code: int) -> NoReturn:
    """End the process without waiting for anything that other threads still have in mind."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    os._exit(code)


def shows(text: str) -> bool:
    """Whether stdout passes the text on to programs as it is: in UTF-8, with no half characters in it."""
    if sys.stdout is None or _encoding(sys.stdout) != "utf-8":
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_arguments(words: Sequence[str]) -> None:
    """Raise ``InvalidInput`` for an argument that holds bytes which are no text."""
    for number, word in enumerate(words, start=1):
        try:
            word.encode()
        except UnicodeEncodeError:
            shown = word.encode(errors="backslashreplace").decode()
            raise InvalidInput(
                f"argument {number} is not text in {sys.getfilesystemencoding()}: {shown}",
                hint="write it in the encoding of your terminal; 'locale' tells which that is",
            ) from None


def _encoding(stream: TextIO) -> str:
    try:
        return codecs.lookup(stream.encoding or "utf-8").name
    except LookupError:
        return "utf-8"


def _own_codec(name: str) -> codecs.CodecInfo | None:
    if name != _ASCII:
        return None
    plain = codecs.lookup("ascii")
    return codecs.CodecInfo(
        plain.encode,
        plain.decode,
        plain.streamreader,
        plain.streamwriter,
        plain.incrementalencoder,
        plain.incrementaldecoder,
        name=_ASCII,
    )


def console(*, stderr: bool = False) -> Console:
    """Return a rich console; plain when its stream is not a terminal."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)
