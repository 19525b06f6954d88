"""What every broker shares: a supervised session, wanted subscriptions, bounded sending.

Three rules make broadcaster safe on top of it: `subscribe` and `unsubscribe` never suspend, `next_published` never
raises, and a RESYNC follows every confirmed subscription. Without them broadcaster loses subscribers who arrive
together, and goes deaf for ever when its broker restarts.
"""

import asyncio
import logging
import random
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Coroutine, Sequence
from typing import Any, Never

from broadcaster import BroadcastBackend, Event

from roomcast.realtime.bus.incoming import IncomingQueue

logger = logging.getLogger("roomcast.bus")

FIRST_DELAY_SECONDS = 0.05
LONGEST_DELAY_SECONDS = 5.0
WAIT_SECONDS = 5.0
"""The longest any single conversation with a broker may take: connecting, subscribing, sending a batch."""


class BrokerBackend(BroadcastBackend, ABC):
    """One broker, as broadcaster sees it and as it is kept alive."""

    limit_bytes = 1_000_000  # a heavier frame is replaced by the advice to read the log
    linger_seconds = 0.0  # how long frames are gathered before a batch leaves
    heartbeat_seconds = 5.0  # a connection silent for twice as long is dead

    def __init__(self, url: str, inbox: IncomingQueue) -> None:
        self.url = url
        self.inbox = inbox
        self._is_connected = False
        self._has_warned = False
        self._wanted: set[str] = set()
        self._subscribed: set[str] = set()  # asked for in the present session
        self._changed = asyncio.Event()
        self._batch: list[tuple[str, bytes]] = []
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        return self._is_connected

    # ------------------------------------------------------------------ towards broadcaster

    async def connect(self) -> None:
        """Starts to look for the broker; never waits for it."""
        self._supervisor = asyncio.create_task(self._supervise(), name=f"bus to {self.address}")

    async def disconnect(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait({self._supervisor})

    async def subscribe(self, channel: str) -> None:
        self._wanted.add(channel)
        if channel in self._subscribed:  # wanted again before it was let go: nothing will be confirmed
            self.inbox.resync([channel])
        self._changed.set()

    async def unsubscribe(self, channel: str) -> None:
        self._wanted.discard(channel)
        self._changed.set()

    async def publish(self, channel: str, message: bytes) -> None:
        """Adds to the batch that leaves with the next `flush`."""
        self._batch.append((channel, self.fit_to_limit(message)))

    async def next_published(self) -> Event:
        return await self.inbox.next_event()

    # ------------------------------------------------------------------ towards the bus

    async def flush(self) -> int:
        """Sends the batch, in order and within a time; the number of messages the broker took. Never raises."""
        batch, self._batch = self._batch, []
        if not batch or not self.connected:
            return 0
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self.send_batch(batch)
        except Exception as error:
            self.on_failure(error)
            return 0
        self.on_recovery()
        return len(batch)

    # ------------------------------------------------------------------ what each broker adds

    @abstractmethod
    async def session(self) -> None:
        """Connects, calls `serve`, cleans up. Ends by raising."""

    @abstractmethod
    async def subscribe_channels(self, channels: Collection[str]) -> None:
        """Subscribes; each confirmation is to be told to the inbox as a resync."""

    @abstractmethod
    async def unsubscribe_channels(self, channels: Collection[str]) -> None:
        """Unsubscribes."""

    @abstractmethod
    async def send_batch(self, batch: Sequence[tuple[str, bytes]]) -> None:
        """Publishes all of it, in order, in one round trip."""

    def fit_to_limit(self, message: bytes) -> bytes:
        """The message, or only its topic where the broker could not carry it: its readers then look into the log."""
        return message if len(message) <= self.limit_bytes else message.partition(b"\n")[0]

    async def serve(self, *watchers: Coroutine[Any, Any, Never]) -> None:
        """The session is open: subscriptions follow what is wanted until a watcher ends it by raising."""
        _heed_cancellation()
        self._is_connected = True
        self.inbox.stats.connects += 1
        self.on_recovery()
        await _first_to_fail(self._reconcile(), *watchers)

    # ------------------------------------------------------------------ staying alive

    @property
    def address(self) -> str:
        """The broker's address without the password, fit for a log."""
        return re.sub(r"//[^/@]*@", "//", self.url).partition("?")[0]

    def on_failure(self, error: BaseException) -> None:
        if not self._has_warned:
            logger.warning(
                "the bus is cut off from %s and keeps trying: %s", self.address, str(error) or type(error).__name__
            )
        self._has_warned = True

    def on_recovery(self) -> None:
        if self._has_warned and self.connected:
            logger.info("the bus is back on %s", self.address)
            self._has_warned = False

    async def _supervise(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while True:
            began = time.monotonic()
            try:
                await self.session()
            except Exception as error:
                self.on_failure(error)
            finally:
                self._is_connected = False
                self._subscribed.clear()
            _heed_cancellation()
            # A broker that lets us in and throws us out at once earns the growing delay too.
            if time.monotonic() - began > LONGEST_DELAY_SECONDS:
                delay = FIRST_DELAY_SECONDS
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - spreads reconnects, guards nothing
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)

    async def _reconcile(self) -> Never:
        while True:
            self._changed.clear()
            async with asyncio.timeout(WAIT_SECONDS):
                await self._apply_wanted()
            _heed_cancellation()
            await self._changed.wait()

    async def _apply_wanted(self) -> None:
        if gone := self._subscribed - self._wanted:
            self._subscribed -= gone
            await self.unsubscribe_channels(gone)
        if new := self._wanted - self._subscribed:
            self._subscribed |= new
            await self.subscribe_channels(new)


def _heed_cancellation() -> None:
    """Raises a cancellation that a driver swallowed: wait_for of Python 3.11 does, when it ends at the same moment."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _first_to_fail(*coroutines: Coroutine[Any, Any, Never]) -> None:
    """Runs all until one raises, then ends the others. A TaskGroup of Python 3.11 can lose a cancellation meanwhile."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
