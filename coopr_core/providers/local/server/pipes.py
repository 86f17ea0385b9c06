"""The two ends of a pipe or terminal in an event loop, with the flow control that keeps memory bounded.

Promise: a slow reader holds the writer up instead of filling memory; a pipe whose other side is gone is an end, not an
error. At most two chunks are held per stream.
"""

from __future__ import annotations

import asyncio
import os
from typing import Protocol

CHUNK = 65536
"""How many bytes are read at once."""


class Writer(Protocol):
    """Where output goes: a channel of the client."""

    def write(self, data: bytes) -> None:
        """Take data."""

    async def drain(self) -> None:
        """Wait until more is welcome."""


class Source:
    """Our end of a stream a command writes to."""

    def __init__(self, reader: asyncio.StreamReader, transport: asyncio.ReadTransport) -> None:
        self._reader = reader
        self._transport = transport
        self.carried = 0
        self.held_up = False
        self.last = b"\n"

    async def carry_to(self, writer: Writer) -> None:
        """Carry everything to ``writer`` until the command's side is closed or the client is gone."""
        try:
            while data := await self._reader.read(CHUNK):
                self.carried += len(data)
                self.last = data[-1:]
                self.held_up = True
                writer.write(data)
                await writer.drain()
                self.held_up = False
        except OSError:
            # A terminal whose command has ended reads as an input/output error; a client gone, as a broken pipe.
            self.held_up = False

    @property
    def descriptor(self) -> int:
        """Our end; -1 when it is closed."""
        pipe = self._transport.get_extra_info("pipe")
        return -1 if pipe is None or pipe.closed else pipe.fileno()

    def close(self) -> None:
        """Read no more."""
        self._transport.close()


class Sink(asyncio.BaseProtocol):
    """Our end of a stream a command reads from."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._welcome = asyncio.Event()
        self._welcome.set()
        self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note that the stream is open."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the command reads no more."""
        self._closed = True
        self._welcome.set()

    def pause_writing(self) -> None:
        """Note that the command is slower than the client."""
        self._welcome.clear()

    def resume_writing(self) -> None:
        """Note that the command has caught up."""
        self._welcome.set()

    async def write(self, data: bytes) -> bool:
        """Hand data over; False when the command reads no more."""
        if self._closed or self._transport is None:
            return False
        self._transport.write(data)
        await self._welcome.wait()
        return not self._closed

    def close(self) -> None:
        """End the command's input once all is written."""
        if self._transport is not None:
            self._transport.close()


async def open_source(descriptor: int) -> Source:
    """Read from a descriptor, which is closed with the source."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=CHUNK)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    return Source(reader, transport)


async def open_sink(descriptor: int) -> Sink:
    """Write to a descriptor, which is closed with the sink."""
    loop = asyncio.get_running_loop()
    _, sink = await loop.connect_write_pipe(Sink, os.fdopen(descriptor, "wb", buffering=0))
    return sink
