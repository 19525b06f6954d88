"""The bus within one process: the default, without a broker."""

from collections.abc import Collection, Sequence

from roomcast.realtime.bus.broker import BrokerBackend


class Broker(BrokerBackend):
    """Always connected. It resyncs after a subscription as every broker does."""

    @property
    def connected(self) -> bool:
        return True

    async def session(self) -> None:
        await self.serve()

    async def subscribe_channels(self, channels: Collection[str]) -> None:
        self.inbox.resync(channels)

    async def unsubscribe_channels(self, channels: Collection[str]) -> None:
        """There is nothing to unsubscribe."""

    async def send_batch(self, batch: Sequence[tuple[str, bytes]]) -> None:
        for channel, message in batch:
            self.inbox.emit(channel, message)
