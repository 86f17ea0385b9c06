"""One command on one channel: its output streamed in bounded memory, its end told apart from the connection's end.

Everything happens in the caller's thread, ``on_line`` too. The command ends on the node when it runs out of time, is
stopped, or loses its connection (``warden.sh``). Cost: linear in the output; the server sees the reader's own speed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coopr_core.errors import CooprError, Interrupted, OutcomeUnknown, TimedOut, Unreachable
from coopr_core.model.node_conventions import LEFT_OPEN

if TYPE_CHECKING:
    import paramiko

    from coopr_core.remote.endpoint import Limits

LineSink = Callable[[str, str], None]
"""Takes the stream (``stdout`` or ``stderr``) and one line without its end."""

ByteSink = Callable[[str, bytes], None]

CHUNK = 65536
_PACKET = 32768
_TICK = 0.2
"""How soon a stop or a deadline is noticed, in seconds."""
_DAEMON_SILENCE = 2.0
"""After the command's end a daemon may hold its output open: this much silence ends the waiting for more."""
_DAEMON_CHATTER = 30.0


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended, and the last of what it said, redacted.

    ``stdout`` and ``stderr`` are bounded tails (``truncated`` tells), as a terminal would show them: line ends are
    ``\\n`` and text rewritten with carriage returns is gone. ``tail`` has the last lines of both in their order.
    """

    exit_status: int
    stdout: str = ""
    stderr: str = ""
    tail: tuple[str, ...] = ()
    truncated: bool = False


class _Ended(CooprError):
    tail: tuple[str, ...] = ()
    """The last lines the command said."""


class CommandTimedOut(TimedOut, _Ended):
    """The command did not end in its time and was ended."""


class CommandStopped(Interrupted, _Ended):
    """The command was ended, or not begun, because the session was stopped."""


class ConnectionLost(OutcomeUnknown, _Ended):
    """The connection was lost while the command ran."""


class NoChannel(Unreachable):
    """The command was not begun, for the node opened no channel for it: beginning it again is safe."""


class ConnectionGone(NoChannel):
    """The command was not begun, for the connection turned out to be gone: beginning it again needs another."""


class RemoteFailure(CooprError):
    """Something we did on a node, such as putting a file there, failed."""

    code = "remote-failed"


@dataclass(frozen=True, slots=True)
class Execution:
    """What it takes to run one command: the connection, its limits, the node's name and the order to stop."""

    transport: paramiko.Transport
    limits: Limits
    name: str
    stopped: Callable[[], bool]

    def run(
        self, command: str, receive: ByteSink, *, content: Iterable[bytes] = (), end: bool, timeout: float | None = None
    ) -> int:
        """Run the command to its end and give its exit status.

        ``content`` goes to its standard input, which is then closed when ``end``. Raises ``ConnectionLost``,
        ``CommandTimedOut``, ``CommandStopped``, or ``Unreachable`` when the command never began.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        channel = self._open()
        try:
            self._begin(channel, command)
            self._send(channel, content, deadline, timeout, end=end)
            return self._receive(channel, receive, deadline, timeout)
        finally:
            _close(channel)

    def _open(self) -> paramiko.Channel:
        import paramiko

        end, pause = time.monotonic() + self.limits.channel, 0.02
        while True:
            self._check(None, None)
            try:
                return self.transport.open_session(timeout=self.limits.channel)
            except (paramiko.SSHException, EOFError, OSError) as error:
                # A server that allows a number of channels counts those it has not finished closing, too. The library
                # keeps one reason for all threads: of two that are refused at once, one gets an error without it.
                refused = isinstance(error, paramiko.SSHException) and self.transport.is_active()
                if refused and time.monotonic() < end:
                    time.sleep(pause)
                    pause = min(pause * 2, 0.5)
                    continue
                kind = NoChannel if refused and not self._lost() else ConnectionGone
                reason = str(error) or type(error).__name__
                raise kind(f"{self.name} opens no channel for a command: {reason}") from error

    def _lost(self) -> bool:
        """Tell whether the connection is gone; the library notices a moment after it fails."""
        end = time.monotonic() + _TICK
        while self.transport.is_active() and time.monotonic() < end:
            time.sleep(0.01)
        return not self.transport.is_active()

    def _begin(self, channel: paramiko.Channel, command: str) -> None:
        import paramiko

        channel.event = _Answer(self.limits.channel)
        try:
            channel.exec_command(command)
        except (paramiko.SSHException, EOFError, OSError) as error:
            self._check(None, None)
            if self._lost():
                raise ConnectionLost(f"lost the connection to {self.name} while a command began") from error
            if isinstance(error, TimeoutError):
                raise ConnectionLost(f"{self.name} does not say whether a command began") from error
            raise Unreachable(f"{self.name} refuses to run commands") from error

    def _check(self, deadline: float | None, timeout: float | None) -> None:
        if self.stopped():
            raise CommandStopped(f"stopped the work on {self.name}")
        if deadline is not None and time.monotonic() > deadline:
            raise CommandTimedOut(f"a command on {self.name} did not end within {timeout:g} s and was ended")

    def _send(
        self,
        channel: paramiko.Channel,
        content: Iterable[bytes],
        deadline: float | None,
        timeout: float | None,
        *,
        end: bool,
    ) -> None:
        channel.settimeout(_TICK)
        moved = time.monotonic()
        try:
            for piece in content:
                rest = memoryview(piece)
                while rest:
                    self._check(deadline, timeout)
                    try:
                        rest = rest[channel.send(bytes(rest[:_PACKET])) :]
                        moved = time.monotonic()
                    except TimeoutError:
                        if time.monotonic() - moved > self.limits.stalled:
                            message = f"{self.name} took nothing more for {self.limits.stalled:g} s"
                            raise ConnectionLost(message) from None
            if end:
                channel.shutdown_write()
        except (OSError, EOFError):
            return  # the command ended early, or the connection did: its exit status tells

    def _receive(
        self, channel: paramiko.Channel, receive: ByteSink, deadline: float | None, timeout: float | None
    ) -> int:
        something = threading.Event()
        for buffer in (channel.in_buffer, channel.in_stderr_buffer):
            buffer.set_event(_Bell(something))
        ended_at = heard_at = 0.0
        last = b"\n"
        while True:
            # Asked before reading: what arrives after the question is read in the next round.
            something.clear()
            all_said = channel.closed or channel.eof_received
            ended = channel.exit_status_ready()
            heard = False
            while channel.recv_ready():
                receive("stdout", channel.recv(CHUNK))
                heard = True
                self._check(deadline, timeout)
            while channel.recv_stderr_ready():
                said = channel.recv_stderr(CHUNK)
                receive("stderr", said)
                last, heard = said[-1:], True
                self._check(deadline, timeout)
            now = time.monotonic()
            if ended:
                ended_at = ended_at or now
                if now - ended_at > _DAEMON_CHATTER:
                    break
            if heard:
                heard_at = now
                continue
            if ended and (all_said or now - max(ended_at, heard_at) > _DAEMON_SILENCE):
                break
            self._check(deadline, timeout)
            if all_said:
                channel.status_event.wait(_TICK)
            else:
                something.wait(_TICK)
        status = channel.recv_exit_status()
        if status != -1:
            if not all_said:
                receive("stderr", b"\n" * (last != b"\n") + LEFT_OPEN.format("in the background").encode())
            return status
        if not self._lost():
            raise ConnectionLost(f"a command on {self.name} ended without an exit status: something killed it")
        raise ConnectionLost(
            f"lost the connection to {self.name} while a command ran; whether it was done is not known",
            hint="Check the node; repeat the task only if repeating it is safe.",
        )


class _Answer(threading.Event):
    """What a channel waits for the answer to its request with, in bounded time; the library knows no limit for this."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the answer. Raises ``TimeoutError``."""
        if not super().wait(self._seconds if timeout is None else timeout):
            raise TimeoutError("no answer")
        return True


class _Bell(threading.Event):
    """What one of a channel's two buffers tells that it has something; both ring the same one, without a pipe."""

    def __init__(self, something: threading.Event) -> None:
        super().__init__()
        self._something = something

    def set(self) -> None:
        """Tell who waits."""
        self._something.set()

    def clear(self) -> None:
        """Leave that to who waits: the other buffer may have something."""


def _close(channel: paramiko.Channel) -> None:
    """Close the channel; one whose connection is gone is closed already, which the library reports as an error."""
    with suppress(EOFError, OSError):
        channel.close()
