"""A client's socket as the server sees it: it accepts bytes, blocks for a while, stalls for good, or is closed."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from roomcast.websocket_frames import text_header
from tests.simulation.faults import Faults


class SimulatedConnection:
    """`on_text` gets each frame that reached the client. `gone` is set once no more will."""

    def __init__(
        self, faults: Faults, on_text: Callable[[str], None], on_gone: Callable[[], None] = lambda: None
    ) -> None:
        self._faults, self._on_text, self._on_gone = faults, on_text, on_gone
        self._blocking = faults.random.choice([0, 0.05, 0.5]) if faults.is_active else 0.0
        self.gone = asyncio.Event()
        self._released: list[asyncio.Event] = []

    async def send(self, message: Any) -> None:
        """ASGI's send. Raises OSError when the client is gone."""
        if message["type"] == "websocket.send" and not self.gone.is_set() and self._faults.happens(self._blocking):
            await self._blocked()
        if self.gone.is_set():
            raise OSError("broken pipe")
        if message["type"] == "websocket.send":
            self._on_text(message["text"])
        elif message["type"] == "websocket.close":
            self.vanish()

    def write(self, frames: bytes) -> bool:
        """The server's shorter way: False where the frames would have to wait."""
        if self.gone.is_set() or self._faults.happens(self._blocking):
            return False
        for text in texts_of(frames):
            self._on_text(text)
        return True

    def abort(self) -> None:
        self.vanish()

    def vanish(self) -> None:
        """The client is gone: who waits for it to take bytes learns of it."""
        self.gone.set()
        self._on_gone()
        for released in self._released:
            released.set()

    async def _blocked(self) -> None:
        """Wait for the client to take bytes, or to be gone. No `asyncio.timeout` here: the outbox may run the first
        step of a send in one task and the rest in another, and the time-out would cancel the first."""
        seconds = 1000.0 if self._faults.happens(0.03) else self._faults.random.choice([0, 0.01, 0.5, 3.0])
        released = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(seconds, released.set)
        self._released.append(released)
        try:
            await released.wait()
        finally:
            timer.cancel()
            self._released.remove(released)


def texts_of(frames: bytes) -> Iterator[str]:
    """The payloads of complete text frames, one after another."""
    while frames:
        length, start = frames[1], 2
        if length >= 126:
            start = 4 if length == 126 else 10
            length = int.from_bytes(frames[2:start], "big")
        assert frames.startswith(text_header(length))
        yield frames[start : start + length].decode()
        frames = frames[start + length :]
