"""The outgoing frames of one socket, in order. A socket that accepts bytes gets them without a task switch. A socket
that does not accept bytes delays no other socket."""

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any

from roomcast.websocket_frames import text_header

Send = Callable[[Any], Awaitable[None]]
Write = Callable[[bytes], bool]
Drained = Callable[[], Awaitable[Any]]

MAX_WAITING = 1000
MAX_WAITING_BYTES = 8 * 1024 * 1024
"""Answers that wait for a blocked socket. Events of streams never wait here: a reader sends them again later."""

MAX_UNSENT_BYTES = 64 * 1024 * 1024
"""The bytes that wait for all sockets of a process together. Above it, the connection with the most is dropped."""

LARGE_BYTES = 64 * 1024
"""A frame of this size goes through `send` and counts as unsent until the socket accepts bytes again: until then most
of it is in the server's buffers. Fewer bytes are written at once."""


class UnsentBytes:
    """The bytes that wait in all outboxes of a process."""

    def __init__(self, limit: int = MAX_UNSENT_BYTES) -> None:
        self.limit, self.total = limit, 0
        self._outboxes: dict[Outbox, int] = {}

    def add(self, outbox: "Outbox", size: int) -> None:
        self.total += size
        self._outboxes[outbox] = self._outboxes.get(outbox, 0) + size
        while self.total > self.limit:
            max(self._outboxes, key=self._outboxes.__getitem__).abort()

    def remove(self, outbox: "Outbox", size: int | None = None) -> None:
        """`size` bytes have left; all bytes of the outbox if it is None."""
        held = self._outboxes.pop(outbox, 0)
        left = 0 if size is None else max(0, held - size)
        self.total -= held - left
        if left:
            self._outboxes[outbox] = left


PROCESS = UnsentBytes()


class Outbox:
    """`send` is that of ASGI: it waits while the peer accepts no bytes. `write` is a fast path of our server: it writes
    complete text frames at once, or returns False if it would have to wait. `drained` waits until the server's own
    buffers have room. `unsent` counts the bytes of all outboxes.

    `on_stall` is called once, when the peer has accepted nothing for `stall_seconds` or too many answers wait: the
    owner drops the connection. When a send fails, the socket is closed; the owner finds out by reading from it.
    """

    __slots__ = (
        "_closed",
        "_drained",
        "_draining",
        "_on_stall",
        "_send",
        "_stall_seconds",
        "_unsent",
        "_waiting",
        "_waiting_bytes",
        "_write",
        "offered",
        "write_frames",
    )

    def __init__(
        self,
        send: Send,
        on_stall: Callable[[], None],
        stall_seconds: float = 30.0,
        write: Write | None = None,
        drained: Drained | None = None,
        unsent: UnsentBytes = PROCESS,
    ) -> None:
        self._drained, self._unsent = drained, unsent
        self._send, self._on_stall, self._stall_seconds, self._write = send, on_stall, stall_seconds, write
        self._waiting: list[bytes] = []
        """Not a deque, which holds 600 bytes for each idle socket."""
        self._waiting_bytes = 0
        self._draining: asyncio.Task[None] | None = None
        self._closed = False
        self.write_frames = write
        """`write`; None while the socket is blocked, and once it is closed. The caller writes less than LARGE_BYTES and
        adds its frames to `offered`."""
        self.offered = 0
        """Frames of streams that were accepted."""

    def offer(self, *parts: bytes) -> bool:
        """Accept one frame of a stream, given in parts. False if the socket is blocked: try again after `idle`."""
        if self._draining is not None or self._closed:
            return False
        size = sum(map(len, parts))
        self._write_or_send(size, *parts)
        self.offered += 1
        return True

    def put(self, text: bytes) -> None:
        """Accept an answer, even if the socket is blocked. It leaves after everything that was accepted before."""
        if self._closed:
            return
        if self._draining is None:
            self._write_or_send(len(text), text)
        elif len(self._waiting) < MAX_WAITING and self._waiting_bytes + len(text) <= MAX_WAITING_BYTES:
            self._waiting.append(text)
            self._waiting_bytes += len(text)
            self._unsent.add(self, len(text))
        else:
            self.abort()

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def is_blocked(self) -> bool:
        """Whether the socket accepts no bytes now."""
        return self._draining is not None

    async def idle(self) -> None:
        """Return when the socket accepts bytes again, or is closed."""
        while self._draining is not None:
            await asyncio.wait([self._draining])

    async def close(self) -> None:
        """Accept nothing more, and drop the frames that wait."""
        self._drop_waiting()
        if self._draining is not None:
            self._draining.cancel()
            await asyncio.wait([self._draining])

    def _write_or_send(self, size: int, *parts: bytes) -> None:
        write = self.write_frames if size < LARGE_BYTES else None
        if write is None or not write(b"".join((text_header(size), *parts))):
            self._send_now(b"".join(parts))

    def _send_now(self, text: bytes) -> None:
        """Run the send up to its first wait. Only a socket that would block gets a task: with thousands of listeners, a
        task switch for each of them would be most of the cost."""
        sending: Any = self._send(_frame(text))  # a coroutine, as ASGI has it
        try:
            waiting_for = sending.send(None)
        except StopIteration:
            if self._drained is None or len(text) < LARGE_BYTES:
                return
            rest: Awaitable[Any] = self._drained()
        except Exception:  # the socket is closed; the owner finds out by reading from it
            self._closed, self.write_frames = True, None
            return
        else:
            rest = _resumed(sending, waiting_for)
        self.write_frames = None
        self._draining = asyncio.create_task(self._drain(rest, len(text)), name="outbox")
        self._unsent.add(self, len(text))

    async def _drain(self, first: Awaitable[Any], size: int) -> None:
        try:
            await self._wait_until_sent(first, size)
            while self._waiting:
                text = self._waiting.pop(0)
                self._waiting_bytes -= len(text)
                await self._wait_until_sent(self._send_frame(text), len(text))
        except TimeoutError:
            self.abort()
        except Exception:
            self._closed = True
        finally:
            self._draining = None
            self.write_frames = None if self._closed else self._write
            self._unsent.remove(self)

    async def _wait_until_sent(self, sending: Awaitable[Any], size: int) -> None:
        await asyncio.wait_for(sending, self._stall_seconds)
        self._unsent.remove(self, size)

    async def _send_frame(self, text: bytes) -> None:
        await self._send(_frame(text))
        if self._drained is not None and len(text) >= LARGE_BYTES:
            await self._drained()

    def abort(self) -> None:
        """Drop the frames that wait, and the connection."""
        self._drop_waiting()
        self._on_stall()

    def _drop_waiting(self) -> None:
        self._closed, self.write_frames = True, None
        self._waiting.clear()
        self._unsent.remove(self)


def _frame(text: bytes) -> dict[str, str]:
    return {"type": "websocket.send", "text": text.decode()}


@types.coroutine
def _resumed(started: Coroutine[Any, Any, None], waiting_for: Any) -> Generator[Any, Any, None]:
    """Continue a coroutine that has already run up to its first wait, which is `waiting_for`."""
    while True:
        step: Callable[[], Any]
        try:
            step = partial(started.send, (yield waiting_for))
        except BaseException as error:
            step = partial(started.throw, error)
        try:
            waiting_for = step()
        except StopIteration:
            return
