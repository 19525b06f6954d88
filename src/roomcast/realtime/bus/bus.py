"""The bus between the processes: it receives the frames of the joined topics and sends those of this process.

Only this module uses broadcaster. Delivery is fast but not guaranteed: a loss is announced by a resync, or found in the
log.
"""

import asyncio
import importlib
import logging
import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from broadcaster import Broadcast

from roomcast.realtime.bus.broker import BrokerBackend
from roomcast.realtime.bus.incoming import RESYNC, RESYNC_CHANNEL, BusStats, IncomingQueue

logger = logging.getLogger("roomcast.bus")

BATCH_FRAMES = 500
OUTGOING_FRAMES = 10_000
OUTGOING_CHARACTERS = 32_000_000
STOP_SECONDS = 1.0

MAX_LOST_TOPICS = 1_000
"""Topics with lost frames that are remembered by name. With more, all receivers resync all topics."""

RESYNC_RETRY_SECONDS = 0.5
"""How often the process tries to inform the receivers of lost frames."""

BROKERS = {
    "memory": "memory",
    "redis": "redis",
    "rediss": "redis",
    "redis-cluster": "redis_cluster",
    "rediss-cluster": "redis_cluster",
    "postgresql": "postgres",
    "postgres": "postgres",
    "nats": "nats",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One event on the bus. `topic` has no spaces or newlines. `seq` is its position in the log, 0 for a signal."""

    topic: str
    seq: int
    body: str


@dataclass(slots=True)
class Channel:
    """A shard of the bus, subscribed for `topics`. `confirmed` is set by its first resync."""

    pump: asyncio.Task[None]
    topics: set[str] = field(default_factory=set)
    confirmed: bool = False


class Bus:
    """One process's connection to the bus. Both callbacks run on the event loop and must return quickly.

    `on_frame` gets every frame of a joined topic, including those of this process. `on_resync` gets topics whose log
    has to be read because frames may be missing: after the first join, after a lost connection, after an overflow. If
    this process could not send frames of a topic, the receivers resync that topic as soon as the broker is back.

    `shards` is the number of channels that the topics are spread over; it is the same in every process. `pending`
    limits the received frames that wait. Raises ValueError for a broker that is unknown or whose driver is not
    installed.
    """

    def __init__(
        self,
        url: str,
        *,
        on_frame: Callable[[Frame], None],
        on_resync: Callable[[Collection[str]], None],
        shards: int = 64,
        pending: int = 50_000,
    ) -> None:
        self.stats = BusStats()
        self._on_frame = on_frame
        self._on_resync = on_resync
        self._shards = shards
        self._joined: dict[str, int] = {}
        self._channels: dict[str, Channel] = {}
        self._pumps: set[asyncio.Task[None]] = set()
        self._stale: set[str] = set()
        self._outgoing: deque[Frame] = deque()
        self._outgoing_characters = 0
        self._lost: set[str] = set()
        self._filled = asyncio.Event()
        self._drain_task: asyncio.Task[None] | None = None
        self._stopping = False
        inbox = IncomingQueue(self._channels.keys(), self._joined.keys(), self.stats, pending)
        self._backend = open_backend(url, inbox)
        self._broadcast = Broadcast(backend=self._backend)

    @property
    def connected(self) -> bool:
        """Whether the broker is connected."""
        return self._backend.connected

    async def start(self) -> None:
        """Start connecting in the background."""
        await self._broadcast.connect()
        self._drain_task = asyncio.create_task(self._drain(), name="bus drainer")

    async def stop(self) -> None:
        """Send what is queued, for STOP_SECONDS at most, and end every task. No callback is called afterwards."""
        drainer, self._drain_task = self._drain_task, None
        if drainer is None:
            return
        self._stopping = True
        self._filled.set()
        await asyncio.wait({drainer}, timeout=STOP_SECONDS)
        self._joined.clear()
        self._channels.clear()
        await _cancel_all({drainer, *self._pumps})
        listener = self._broadcast._listener_task  # broadcaster cancels it but does not wait for it
        await self._broadcast.disconnect()
        await _cancel_all({listener})

    def join(self, topic: str) -> None:
        """Receive the frames of `topic`. Joins are counted. The first one is followed by a resync of the topic."""
        self._joined[topic] = self._joined.get(topic, 0) + 1
        if self._joined[topic] > 1 or self._stopping:
            return
        name = self._channel_of(topic)
        channel = self._channels.get(name)
        if channel is None:
            pump = asyncio.create_task(self._pump(name), name=f"bus {name}")
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)
            channel = self._channels[name] = Channel(pump)
        channel.topics.add(topic)
        if channel.confirmed:
            self._resync([topic])

    def leave(self, topic: str) -> None:
        """Undo one join. After the last one no frame of `topic` is received."""
        count = self._joined.pop(topic, 0)
        if count > 1:
            self._joined[topic] = count - 1
        elif count == 1:
            name = self._channel_of(topic)
            if channel := self._channels.get(name):
                channel.topics.discard(topic)
                if not channel.topics:
                    channel.pump.cancel()
                    del self._channels[name]

    def publish(self, frames: Iterable[Frame]) -> None:
        """Send the frames in the background, in order. Frames that do not fit into the queue are counted as dropped."""
        for frame in frames:
            if len(self._outgoing) < OUTGOING_FRAMES and self._outgoing_characters < OUTGOING_CHARACTERS:
                self._outgoing.append(frame)
                self._outgoing_characters += len(frame.body)
            else:
                self.stats.dropped += 1
                self._note_lost([frame])
        self._filled.set()

    # ------------------------------------------------------------------ sending

    async def _drain(self) -> None:
        while not self._stopping:
            with suppress(TimeoutError):
                async with asyncio.timeout(RESYNC_RETRY_SECONDS if self._lost else None):
                    await self._filled.wait()
            self._filled.clear()
            await asyncio.sleep(self._backend.linger_seconds)
            while self._outgoing:
                await self._send()
            if self._lost and self.connected:
                await self._send_resyncs()

    async def _send(self) -> None:
        batch = [self._outgoing.popleft() for _ in range(min(len(self._outgoing), BATCH_FRAMES))]
        self._outgoing_characters -= sum(len(frame.body) for frame in batch)
        for frame in batch:
            await self._broadcast.publish(self._channel_of(frame.topic), encode(frame))
        sent = await self._backend.flush()
        self.stats.published += sent
        self.stats.dropped += len(batch) - sent
        if sent < len(batch):  # it is not known which of them arrived
            self._note_lost(batch)

    def _note_lost(self, frames: Iterable[Frame]) -> None:
        if len(self._lost) <= MAX_LOST_TOPICS:
            self._lost.update(frame.topic for frame in frames)

    async def _send_resyncs(self) -> None:
        """Ask the receivers to resync the topics with lost frames. Tried again until the broker accepts it."""
        lost, self._lost = self._lost, set()
        if len(lost) > MAX_LOST_TOPICS:
            advice = [(self._channel(shard), RESYNC_CHANNEL) for shard in range(self._shards)]
        else:
            advice = [(self._channel_of(topic), topic.encode()) for topic in lost]
        for channel, message in advice:
            await self._broadcast.publish(channel, message)
        if await self._backend.flush() < len(advice):
            self._lost |= lost

    # ------------------------------------------------------------------ receiving

    def _channel_of(self, topic: str) -> str:
        return self._channel(zlib.crc32(topic.encode()) % self._shards)

    def _channel(self, shard: int) -> str:
        return f"roomcast:{shard}"

    async def _pump(self, name: str) -> None:
        async with self._broadcast.subscribe(name) as subscriber:
            while True:
                event = await subscriber.get()
                self._on_message(name, event.message)

    def _on_message(self, name: str, message: str) -> None:
        topic, _, rest = message.partition("\n")
        if message == RESYNC:
            if channel := self._channels.get(name):
                channel.confirmed = True
                self._resync(channel.topics)
        elif topic not in self._joined:  # left while the frame was waiting
            return
        elif not rest:  # a frame that was too large for the broker, or lost by its sender
            self._resync([topic])
        elif frame := decode(topic, rest):
            self.stats.received += 1
            _call(self._on_frame, frame)
        else:
            self.stats.malformed += 1

    def _resync(self, topics: Iterable[str]) -> None:
        # After a lost connection the channels are confirmed one by one in the same turn: one call for all of them.
        if not self._stale:
            asyncio.get_running_loop().call_soon(self._announce)
        self._stale.update(topics)

    def _announce(self) -> None:
        topics, self._stale = self._stale & self._joined.keys(), set()
        if topics:
            self.stats.resyncs += 1
            _call(self._on_resync, topics)


def open_backend(url: str, inbox: IncomingQueue) -> BrokerBackend:
    """The broker of this URL. Only its own driver is imported: the others are optional and slow to import."""
    scheme = url.partition("://")[0].partition("+")[0]
    if scheme not in BROKERS:
        raise ValueError(
            f"The bus does not support {scheme}://. It supports {', '.join(f'{name}://' for name in BROKERS)}."
        )
    try:
        module = importlib.import_module(f"roomcast.realtime.bus.{BROKERS[scheme]}")
    except ModuleNotFoundError as error:
        raise ValueError(f"{scheme}:// needs a driver: pip install 'roomcast[{error.name}]'.") from error
    backend: BrokerBackend = module.Broker(url, inbox)
    return backend


def encode(frame: Frame) -> bytes:
    """The message of a frame: topic, seq and body, separated by newlines. Lone surrogates in the body become '?'."""
    return f"{frame.topic}\n{frame.seq}\n{frame.body}".encode(errors="replace")


def decode(topic: str, rest: str) -> Frame | None:
    """The frame of `topic`, or None if `rest` is not what `encode` makes."""
    seq, newline, body = rest.partition("\n")
    if not (newline and seq.isdecimal() and len(seq) < 20):
        return None
    return Frame(topic, int(seq), body)


def _call(callback: Callable[[Any], None], argument: Frame | Collection[str]) -> None:
    try:
        callback(argument)
    except Exception:  # one failing frame must not end the channel
        logger.exception("a callback of the bus failed")


async def _cancel_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
