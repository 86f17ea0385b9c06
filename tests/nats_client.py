"""What a JetStream client does while the servers elect a leader: it asks again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import nats


async def patiently(call: Callable[[], Awaitable[Any]], seconds: float = 60) -> Any:
    """What the call gives, asked again until it gives something or the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await call()
        except (TimeoutError, nats.errors.Error):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)
