"""Watches the event loop: how long it pauses, and whether new connections fail because no file descriptor is free."""

import asyncio
import errno
import logging
import os
import time
from typing import Any

from prometheus_client import Histogram

TICK_SECONDS = 0.1

TICKS_PER_CHECK = 10
"""So file descriptors are checked once a second."""

LOG_SECONDS = 60.0
"""The least time between two log entries about file descriptors."""

LOOP_PAUSE_SECONDS = Histogram(
    "roomcast_loop_pause_seconds",
    "How much later than asked the event loop ran a timer, ten times a second.",
    registry=None,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)

SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE})

logger = logging.getLogger("roomcast")


class LoopWatch:
    """Runs from `start` to `stop`. `accept_failures`: times that no descriptor was free for a new connection.

    asyncio reports an `accept` that fails to the loop's exception handler. uvloop closes the new connection without a
    word, so a free descriptor is also looked for once a second.
    """

    def __init__(self) -> None:
        self.accept_failures = 0
        self._logged_at = -LOG_SECONDS
        self._task: asyncio.Task[None] | None = None
        self._handler_before: Any = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._handler_before = loop.get_exception_handler()
        loop.set_exception_handler(self._on_exception)
        self._task = asyncio.create_task(self._run(), name="loop watch")

    async def stop(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._handler_before)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        ticks = 0
        while True:
            began = time.monotonic()
            await asyncio.sleep(TICK_SECONDS)
            LOOP_PAUSE_SECONDS.observe(max(0.0, time.monotonic() - began - TICK_SECONDS))
            ticks += 1
            if ticks % TICKS_PER_CHECK == 0:
                self._check_descriptors()

    def _check_descriptors(self) -> None:
        try:
            os.close(os.dup(2))
        except OSError as error:
            if error.errno in SHORTAGE:
                self._on_shortage()

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in SHORTAGE:
            self._on_shortage()
        elif self._handler_before is not None:
            self._handler_before(loop, context)
        else:
            loop.default_exception_handler(context)

    def _on_shortage(self) -> None:
        self.accept_failures += 1
        if time.monotonic() - self._logged_at >= LOG_SECONDS:
            self._logged_at = time.monotonic()
            logger.error(
                "no file descriptor is free, so new connections are refused: raise the limit of open files "
                "(LimitNOFILE= of a systemd service, ulimits of a container), or start more processes"
            )
