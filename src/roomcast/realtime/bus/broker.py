"""The base class of the brokers: a supervised session, the wanted subscriptions, and sending with a time limit.

Three rules make broadcaster safe on top of it: `subscribe` and `unsubscribe` never wait, `next_published` never raises,
and a RESYNC follows every confirmed subscription. Without them broadcaster loses subscribers that arrive together, and
receives nothing more after its broker has restarted.
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
from roomcast.realtime.retry import raise_if_cancelled

logger = logging.getLogger("roomcast.bus")

FIRST_DELAY_SECONDS = 0.05
LONGEST_DELAY_SECONDS = 5.0
WAIT_SECONDS = 5.0
"""The time limit of one exchange with a broker: connecting, subscribing, sending a batch."""


class BrokerBackend(BroadcastBackend, ABC):
    """A backend of broadcaster that connects again by itself."""

    limit_bytes = 1_000_000  # a larger frame is replaced by the request to read the log
    linger_seconds = 0.0  # how long frames are collected before a batch is sent
    heartbeat_seconds = 5.0  # a connection that is silent for twice as long is given up

    def __init__(self, url: str, inbox: IncomingQueue) -> None:
        self.url = url
        self.inbox = inbox
        self._is_connected = False
        self._has_warned = False
        self._wanted: set[str] = set()
        self._subscribed: set[str] = set()  # requested in the present session
        self._changed = asyncio.Event()
        self._batch: list[tuple[str, bytes]] = []
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        return self._is_connected

    # ------------------------------------------------------------------ called by broadcaster

    async def connect(self) -> None:
        """Start connecting in the background."""
        self._supervisor = asyncio.create_task(self._supervise(), name=f"bus to {self.address}")

    async def disconnect(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait({self._supervisor})

    async def subscribe(self, channel: str) -> None:
        self._wanted.add(channel)
        if channel in self._subscribed:  # wanted again before it was unsubscribed: no confirmation will come
            self.inbox.resync([channel])
        self._changed.set()

    async def unsubscribe(self, channel: str) -> None:
        self._wanted.discard(channel)
        self._changed.set()

    async def publish(self, channel: str, message: bytes) -> None:
        """Add to the batch that the next `flush` sends."""
        self._batch.append((channel, self.fit_to_limit(message)))

    async def next_published(self) -> Event:
        return await self.inbox.next_event()

    # ------------------------------------------------------------------ called by the bus

    async def flush(self) -> int:
        """Send the batch, in order and within WAIT_SECONDS. Never raises.

        Returns how many messages the broker accepted.
        """
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

    # ------------------------------------------------------------------ implemented by each broker

    @abstractmethod
    async def session(self) -> None:
        """Connect, call `serve`, clean up. Ends by raising."""

    @abstractmethod
    async def subscribe_channels(self, channels: Collection[str]) -> None:
        """Subscribe. Call `inbox.resync` for each channel once the broker has confirmed it."""

    @abstractmethod
    async def unsubscribe_channels(self, channels: Collection[str]) -> None:
        """Unsubscribe."""

    @abstractmethod
    async def send_batch(self, batch: Sequence[tuple[str, bytes]]) -> None:
        """Publish all messages, in order, in one round trip."""

    def fit_to_limit(self, message: bytes) -> bytes:
        """The message, or only its topic if the broker could not carry it: receivers then read the log."""
        return message if len(message) <= self.limit_bytes else message.partition(b"\n")[0]

    async def serve(self, *watchers: Coroutine[Any, Any, Never]) -> None:
        """The session is open: keep the subscriptions as wanted until a watcher raises."""
        raise_if_cancelled()
        self._is_connected = True
        self.inbox.stats.connects += 1
        self.on_recovery()
        tasks = [asyncio.create_task(coroutine) for coroutine in (self._reconcile(), *watchers)]
        try:  # a TaskGroup of Python 3.11 can lose a cancellation meanwhile
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            done.pop().result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # ------------------------------------------------------------------ connecting again

    @property
    def address(self) -> str:
        """The broker's address without the password, for log lines."""
        return re.sub(r"//[^/@]*@", "//", self.url).partition("?")[0]

    def on_failure(self, error: BaseException) -> None:
        if not self._has_warned:
            logger.warning(
                "the bus has lost its connection to %s, trying again: %s",
                self.address,
                str(error) or type(error).__name__,
            )
        self._has_warned = True

    def on_recovery(self) -> None:
        if self._has_warned and self.connected:
            logger.info("the bus is connected to %s again", self.address)
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
            raise_if_cancelled()
            # The delay also grows for a broker that accepts connections and closes them at once.
            if time.monotonic() - began > LONGEST_DELAY_SECONDS:
                delay = FIRST_DELAY_SECONDS
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - spreads reconnects, is no secret
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)

    async def _reconcile(self) -> Never:
        while True:
            self._changed.clear()
            async with asyncio.timeout(WAIT_SECONDS):
                if gone := self._subscribed - self._wanted:
                    self._subscribed -= gone
                    await self.unsubscribe_channels(gone)
                if new := self._wanted - self._subscribed:
                    self._subscribed |= new
                    await self.subscribe_channels(new)
            raise_if_cancelled()
            await self._changed.wait()
