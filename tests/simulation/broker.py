"""The real bus (`realtime/bus/`) over a simulated broker that cuts its connections.

While a connection lives it delivers in order. When it is cut, what was on its way is lost, and some of a batch may have
arrived. Frames that are sent while the sender is cut off reach nobody.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any, Never
from unittest.mock import patch

from roomcast.realtime.bus import bus
from roomcast.realtime.bus.broker import BrokerBackend
from roomcast.realtime.bus.bus import Bus, Frame
from roomcast.realtime.bus.incoming import IncomingQueue
from tests.simulation.faults import Faults


class SimulatedBroker:
    """What all processes connect to."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.connections: dict[BrokerConnection, None] = {}

    def bus(self, on_frame: Callable[[Frame], None], on_resync: Callable[[Collection[str]], None]) -> Bus:
        """One process's place on it."""
        with patch.object(bus, "open_backend", lambda url, inbox: BrokerConnection(url, inbox, self)):
            return Bus("simulated://", on_frame=on_frame, on_resync=on_resync, shards=2)


class BrokerConnection(BrokerBackend):
    """One process's connection, made again after each cut."""

    def __init__(self, url: str, inbox: IncomingQueue, broker: SimulatedBroker) -> None:
        super().__init__(url, inbox)
        self._broker, self._faults = broker, broker.faults
        self._channels: set[str] = set()
        self._cut = asyncio.Event()

    async def session(self) -> None:
        await asyncio.sleep(0.001)
        if self._faults.happens(self._faults.losing):
            raise OSError("the broker refuses connections")
        self._cut = asyncio.Event()
        self._broker.connections[self] = None
        try:
            await self.serve(self._until_cut())
        finally:
            self._broker.connections.pop(self, None)
            self._channels.clear()

    async def _until_cut(self) -> Never:
        while not self._cut.is_set():
            await asyncio.sleep(0.1)
            if self._faults.happens(self._faults.losing / 3):
                break
        raise OSError("the broker's connection was cut")

    async def subscribe_channels(self, channels: Collection[str]) -> None:
        await asyncio.sleep(self._faults.random.choice([0, 0.001, 0.05]))
        self._channels.update(channels)
        self.inbox.resync(channels)

    async def unsubscribe_channels(self, channels: Collection[str]) -> None:
        self._channels.difference_update(channels)

    async def send_batch(self, batch: Sequence[tuple[str, bytes]]) -> None:
        for channel, message in batch:
            if self._faults.happens(self._faults.losing / 10):
                self._cut.set()
                raise OSError("the broker's connection was cut")
            for connection in self._broker.connections:
                connection.receive(channel, message)
        await asyncio.sleep(0)

    def receive(self, channel: str, message: bytes) -> None:
        asyncio.get_running_loop().call_later(0.0005, self._emit, channel, message, self._cut)

    def _emit(self, channel: str, message: bytes, cut: Any) -> None:
        if channel in self._channels and cut is self._cut and not cut.is_set():
            self.inbox.emit(channel, message)
