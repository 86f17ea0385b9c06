"""Ports for servers that must be told theirs before they start."""

from __future__ import annotations

import random
import socket

_RANGE = range(20_000, 32_000)
"""Below those that the system itself gives out (from 32768 by default), so that nobody is given it in between."""


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on, and that no other test is likely to choose."""
    choice = random.SystemRandom()
    for _ in range(100):
        port = choice.choice(_RANGE)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("a hundred ports are all taken")
