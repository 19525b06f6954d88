"""The bus over NATS: one subject per channel, and one round trip that confirms a batch."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Never

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import SlowConsumerError

from roomcast.realtime.bus.broker import WAIT_SECONDS, BrokerBackend


class Broker(BrokerBackend):
    _client: Client  # all three are set by each session
    _ended: asyncio.Event
    _subscriptions: dict[str, Subscription]

    async def session(self) -> None:
        self._client, self._ended, self._subscriptions = Client(), asyncio.Event(), {}
        try:
            await self._open()
            self.limit_bytes = self._client.max_payload
            await self.serve(self._wait_until_ended())
        finally:
            with suppress(Exception):  # it may be closed already
                async with asyncio.timeout(1):
                    await self._client.close()

    async def subscribe_channels(self, channels: Collection[str]) -> None:
        for channel in channels:
            self._subscriptions[channel] = await self._client.subscribe(channel, cb=self._on_message)
        await self._client.flush()
        self.inbox.resync(channels)

    async def unsubscribe_channels(self, channels: Collection[str]) -> None:
        for channel in channels:
            await self._subscriptions.pop(channel).unsubscribe()

    async def send_batch(self, batch: Sequence[tuple[str, bytes]]) -> None:
        try:
            for channel, message in batch:
                await self._client.publish(channel, message)
            await self._client.flush()
        except BaseException:
            # The answer to an abandoned flush would end the reading task of nats-py silently: start a new session.
            self._ended.set()
            raise

    async def _open(self) -> None:
        # The supervisor reconnects instead of nats-py, so that every gap becomes a resync.
        await self._client.connect(
            self.url.split(","),
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=int(WAIT_SECONDS),
            ping_interval=self.heartbeat_seconds,  # type: ignore[arg-type]  # a float works, too
            max_outstanding_pings=1,
            error_cb=self._on_error,
            closed_cb=self._on_closed,
        )

    async def _on_message(self, message: Msg) -> None:
        self.inbox.emit(message.subject, message.data)

    async def _on_error(self, error: Exception) -> None:
        if isinstance(error, SlowConsumerError):
            self.inbox.resync([error.subject])
        elif self._client.is_connected:  # the server refuses a command: no frame would arrive
            self._ended.set()

    async def _on_closed(self) -> None:
        self._ended.set()

    async def _wait_until_ended(self) -> Never:
        await self._ended.wait()
        raise ConnectionError(str(self._client.last_error or "the connection is closed"))
