"""A secret that was added never leaves in clear: every form of it that is cheap to know is replaced by ``***``.

Redaction is by value, so it does not matter how a secret got into a line. Cost: one pass of a compiled pattern over the
text, whatever the number of secrets is, and recompiling the pattern when a secret is added.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import shlex
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
SHORTEST = 4
"""Shorter values are not redacted: they would blank out innocent text everywhere."""

_SHORTEST_ENCODED = 8
_formatter = logging.Formatter()


def _base64_forms(secret: bytes) -> Iterator[str]:
    """Yield the secret as it is inside base64 text, at each of the three places it may begin in a group of three."""
    for before in range(3):
        padded = base64.b64encode(b"\0" * before + secret).decode("ascii")
        first = (0, 2, 3)[before]  # characters that depend on what stands before the secret
        whole = (before + len(secret)) * 8 // 6  # characters that depend on the secret alone
        yield padded[first:whole]


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield secret.strip()
    yield quote(secret, safe="", errors="replace")
    yield quote(secret, errors="replace")
    yield quote_plus(secret, errors="replace")
    for ascii_only in (True, False):
        yield json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
    yield repr(secret)[1:-1]
    yield shlex.quote(secret).strip("'")
    lines = secret.splitlines()
    if len(lines) > 1:  # output is streamed line by line
        yield from (line.strip() for line in lines if len(line.strip()) >= _SHORTEST_ENCODED)
    for form in _base64_forms(secret.encode("utf-8", "surrogatepass")):
        if len(form) >= _SHORTEST_ENCODED:
            yield form
            yield form.replace("+", "-").replace("/", "_")


class Redactor:
    """Replaces the secrets it was told of, longest first. Safe to use from many threads."""

    def __init__(self, *secrets: str) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.longest = 0
        """The length of the longest form looked for, 0 when there is none."""
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Redact this value from now on; values shorter than ``SHORTEST`` are ignored."""
        if len(secret) < SHORTEST:
            return
        with self._lock:
            forms = {form for form in _forms(secret) if len(form) >= SHORTEST}
            if forms <= self._known:
                return
            self._known |= forms
            longest_first = sorted(self._known, key=lambda form: (-len(form), form))
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))
            self.longest = len(longest_first[0])

    def redact(self, text: str) -> str:
        """Return the text without the secrets."""
        pattern = self._pattern
        return pattern.sub(MASK, text) if pattern else text


class RedactingFilter(logging.Filter):
    """Redacts a log record's message, traceback and extra text.

    Add it to handlers: the filters of a logger are not asked about its children's records.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record in place and let it through."""
        message = record.getMessage()
        redacted = self._redactor.redact(message)
        if redacted != message or record.args:
            record.msg, record.args = redacted, None
        if record.exc_info:
            traceback = record.exc_text or _formatter.formatException(record.exc_info)
            record.exc_info, record.exc_text = None, self._redactor.redact(traceback)
        fields: dict[str, Any] = vars(record)
        for name, value in fields.items():
            if isinstance(value, str):
                fields[name] = self._redactor.redact(value)
        return True
