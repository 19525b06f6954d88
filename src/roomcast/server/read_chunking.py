"""Feeds received bytes to a protocol in chunks, one per turn of the event loop, so that one client's burst does not
delay the others.

One read from a socket may bring 256 KiB: 40,000 tiny frames, or 15,000 pipelined requests.
"""

import asyncio
from typing import Any


class ChunkedReads(asyncio.Protocol):
    """A mixin before one of uvicorn's protocols. Reading is paused while received bytes wait to be fed."""

    __slots__ = ("_is_scheduled", "unfed")

    CHUNK_BYTES = 1024

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.unfed, self._is_scheduled = b"", False

    def data_received(self, data: bytes) -> None:
        if not self.unfed and len(data) <= self.CHUNK_BYTES:
            self.feed(data)
            return
        self.unfed += data
        self.schedule_feed()

    def feed(self, data: bytes) -> None:
        super().data_received(data)

    def schedule_feed(self) -> None:
        """Feed the next chunk in a later turn of the loop."""
        self.transport.pause_reading()
        if not self._is_scheduled:
            self._is_scheduled = True
            self.loop.call_soon(self._feed_next)

    def _feed_next(self) -> None:
        self._is_scheduled = False
        if not self.transport.is_closing():
            if not self.can_feed():
                return
            chunk, self.unfed = self.unfed[: self.CHUNK_BYTES], self.unfed[self.CHUNK_BYTES :]
            self.feed(chunk)
        if self.transport.is_closing():  # before the chunk, or because of it
            self.unfed = b""
        elif self.unfed:
            self.schedule_feed()
        else:
            self.on_all_fed()

    def can_feed(self) -> bool:
        """Whether the protocol takes more now. A subclass that returns False calls `schedule_feed` when it does."""
        return True

    def on_all_fed(self) -> None:
        """All received bytes are fed. The subclass resumes reading unless it has another reason to wait."""
        raise NotImplementedError
