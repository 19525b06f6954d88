"""One socket's way out: everything leaves in order, a socket that can take bytes gets them without a task switch, and
one that cannot holds up nobody."""

import asyncio
import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any

Send = Callable[[Any], Awaitable[None]]
Write = Callable[..., bool]
Drained = Callable[[], Awaitable[Any]]

MAX_WAITING = 1000
MAX_WAITING_BYTES = 8 * 1024 * 1024
"""Answers that may wait for a socket that does not take them. Events of streams never wait here."""

MAX_UNSENT_BYTES = 64 * 1024 * 1024
"""What may wait for all sockets of a process together. Beyond, the connection for which most waits is dropped."""

LARGE_BYTES = 64 * 1024
"""A frame of this size counts until the socket takes bytes again: until then most of it is in the server's buffers."""


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
        """So many bytes have left; all of them where nothing is said."""
        held = self._outboxes.pop(outbox, 0)
        left = 0 if size is None else max(0, held - size)
        self.total -= held - left
        if left:
            self._outboxes[outbox] = left


PROCESS = UnsentBytes()


class Outbox:
    """`send` is ASGI's: it suspends while the peer takes no bytes. `write` is a shorter way where the server has one:
    it puts the parts of one text frame on the wire and answers False where that would have to wait, or for a large one.
    `drained` waits until the server's own buffers have room again. `unsent` counts the bytes of all outboxes.

    `stalled` is called once, when the peer took nothing for `stall_seconds` or let too many answers wait: the owner
    drops the connection. A send that fails means that the socket is gone; its owner learns that from reading it.
    """

    def __init__(
        self,
        send: Send,
        stalled: Callable[[], None],
        stall_seconds: float = 30.0,
        write: Write | None = None,
        drained: Drained | None = None,
        unsent: UnsentBytes = PROCESS,
    ) -> None:
        self._drained, self._unsent = drained, unsent
        self._send, self._on_stall, self._stall_seconds, self._write = send, stalled, stall_seconds, write
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._draining: asyncio.Task[None] | None = None
        self._closed = False

    def offer(self, *parts: bytes) -> bool:
        """Take one frame of a stream now, or refuse it: then wait for `idle` and offer it again."""
        if self._draining is not None or self._closed:
            return False
        if self._write is None or not self._write(*parts):
            self._send_now(b"".join(parts))
        return True

    def put(self, text: bytes) -> None:
        """Take an answer in any case; it leaves after what was taken before."""
        if self._closed:
            return
        if self._draining is None:
            self._send_now(text)
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
        """Whether the socket takes no bytes now."""
        return self._draining is not None

    async def idle(self) -> None:
        """Return once the socket takes bytes again, or never will."""
        while self._draining is not None:
            await asyncio.wait([self._draining])

    async def close(self) -> None:
        """Take nothing more, drop what waits."""
        self._closed = True
        self._waiting.clear()
        self._unsent.remove(self)
        if self._draining is not None:
            self._draining.cancel()
            await asyncio.wait([self._draining])

    def _send_now(self, text: bytes) -> None:
        """Run the send as far as it goes without waiting. A task is made only for a socket that would block: with
        thousands of listeners, a task switch each is most of the cost."""
        sending: Any = self._send(_frame(text))  # a coroutine, as ASGI has it
        try:
            waiting_for = sending.send(None)
        except StopIteration:
            if self._drained is None or len(text) < LARGE_BYTES:
                return
            rest: Awaitable[Any] = self._drained()
        except Exception:  # the socket is gone: whoever reads it will say so
            self._closed = True
            return
        else:
            rest = _resumed(sending, waiting_for)
        self._draining = asyncio.create_task(self._drain(rest, len(text)), name="outbox")
        self._unsent.add(self, len(text))

    async def _drain(self, first: Awaitable[Any], size: int) -> None:
        try:
            await self._wait_until_sent(first, size)
            while self._waiting:
                text = self._pop_waiting()
                await self._wait_until_sent(self._send_frame(text), len(text))
        except TimeoutError:
            self.abort()
        except Exception:
            self._closed = True
        finally:
            self._draining = None
            self._unsent.remove(self)

    async def _wait_until_sent(self, sending: Awaitable[Any], size: int) -> None:
        await asyncio.wait_for(sending, self._stall_seconds)
        self._unsent.remove(self, size)

    async def _send_frame(self, text: bytes) -> None:
        await self._send(_frame(text))
        if self._drained is not None and len(text) >= LARGE_BYTES:
            await self._drained()

    def _pop_waiting(self) -> bytes:
        text = self._waiting.popleft()
        self._waiting_bytes -= len(text)
        return text

    def abort(self) -> None:
        """Drop all that waits, and the connection."""
        self._closed = True
        self._waiting.clear()
        self._unsent.remove(self)
        self._on_stall()


def _frame(text: bytes) -> dict[str, str]:
    return {"type": "websocket.send", "text": text.decode()}


@types.coroutine
def _resumed(started: Coroutine[Any, Any, None], waiting_for: Any) -> Generator[Any, Any, None]:
    """The rest of a coroutine that has already run up to its first wait."""
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
