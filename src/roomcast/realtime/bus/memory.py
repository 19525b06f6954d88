"""Frames inside one process: the default, for which there is nothing to install and nothing to lose."""

from collections.abc import Collection, Sequence

from roomcast.realtime.bus.broker import BrokerBackend


class Broker(BrokerBackend):
    """Always there. It resyncs after a subscription like any other, so that nobody learns to rely on less."""

    @property
    def connected(self) -> bool:
        return True

    async def session(self) -> None:
        await self.serve()

    async def subscribe_channels(self, channels: Collection[str]) -> None:
        self.inbox.resync(channels)

    async def unsubscribe_channels(self, channels: Collection[str]) -> None:
        """Nothing was held."""

    async def send_batch(self, batch: Sequence[tuple[str, bytes]]) -> None:
        for channel, message in batch:
            self.inbox.emit(channel, message)
