"""Between the processes: frames of the topics this process joined come in, its own go out, and no gap stays unsaid.

The sole owner of broadcaster. Delivery is quick, not certain: a loss is announced by a resync or found in the log.
"""

import asyncio
import importlib
import logging
import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
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
"""Topics with lost frames that are remembered by name. With more, receivers are told to resync every topic."""

RESYNC_RETRY_SECONDS = 0.5
"""How often it is tried to tell receivers of lost frames."""

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
    """One event on its way. `topic` has no spaces or newlines; `seq` is its place in the topic's log, 0 if in none."""

    topic: str
    seq: int
    body: str


@dataclass(slots=True)
class Channel:
    """A shard of the bus, listened to because of `topics`; `confirmed` once its first resync came."""

    pump: asyncio.Task[None]
    topics: set[str] = field(default_factory=set)
    confirmed: bool = False


class Bus:
    """One process's place on the bus. Both callbacks run on the event loop and must be quick.

    `on_frame` gets every frame of a joined topic, those of this process included. `on_resync` gets topics whose log is
    to be read, because frames may be missing: after their first join, after a lost connection, after an overflow.
    Topics of which this process could not send frames are told to the receivers as soon as the broker is back: they
    resync these.

    `shards` is how many channels the topics are spread over, the same in every process. `direct_url` replaces a
    postgresql:// `url` that leads through a pooler, where LISTEN does not work. `pending` bounds the frames that came
    in and wait. Raises ValueError for an unknown or uninstalled broker.
    """

    def __init__(
        self,
        url: str,
        *,
        on_frame: Callable[[Frame], None],
        on_resync: Callable[[Collection[str]], None],
        shards: int = 64,
        direct_url: str | None = None,
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
        self._backend = open_backend(url, inbox, direct_url)
        self._broadcast = Broadcast(backend=self._backend)

    @property
    def connected(self) -> bool:
        """Whether frames travel now."""
        return self._backend.connected

    async def start(self) -> None:
        """Looks for the broker from now on; never waits for it."""
        await self._broadcast.connect()
        self._drain_task = asyncio.create_task(self._drain(), name="bus drainer")

    async def stop(self) -> None:
        """What is queued has left, if the broker took it within a second; every task has ended; no callback comes."""
        drainer, self._drain_task = self._drain_task, None
        if drainer is None:
            return
        self._stopping = True
        self._filled.set()
        await asyncio.wait({drainer}, timeout=STOP_SECONDS)
        self._joined.clear()
        self._channels.clear()
        await _cancel_all({drainer, *self._pumps})
        listener = self._broadcast._listener_task  # broadcaster cancels it and does not wait
        await self._broadcast.disconnect()
        await _cancel_all({listener})

    def join(self, topic: str) -> None:
        """Frames of `topic` are wanted once more; the first join is followed by a resync of it."""
        self._joined[topic] = self._joined.get(topic, 0) + 1
        if self._joined[topic] > 1 or self._stopping:
            return
        channel = self._open_channel(self._channel_of(topic))
        channel.topics.add(topic)
        if channel.confirmed:
            self._resync([topic])

    def leave(self, topic: str) -> None:
        """Takes back one join; after the last, no frame of `topic` comes any more."""
        count = self._joined.pop(topic, 0)
        if count > 1:
            self._joined[topic] = count - 1
        elif count == 1:
            self._remove_topic(topic)

    def publish(self, frames: Iterable[Frame]) -> None:
        """The frames leave soon and in order, or are counted as dropped."""
        for frame in frames:
            if len(self._outgoing) < OUTGOING_FRAMES and self._outgoing_characters < OUTGOING_CHARACTERS:
                self._outgoing.append(frame)
                self._outgoing_characters += len(frame.body)
            else:
                self.stats.dropped += 1
                self._note_lost([frame])
        self._filled.set()

    # ------------------------------------------------------------------ going out

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
        if sent < len(batch):  # which of them arrived is not known
            self._note_lost(batch)

    def _note_lost(self, frames: Iterable[Frame]) -> None:
        if len(self._lost) <= MAX_LOST_TOPICS:
            self._lost.update(frame.topic for frame in frames)

    async def _send_resyncs(self) -> None:
        """Tell the receivers which topics lost frames. What the broker does not take is tried again."""
        lost, self._lost = self._lost, set()
        advice = self._resync_messages(lost)
        for channel, message in advice:
            await self._broadcast.publish(channel, message)
        if await self._backend.flush() < len(advice):
            self._lost |= lost

    def _resync_messages(self, topics: Collection[str]) -> Sequence[tuple[str, bytes]]:
        if len(topics) > MAX_LOST_TOPICS:
            return [(self._channel(shard), RESYNC_CHANNEL) for shard in range(self._shards)]
        return [(self._channel_of(topic), topic.encode()) for topic in topics]

    # ------------------------------------------------------------------ coming in

    def _channel_of(self, topic: str) -> str:
        return self._channel(zlib.crc32(topic.encode()) % self._shards)

    def _channel(self, shard: int) -> str:
        return f"roomcast:{shard}"

    def _open_channel(self, name: str) -> Channel:
        channel = self._channels.get(name)
        if channel is None:
            pump = asyncio.create_task(self._pump(name), name=f"bus {name}")
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)
            channel = self._channels[name] = Channel(pump)
        return channel

    def _remove_topic(self, topic: str) -> None:
        name = self._channel_of(topic)
        if channel := self._channels.get(name):
            channel.topics.discard(topic)
            if not channel.topics:
                channel.pump.cancel()
                del self._channels[name]

    async def _pump(self, name: str) -> None:
        async with self._broadcast.subscribe(name) as subscriber:
            while True:
                event = await subscriber.get()
                self._on_message(name, event.message)

    def _on_message(self, name: str, message: str) -> None:
        topic, _, rest = message.partition("\n")
        if message == RESYNC:
            self._on_confirmed(name)
        elif topic not in self._joined:  # left while the frame waited
            return
        elif not rest:  # a frame too heavy for the broker, or lost by its sender
            self._resync([topic])
        elif frame := decode(topic, rest):
            self.stats.received += 1
            _call(self._on_frame, frame)
        else:
            self.stats.malformed += 1

    def _on_confirmed(self, name: str) -> None:
        if channel := self._channels.get(name):
            channel.confirmed = True
            self._resync(channel.topics)

    def _resync(self, topics: Iterable[str]) -> None:
        # After a lost connection the channels come back one by one, in one go: one call for all of them.
        if not self._stale:
            asyncio.get_running_loop().call_soon(self._announce)
        self._stale.update(topics)

    def _announce(self) -> None:
        topics, self._stale = self._stale & self._joined.keys(), set()
        if topics:
            self.stats.resyncs += 1
            _call(self._on_resync, topics)


def open_backend(url: str, inbox: IncomingQueue, direct_url: str | None) -> BrokerBackend:
    """The broker that `url` names. Only its own driver is imported: the others are optional and slow to load."""
    scheme = url.partition("://")[0].partition("+")[0]
    if scheme not in BROKERS:
        raise ValueError(f"The bus does not know {scheme}://; it speaks {', '.join(f'{name}://' for name in BROKERS)}.")
    if BROKERS[scheme] == "postgres":
        url = direct_url or url
    try:
        module = importlib.import_module(f"roomcast.realtime.bus.{BROKERS[scheme]}")
    except ModuleNotFoundError as error:
        raise ValueError(f"{scheme}:// needs a driver: pip install 'roomcast[{error.name}]'.") from error
    backend: BrokerBackend = module.Broker(url, inbox)
    return backend


def encode(frame: Frame) -> bytes:
    """What travels: topic, seq and body, a line each; the body may have more. What UTF-8 cannot say becomes '?'."""
    return f"{frame.topic}\n{frame.seq}\n{frame.body}".encode(errors="replace")


def decode(topic: str, rest: str) -> Frame | None:
    """The frame of `topic`, or None if a stranger wrote the rest."""
    seq, newline, body = rest.partition("\n")
    if not (newline and seq.isdecimal() and len(seq) < 20):
        return None
    return Frame(topic, int(seq), body)


def _call(callback: Callable[[Any], None], argument: Frame | Collection[str]) -> None:
    try:
        callback(argument)
    except Exception:  # a fault of one frame must not make its channel deaf
        logger.exception("a callback of the bus failed")


async def _cancel_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
