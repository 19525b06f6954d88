"""How a server process stops: readiness turns red for a while, then the connections are closed, then the process ends.

uvicorn and gunicorn call the app's shutdown last, after all connections are closed, so this takes over their signal
handlers when the app starts, and passes the signal on when the time has come.
"""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from enum import StrEnum
from types import FrameType
from typing import Any

from roomcast import systemd

LISTENER_SECONDS = 0.2
"""uvicorn notices within a tenth of a second that it has to stop, and closes its listening socket. Before that, clients
whose connection is closed could connect to this process again."""

END_SECONDS = 0.7
"""How long the process may take to end at once. Then it ends in any case: a crash loses nothing either."""

logger = logging.getLogger("roomcast")


class How(StrEnum):
    DRAIN = "drain"
    """As at SIGTERM."""

    REPLACED = "replaced"
    """Without red readiness: another process serves at the same port already."""

    AT_ONCE = "at once"


class Stop:
    """The stop of one process. `is_draining`: it has begun, and readiness is red.

    `ends_at_second_signal` is not for workers of a supervisor: a terminal and systemd send their signal to the workers,
    too.
    """

    def __init__(self, *, ends_at_second_signal: bool = True) -> None:
        self.is_draining = self._has_begun = False
        self._drain_seconds, self._ends_at_second_signal = 0.0, ends_at_second_signal
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._close_connections: Callable[[], None] = lambda: None
        self._drain_timer: asyncio.TimerHandle | None = None

    def take_over_signals(self, drain_seconds: float, close_connections: Callable[[], None]) -> None:
        """Handle SIGTERM and SIGINT from now on, before the handlers of the ASGI server.

        `drain_seconds`: how long everything goes on, while readiness is red. `close_connections` is called when the
        ASGI server does not listen any more.
        """
        self._loop, self._drain_seconds = asyncio.get_running_loop(), drain_seconds
        self._close_connections = close_connections
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                signal.signal(number, self._on_signal)

    def request(self, how: How) -> bool:
        """Begin to stop; may be called in any thread. False if the app has not started, so has nothing to stop."""
        if self._loop is None:
            return False
        if how is How.AT_ONCE:
            self._loop.call_soon_threadsafe(self._end, signal.SIGTERM)
        else:
            self._loop.call_soon_threadsafe(self._begin, signal.SIGTERM, how)
        return True

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        assert self._loop is not None  # noqa: S101 (this is set before the handler is)
        if self._has_begun and self._ends_at_second_signal:
            self._loop.call_soon_threadsafe(self._end, number)
        else:
            self._loop.call_soon_threadsafe(self._begin, number, How.DRAIN)

    def _begin(self, number: int, how: How) -> None:
        if self._has_begun:
            return
        self._has_begun, self.is_draining = True, how is How.DRAIN
        systemd.notify("STOPPING=1")
        logger.info("stopping")
        loop = asyncio.get_running_loop()
        self._drain_timer = loop.call_later(self._drain_seconds if self.is_draining else 0, self._pass_on, number)

    def _pass_on(self, number: int) -> None:
        self._handlers[number](number, None)
        asyncio.get_running_loop().call_later(LISTENER_SECONDS, self._close_connections)

    def _end(self, number: int) -> None:
        """End without waiting for clients and operations."""
        last = threading.Timer(END_SECONDS, os._exit, [1])
        last.daemon = True
        last.start()
        self._has_begun = self.is_draining = True
        if self._drain_timer is not None:
            self._drain_timer.cancel()
        for again in (number, signal.SIGINT):  # uvicorn ends at once at a SIGINT that is not the first signal
            self._handlers[again](again, None)
