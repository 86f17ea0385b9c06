"""Run commands and move files on one node, over one connection that is opened on first use and reused.

A lost connection is opened again by the next call; what was running on it is never repeated here. Files go through a
shell and ``cat`` or ``tar``, so a node needs no SFTP and a file is either whole or not there. Nothing that is secret
may be in a command: commands are visible in the node's process list; put it in a file.
"""

from __future__ import annotations

import io
import re
import shlex
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from coopr_core.errors import InvalidInput, NotFound
from coopr_core.remote.command import (
    ByteSink,
    CommandResult,
    CommandStopped,
    CommandTimedOut,
    ConnectionLost,
    LineSink,
    RemoteFailure,
)
from coopr_core.remote.link import Link
from coopr_core.remote.login_shell import Beginning, through_any_shell
from coopr_core.remote.output import LineSplitter, Tail
from coopr_core.remote.redaction import Redactor

if TYPE_CHECKING:
    from coopr_core.providers.contract import Machine

TAIL_LINES = 1000
TAIL_CHARACTERS = 65536
LAST_LINES = 40
LARGEST_FILE = 256 * 1024 * 1024
_FILE_SECONDS = 120
_SLOWEST_BYTES_PER_SECOND = 50_000
_END = "#coopr:end"
"""The end of a command's standard input, by which a node knows that it has all of it."""


@cache
def _warden() -> str:
    """Return the wrapper around each command; without its comments, since the text travels with every command."""
    text = files("coopr_core.remote").joinpath("warden.sh").read_text()
    return re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)


class Session:
    """Commands and files on one node. Made by ``NodeAccess``; safe to use from many threads."""

    def __init__(
        self, link: Link, machine: Machine, redactor: Redactor, on_line: LineSink | None = None, *, root: bool = False
    ) -> None:
        self._link = link
        self._machine = machine
        self._redactor = redactor
        self._on_line = on_line
        self._root = root

    @property
    def machine(self) -> Machine:
        """The machine this session speaks to."""
        return self._machine

    @property
    def redactor(self) -> Redactor:
        """What keeps secrets out of everything that comes back from the node."""
        return self._redactor

    def with_output(self, on_line: LineSink | None) -> Session:
        """Return the same connection with a default taker of output lines, called as ``on_line("stdout", "text")``."""
        return Session(self._link, self._machine, self._redactor, on_line, root=self._root)

    def as_root(self) -> Session:
        """Return the same connection, acting as root: by ``sudo -n`` unless we log in as root."""
        return Session(self._link, self._machine, self._redactor, self._on_line, root=True)

    def connect(self) -> None:
        """Connect unless that is done. Raises ``Unreachable``."""
        self._link.connect()

    def run(
        self,
        command: str,
        *,
        text: str = "",
        timeout: float | None = None,
        on_line: LineSink | None = None,
    ) -> CommandResult:
        """Run a command under ``sh`` and wait for its end; its standard input is ``text``.

        ``text`` may be secret, as a command may not; it cannot hold a NUL character, and costs no round trip. Output
        comes line by line, redacted, to ``on_line`` in this thread. Raises ``CommandTimedOut`` after ``timeout``
        seconds, ``CommandStopped`` after ``stop``, ``ConnectionLost`` (an ``OutcomeUnknown``) when the connection ends
        first, ``Unreachable`` when the command never began.
        """
        output = _Output(on_line or self._on_line, self._redactor)
        if "\0" in text:
            raise InvalidInput("what a command on a node reads cannot hold a NUL character")
        given = (text + _END).encode("utf-8", "surrogatepass") if text else b""
        line = self._wrapped(command, marked=True, size=len(given))
        try:
            # The line tells the warden that its standard input is connected.
            status = self._execute(line, output.receive, content=[given, b"\n"], end=False, timeout=timeout)
        except (CommandTimedOut, CommandStopped, ConnectionLost) as error:
            output.finish()
            error.tail = output.tail
            raise
        output.finish()
        return output.result(status)

    def _wrapped(self, command: str, *, marked: bool = False, size: int = 0) -> str:
        """Return what has the node run a command that ends with its connection, on ``size`` bytes that come first."""
        elevated = self._elevated(command) if self._root else command
        given = [str(size), _END] if size else []
        owner = ["root" if self._root else ""] if self._root or given else []
        return through_any_shell(_warden(), elevated, *owner, *given, marked=marked)

    def _plain(self, command: str) -> str:
        """Return what has the node run a command of ours."""
        return through_any_shell(self._elevated(command) if self._root else command, marked=True)

    def _execute(
        self,
        line: str,
        receive: ByteSink,
        *,
        content: Iterable[bytes] = (),
        end: bool,
        timeout: float | None = None,
    ) -> int:
        """Run a marked line and give its exit status; what the login shell says before it begins is left out."""
        beginning = Beginning(receive)
        status = self._link.execute(line, beginning, content=content, end=end, timeout=timeout)
        beginning.check(self._link.name, self.machine.ssh_user or "root", status)
        return status

    @staticmethod
    def _elevated(command: str) -> str:
        return (
            f'c={shlex.quote(command)}; if [ "$(id -u)" = 0 ]; then exec sh -c "$c"; else exec sudo -n sh -c "$c"; fi'
        )

    def put(self, content: bytes | Path, path: str, mode: int = 0o644) -> None:
        """Make the file at ``path`` on the node have this content and mode, whole or not at all.

        Its folder must be there. Raises ``RemoteFailure`` with the node's own words when it cannot be done.
        """
        if isinstance(content, Path):
            size, pieces = content.stat().st_size, _read(content)
        else:
            size, pieces = len(content), iter([content])
        self._feed(
            f"umask 077; t={shlex.quote(path)}; p=$t.coopr-$$; [ -d \"$t\" ] && echo 'it is a folder' >&2 && exit 1; "
            f'cat > "$p" && [ $(wc -c < "$p") -eq {size} ] && chmod {mode:o} "$p" && mv -f "$p" "$t" '
            '|| { rm -f "$p"; exit 1; }',
            pieces,
            size,
            f"put {path} on",
        )

    def put_files(self, contents: Mapping[str, tuple[bytes, int]], folder: str) -> None:
        """Put many files (path below ``folder`` -> content and mode) with one command; makes the folder."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=6) as tar:
            for path, (content, mode) in sorted(contents.items()):
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode = len(content), mode
                tar.addfile(entry, io.BytesIO(content))
        quoted = shlex.quote(folder)
        command = f"umask 022; mkdir -p {quoted} && cd {quoted} && tar -xzpof -"
        self._feed(command, iter([archive.getvalue()]), archive.tell(), f"put {len(contents)} files into {folder} on")

    def _feed(self, command: str, pieces: Iterator[bytes], size: int, doing: str) -> None:
        said = _Output(None, self._redactor)
        timeout = _FILE_SECONDS + size / _SLOWEST_BYTES_PER_SECOND
        status = self._execute(self._plain(command), said.receive, content=pieces, end=True, timeout=timeout)
        said.finish()
        if status:
            reason = "; ".join(said.tail) or f"exit status {status}"
            raise RemoteFailure(f"cannot {doing} {self._link.name}: {reason}")

    def stream(
        self,
        command: str,
        *,
        content: Iterable[bytes] = (),
        receive: Callable[[bytes], None] | None = None,
        timeout: float | None = None,
    ) -> CommandResult:
        """Run a command with ``content`` as its standard input; its output goes to ``receive`` as the bytes it is.

        What comes back to ``receive`` is not redacted; ``stderr`` and ``tail`` of the result are. Raises what ``run``
        raises.
        """
        said = _Output(None, self._redactor)

        def take(stream: str, chunk: bytes) -> None:
            if stream == "stdout" and receive is not None:
                receive(chunk)
            else:
                said.receive(stream, chunk)

        status = self._execute(self._plain(command), take, content=content, end=True, timeout=timeout)
        said.finish()
        return said.result(status)

    def get(self, path: str) -> bytes:
        """Return the content of a file on the node. Raises ``NotFound`` when it is not there."""
        content = io.BytesIO()
        said = _Output(None, self._redactor)

        def receive(stream: str, chunk: bytes) -> None:
            if stream == "stderr":
                said.receive(stream, chunk)
            elif content.tell() + len(chunk) > LARGEST_FILE:
                raise InvalidInput(f"{path} on {self._link.name} is larger than {LARGEST_FILE >> 20} MiB")
            else:
                content.write(chunk)

        quoted = shlex.quote(path)
        command = f"[ -e {quoted} ] || exit 66; cat < {quoted}"
        timeout = _FILE_SECONDS + LARGEST_FILE / _SLOWEST_BYTES_PER_SECOND
        status = self._execute(self._plain(command), receive, end=True, timeout=timeout)
        said.finish()
        if status == 66:
            raise NotFound(f"{path} is not on {self._link.name}")
        if status:
            raise RemoteFailure(f"cannot read {path} on {self._link.name}: {'; '.join(said.tail)}")
        return content.getvalue()

    def stop(self) -> None:
        """End the running commands, on the node too, and refuse new ones; they raise ``CommandStopped``."""
        self._link.stopping.set()

    def close(self) -> None:
        """Close the connection; commands still running on it lose it."""
        self._link.close()


class _Output:
    """Both streams of one command: to the sink line by line, and the last of them kept."""

    def __init__(self, on_line: LineSink | None, redactor: Redactor) -> None:
        self._on_line = on_line
        self._splitters = {stream: LineSplitter(redactor) for stream in ("stdout", "stderr")}
        self._tails = {stream: Tail(TAIL_LINES, TAIL_CHARACTERS) for stream in ("stdout", "stderr")}
        self._both = Tail(LAST_LINES, TAIL_CHARACTERS)
        self._newline_last = {"stdout": False, "stderr": False}

    def receive(self, stream: str, chunk: bytes) -> None:
        if not chunk:
            return
        self._newline_last[stream] = chunk.endswith(b"\n")
        for line in self._splitters[stream].feed(chunk):
            self._take(stream, line)

    def finish(self) -> None:
        for stream, splitter in self._splitters.items():
            for line in splitter.feed(b"", last=True):
                self._take(stream, line)

    def _take(self, stream: str, line: str) -> None:
        self._tails[stream].add(line)
        self._both.add(line)
        if self._on_line is not None:
            self._on_line(stream, line)

    @property
    def tail(self) -> tuple[str, ...]:
        return self._both.lines

    def _text(self, stream: str) -> str:
        lines = self._tails[stream].lines
        return "\n".join(lines) + ("\n" if lines and self._newline_last[stream] else "")

    def result(self, status: int) -> CommandResult:
        truncated = any(tail.truncated for tail in self._tails.values())
        return CommandResult(status, self._text("stdout"), self._text("stderr"), self.tail, truncated)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            yield piece
