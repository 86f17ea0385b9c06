"""Bytes from a node become lines of text, whatever the chunks they came in, in bounded memory.

A character split between two chunks is decoded whole; bytes that are no UTF-8 become U+FFFD. A progress line (rewritten
with carriage returns) is given at most once a second, and once at its end. What is longer than ``LONGEST_LINE`` when no
line end has come yet is given in pieces, none of which cuts a secret in two. Cost: linear in the bytes.
"""

from __future__ import annotations

import codecs
import time
from collections import deque
from collections.abc import Callable, Iterator

from coopr_core.remote.redaction import Redactor

LONGEST_LINE = 65536
PROGRESS_SECONDS = 1.0


class LineSplitter:
    """Turns the chunks of one stream into redacted lines."""

    def __init__(self, redactor: Redactor, clock: Callable[[], float] = time.monotonic) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._redactor = redactor
        self._clock = clock
        self._pending = ""
        self._last_progress = float("-inf")

    def feed(self, chunk: bytes, *, last: bool = False) -> Iterator[str]:
        """Yield the lines this chunk completes, and with ``last`` what is left as a line of its own."""
        text = self._pending + self._decoder.decode(chunk, last)
        *complete, self._pending = text.split("\n")
        for line in complete:
            yield self._clean(self._final(line))
        if "\r" in self._pending:
            yield from self._progress()
        while len(self._pending) > LONGEST_LINE:
            yield self._cut()
        if last and self._pending:
            line, self._pending = self._final(self._pending), ""
            yield self._clean(line)

    def _clean(self, text: str) -> str:
        return self._redactor.redact(text).replace("\0", "\ufffd")

    @staticmethod
    def _final(line: str) -> str:
        """Return what a terminal would show in the end of a line rewritten with carriage returns."""
        if "\r" not in line:
            return line
        return line.rstrip("\r").rpartition("\r")[2]

    def _progress(self) -> Iterator[str]:
        """Forget the rewritten parts of an unfinished line, showing the newest now and then."""
        done, _, rest = self._pending.rpartition("\r")
        if not rest:  # the carriage return may belong to a line end still to come
            done, _, rest = done.rpartition("\r")
            rest += "\r"
        self._pending = rest
        shown = self._final(done)
        if shown and self._clock() - self._last_progress >= PROGRESS_SECONDS:
            self._last_progress = self._clock()
            yield self._clean(shown)

    def _cut(self) -> str:
        """Return the head of a line too long; a secret that may go on beyond the cut stays for the next piece."""
        redacted = self._redactor.redact(self._pending)
        keep = min(max(self._redactor.longest - 1, 0), LONGEST_LINE // 2)
        cut = max(min(len(redacted) - keep, LONGEST_LINE), 1)
        piece, self._pending = redacted[:cut], redacted[cut:]
        return piece.replace("\0", "\ufffd")


class Tail:
    """The last lines given to it, within a number of lines and of characters."""

    def __init__(self, lines: int, characters: int) -> None:
        self._lines: deque[str] = deque(maxlen=lines)
        self._characters = characters
        self._size = 0
        self.truncated = False

    def add(self, line: str) -> None:
        """Keep a line, letting the oldest go when there is no room."""
        if len(line) > self._characters:
            line, self.truncated = line[-self._characters :], True
        if len(self._lines) == self._lines.maxlen:
            self._drop()
        self._lines.append(line)
        self._size += len(line)
        while self._size > self._characters:
            self._drop()

    def _drop(self) -> None:
        self._size -= len(self._lines.popleft())
        self.truncated = True

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines kept, oldest first."""
        return tuple(self._lines)
