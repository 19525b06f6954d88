"""What arrives on a connection is taken in slices, one per turn of the loop: nobody waits for somebody's flood.

One read may bring a quarter of a megabyte: forty thousand tiny frames, or fifteen thousand requests one after another.
"""

import asyncio


class ChunkedReads(asyncio.Protocol):
    """Put before a protocol of uvicorn's. While a part of what was read waits, nothing more is read."""

    SLICE_BYTES = 1024

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    rest = b""
    _is_due = False

    def data_received(self, data: bytes) -> None:
        if not self.rest and len(data) <= self.SLICE_BYTES:
            self.take(data)
            return
        self.rest += data
        self.go_on()

    def take(self, data: bytes) -> None:
        super().data_received(data)

    def go_on(self) -> None:
        """Take the next slice soon."""
        self.transport.pause_reading()
        if not self._is_due:
            self._is_due = True
            self.loop.call_soon(self._feed)

    def _feed(self) -> None:
        self._is_due = False
        if self.transport.is_closing():
            self.rest = b""
        elif self.may_feed():
            part, self.rest = self.rest[: self.SLICE_BYTES], self.rest[self.SLICE_BYTES :]
            self.take(part)
            self._after_feeding()

    def _after_feeding(self) -> None:
        if self.transport.is_closing():
            self.rest = b""
        elif self.rest:
            self.go_on()
        else:
            self.caught_up()

    def may_feed(self) -> bool:
        """Where this is False, whoever makes it True calls `go_on`."""
        return True

    def caught_up(self) -> None:
        """Everything that was read has been taken: read on, unless there is another reason to wait."""
        raise NotImplementedError
