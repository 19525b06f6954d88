"""A limit of bytes per second that callers share fairly."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import NamedTuple


class _Caller(NamedTuple):
    turn: asyncio.Future[None]
    size: int
    is_needless: Callable[[], bool]


class Pacer:
    """After each caller, the next one waits until that caller's bytes have had their time.

    Keys take turns. With one queue for all, somebody who wants to spend a lot would delay everybody else.
    """

    def __init__(self, bytes_per_second: int) -> None:
        self._bytes_per_second = bytes_per_second
        self._waiting: OrderedDict[Hashable, deque[_Caller]] = OrderedDict()
        self._busy: asyncio.TimerHandle | None = None

    async def wait(self, key: Hashable, size: int, is_needless: Callable[[], bool] = lambda: False) -> None:
        """Return when it is the caller's turn to spend `size` bytes.

        `is_needless` is asked when that turn has come. If it is true, or the caller is cancelled, nothing is spent.
        """
        if self._busy is None:
            self._spend(size)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(_Caller(turn, size, is_needless))
        await turn

    def _spend(self, size: int) -> None:
        self._busy = asyncio.get_running_loop().call_later(size / self._bytes_per_second, self._next)

    def _next(self) -> None:
        self._busy = None
        while self._waiting and self._busy is None:
            key, queue = next(iter(self._waiting.items()))
            caller = queue.popleft()
            self._waiting.move_to_end(key)
            if not queue:
                del self._waiting[key]
            if not caller.turn.done():  # else it was cancelled
                caller.turn.set_result(None)
                if not caller.is_needless():
                    self._spend(caller.size)
