"""Turns on the event loop: when thousands of tasks become ready at the same moment, other tasks run in between."""

import asyncio
from collections import deque


class FairLimiter:
    """`each_pass` callers continue in one pass of the event loop. The others wait for later passes, in order."""

    def __init__(self, each_pass: int) -> None:
        self._each_pass = self._left = each_pass
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._passing: asyncio.Handle | None = None

    async def acquire(self) -> None:
        """Return when it is the caller's turn: at once, unless `each_pass` callers have come in this pass."""
        if self._passing is None:
            self._passing = asyncio.get_running_loop().call_soon(self._pass)
        if self._left and not self._waiting:
            self._left -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def _pass(self) -> None:
        self._left = self._each_pass
        while self._waiting and self._left:
            turn = self._waiting.popleft()
            if not turn.done():  # else its caller was cancelled
                turn.set_result(None)
                self._left -= 1
        busy = self._left < self._each_pass
        self._passing = asyncio.get_running_loop().call_soon(self._pass) if busy else None
