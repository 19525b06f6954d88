"""Carries committed events to the streams of all processes: database → bus → hub, watchers and presence."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AsyncExitStack

from roomcast import tracing
from roomcast.core.db import Database
from roomcast.core.epoch import Epoch
from roomcast.core.events import Event, EventCodec
from roomcast.live.presence import PresenceService
from roomcast.live.room_streams import RoomEventSource
from roomcast.live.topics import is_room_topic, room_topic, user_topic
from roomcast.messages import system_messages
from roomcast.realtime.bus.bus import Bus, Frame
from roomcast.realtime.hub import Hub
from roomcast.realtime.watchers import WatcherRegistry
from roomcast.settings import Settings


class EventRouter:
    """The parts that events pass, connected to each other.

    They refer to each other in circles: the database publishes to the bus, and the hub reads the event log from the
    database. So the callbacks between them are methods of this class. Building it does no input or output.
    """

    def __init__(self, settings: Settings) -> None:
        self._codec = EventCodec()
        self.db = Database(
            settings.database_url,
            self._publish,
            listeners=[system_messages.post_system_messages],
            pool_size=settings.database_pool_size,
        )
        self.bus = Bus(settings.bus_address, on_frame=self._on_frame, on_resync=self._on_resync)
        self.epoch = Epoch(self.db, self._on_new_epoch)
        room_events = RoomEventSource(self.db, self._codec)
        self.hub = Hub(room_events, self.bus.join, self.bus.leave, self.epoch)
        self.watchers = WatcherRegistry(self.bus.join, self.bus.leave, room_events.tails, is_room_topic, self.epoch)
        self.presence = PresenceService(self.db, self.bus, self.watchers, settings.presence_grace_seconds)

    async def start(self, stack: AsyncExitStack) -> None:
        """Start all parts but the database, which needs no start. `stack` stops them in reverse order."""
        await self.epoch.load()
        for part in (self.bus, self.presence, self.watchers, self.hub):
            stack.push_async_callback(part.stop)  # before the start, so that a start that fails half-way is undone
            await part.start()

    def _publish(self, events: Sequence[Event]) -> None:
        """Called after each commit, with the events of the transaction."""
        with tracing.span("publish", kind="PRODUCER", attributes={"roomcast.events": len(events)}):
            trace = tracing.current()
            self.bus.publish(frame for event in events for frame in _frames(event, self._codec.pack(event, trace)))
        self.presence.on_committed(events)
        self.watchers.note_committed((room_topic(event.room_id), event.seq) for event in events if event.seq)

    def _on_new_epoch(self) -> None:
        """What the parts have read of the event log may be wrong now."""
        self.hub.restart()
        self.watchers.restart()

    def _on_frame(self, frame: Frame) -> None:
        self.presence.on_frame(frame)
        self.hub.on_frame(frame)
        self.watchers.on_frame(frame)

    def _on_resync(self, topics: Collection[str]) -> None:
        self.presence.on_resync(topics)
        self.hub.on_resync(topics)
        self.watchers.on_resync(topics)


def _frames(event: Event, encoded: str) -> Iterator[Frame]:
    """One frame for the room's topic, and one for the topic of the user whom the event affects."""
    if not event.is_personal:
        yield Frame(room_topic(event.room_id), event.seq, encoded)
    if event.affected_user_id is not None:
        yield Frame(user_topic(event.affected_user_id), 0, encoded)
