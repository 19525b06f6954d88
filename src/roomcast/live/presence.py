"""Presence and typing in this process: what sockets, people, other processes and time do to them.

All of it is memory and best effort: nothing is stored, nothing takes a seq. What happens is gathered for a moment and
then told, to the other processes and to who watches here.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import orjson

from roomcast.core.actor import Actor
from roomcast.core.db import Database
from roomcast.core.events import Event
from roomcast.live.presence_feeds import RoomPresenceFeed, RoomTypingFeed, WatchedMembers, end_typing, topic_of_typing
from roomcast.presence.devices import Devices
from roomcast.presence.peer_sync import PeerMessage, PeerMessageKind, PeerSync, decode_status, encode_status
from roomcast.presence.registry import Activity, PresenceRegistry, unix_seconds
from roomcast.presence.status_updates import StatusUpdate, apply_status_update
from roomcast.presence.typing import TypingUsers
from roomcast.realtime.bus.bus import Bus, Frame
from roomcast.realtime.snapshot_feed import SnapshotFeed
from roomcast.realtime.watchers import WatcherRegistry

TICK_SECONDS = 0.25
"""However much happens, a room says four times a second who is there and who types."""

MAX_HEARTBEAT_SECONDS = 5.0
"""How often a process says that it lives, which is a third of the grace if that is shorter."""

SYNC_SECONDS = 1.0
"""A roll is called, and asked for, no more often."""

PRESENCE = "presence"
"""The topic of what processes tell each other of their people."""

COALESCED_KINDS = (
    PeerMessageKind.STATUSES,
    PeerMessageKind.USER_STATES,
    PeerMessageKind.DEVICES_IDLE,
    PeerMessageKind.DEVICES_LEFT,
)
"""What is told at each tick, in this order: who hides is not shown for a moment."""

log = logging.getLogger("roomcast.signals")


class PresenceService:
    """`grace_seconds`: how long people count as they were after their last socket, or their process, went. `clock` may
    be replaced, to let time pass."""

    def __init__(self, db: Database, bus: Bus, watch: WatcherRegistry, grace_seconds: float) -> None:
        self.clock = time.monotonic
        self.registry, self.typing_users = PresenceRegistry(), TypingUsers()
        self._db, self._bus, self._watchers = db, bus, watch
        self._devices = Devices(grace_seconds)
        self._peer_sync = PeerSync(self.registry, uuid.uuid4().hex[:12], grace_seconds)
        self._heartbeat_seconds = min(MAX_HEARTBEAT_SECONDS, grace_seconds / 3)
        self._watched_members = WatchedMembers(self.registry)
        self._presence_feeds: dict[UUID, RoomPresenceFeed] = {}
        self._typing_feeds: dict[UUID, RoomTypingFeed] = {}
        self._activities: dict[UUID, Activity] = {}
        self._pending: dict[PeerMessageKind, dict[Any, Any]] = {kind: {} for kind in COALESCED_KINDS}
        self._must_send_sync = self._must_ask_all = False
        self._synced_at = self._asked_at = self._sent_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._bus.join(PRESENCE)
        self._task = asyncio.create_task(self._run(), name="signals")

    async def stop(self) -> None:
        """Nothing is said of it: people who do not come back elsewhere lapse."""
        watched: list[RoomPresenceFeed | RoomTypingFeed] = [
            *self._presence_feeds.values(),
            *self._typing_feeds.values(),
        ]
        for room in watched:
            room.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                self.tick()
            except Exception:  # the next one goes on
                log.exception("presence and typing could not be told")

    # ------------------------------------------------------------------ sockets

    def on_connect(self, actor: Actor) -> None:
        """A socket is this person's from here on."""
        self._devices.connect(actor.user_id, actor.session_id)
        self._update_activity(actor.user_id)

    def on_disconnect(self, actor: Actor, *, for_good: bool) -> None:
        """It is not any more; `for_good`: nor will its session have another one."""
        if not self._devices.disconnect(actor.user_id, actor.session_id, self.clock()):
            return
        self.typing_users.stop_session(actor.session_id)
        self._pending[PeerMessageKind.DEVICES_LEFT][actor.session_id] = actor.session_id.hex
        if for_good:
            self._update_activity(actor.user_id, self._devices.remove(actor.user_id, actor.session_id))

    def _update_activity(self, user_id: UUID, active_at: int | None = None) -> None:
        report, before = self._devices.activity_of(user_id), self._activities.get(user_id)
        if report == before:
            return
        active_at = active_at or unix_seconds()
        if report is None:
            del self._activities[user_id]
            self.registry.remove_activity(self._peer_sync.process_id, user_id, active_at)
        else:
            self._activities[user_id] = report
            self.registry.set_activity(self._peer_sync.process_id, user_id, report)
        self._pending[PeerMessageKind.USER_STATES][user_id] = self._peer_sync.user_state(user_id, report, active_at)
        if before is None and self.registry.status_of(user_id).at:
            self._queue_status(user_id)

    # ------------------------------------------------------------------ people

    def set_presence(self, actor: Actor, wish: StatusUpdate) -> None:
        """The person is shown so from now on. Raises ValidationFailed."""
        user_id, before = actor.user_id, self.registry.status_of(actor.user_id)
        card = apply_status_update(before, wish, actor.session_id, time.time_ns() // 1_000_000)
        if card is not before:
            self.registry.set_status(user_id, card)
            self._queue_status(user_id)
        if wish.is_idle is not None:
            self._set_idle(user_id, actor.session_id, idle=wish.is_idle)
            # The device may have its sockets in another process.
            self._pending[PeerMessageKind.DEVICES_IDLE][actor.session_id] = [
                user_id.hex,
                actor.session_id.hex,
                wish.is_idle,
            ]

    def _set_idle(self, user_id: UUID, session_id: UUID, *, idle: bool) -> None:
        self._devices.set_idle(user_id, session_id, idle=idle)
        self._update_activity(user_id)

    def _queue_status(self, user_id: UUID) -> None:
        self._pending[PeerMessageKind.STATUSES][user_id] = encode_status(user_id, self.registry.status_of(user_id))

    def set_typing(self, actor: Actor, room_id: UUID, *, typing: bool) -> None:
        """They type there, for some seconds; or they do not."""
        self._set_typing(room_id, actor.user_id, actor.session_id, typing=typing)
        said = [self._peer_sync.process_id, actor.user_id.hex, actor.session_id.hex, typing]
        self._bus.publish([Frame(topic_of_typing(room_id), 0, orjson.dumps(said).decode())])

    def _set_typing(self, room_id: UUID, user_id: UUID, session_id: UUID, *, typing: bool) -> None:
        if typing:
            self.typing_users.start(room_id, user_id, session_id, self.clock())
        else:
            self.typing_users.stop(room_id, user_id)

    def on_committed(self, events: Iterable[Event]) -> None:
        """This process has committed these: who has said it does not type it any more."""
        for event in events:
            if event.room_id in self.typing_users.room_ids:
                end_typing(self.typing_users, event)

    # ------------------------------------------------------------------ who watches

    def presence_in(self, room_id: UUID) -> SnapshotFeed:
        """Who is in the room. To be followed at once, and forgotten when nobody does any more."""
        if room_id not in self._presence_feeds:
            over = partial(self._close_feed, self._presence_feeds, room_id)
            self._presence_feeds[room_id] = RoomPresenceFeed(
                room_id, self._watched_members, self._db, self._watchers, over
            )
            self._presence_feeds[room_id].open()
        return self._presence_feeds[room_id].feed

    def typing_in(self, room_id: UUID) -> SnapshotFeed:
        """Who types in the room; as `presence_in`."""
        if room_id not in self._typing_feeds:
            hear, over = partial(self._on_typing, room_id), partial(self._close_feed, self._typing_feeds, room_id)
            self._typing_feeds[room_id] = RoomTypingFeed(room_id, self.typing_users, self._watchers, hear, over)
            self._typing_feeds[room_id].open()
        return self._typing_feeds[room_id].feed

    def _close_feed(self, rooms: dict[UUID, Any], room_id: UUID) -> None:
        rooms.pop(room_id).close()

    # ------------------------------------------------------------------ other processes

    def on_frame(self, frame: Frame) -> None:
        if frame.topic != PRESENCE:
            return
        try:
            line = self._peer_sync.receive(frame.body, self.clock())
            if line is not None:
                self._on_peer_message(line)
        except (ValueError, KeyError, TypeError):
            log.warning("a line about presence is of another release, or a stranger's")

    def on_resync(self, topics: Collection[str]) -> None:
        """Lines may have been lost, in either direction."""
        if PRESENCE in topics:
            self._must_send_sync = self._must_ask_all = True
            self._peer_sync.reset_timeouts(self.clock())

    def _on_peer_message(self, line: PeerMessage) -> None:
        takes = {
            PeerMessageKind.USER_STATES: self._on_user_state,
            PeerMessageKind.STATUSES: self._on_status,
            PeerMessageKind.DEVICES_IDLE: self._on_device_idle,
            PeerMessageKind.DEVICES_LEFT: self._on_device_left,
        }
        if take := takes.get(line.kind):
            for item in line.items:
                take(item)
        elif line.kind is PeerMessageKind.SYNC_REQUEST and self._peer_sync.process_id in (
            line.items or [self._peer_sync.process_id]
        ):
            self._must_send_sync = True

    def _on_user_state(self, row: Sequence[Any]) -> None:
        """Where the other process knows an older card of somebody than is known here, tell it."""
        person, _state, _since, card_at = row
        if self.registry.status_of(user_id := UUID(person)).at > card_at:
            self._queue_status(user_id)

    def _on_status(self, item: Sequence[Any]) -> None:
        self.registry.set_status(*decode_status(*item))

    def _on_device_idle(self, item: Sequence[Any]) -> None:
        user_id, session_id, idle = item
        self._set_idle(UUID(user_id), UUID(session_id), idle=idle)

    def _on_device_left(self, session_id: str) -> None:
        self.typing_users.stop_session(UUID(session_id))

    def _on_typing(self, room_id: UUID, body: str) -> None:
        process, user_id, session_id, typing = orjson.loads(body)
        if process != self._peer_sync.process_id:
            self._set_typing(room_id, UUID(user_id), UUID(session_id), typing=typing)

    # ------------------------------------------------------------------ time

    def tick(self) -> None:
        """What time brings, and what has been gathered since the last time, is told."""
        clock = self.clock()
        for user_id, active_at in self._devices.expire(clock).items():
            self._update_activity(user_id, active_at)
        if self._bus.connected:
            self._peer_sync.remove_silent_peers(clock)
        else:
            self._peer_sync.reset_timeouts(clock)
        self._send_to_peers(clock)
        self._watched_members.publish()
        self._publish_typing(clock)

    def _publish_typing(self, clock: float) -> None:
        self.typing_users.expire(clock)
        changed, self.typing_users.changed = self.typing_users.changed, set()
        for room_id in (changed | self.typing_users.room_ids) & self._typing_feeds.keys():
            self._typing_feeds[room_id].publish(clock)

    def _send_to_peers(self, clock: float) -> None:
        lines = [*self._full_sync(clock), *self._take_pending(), *self._sync_requests(clock)]
        if lines or clock - self._sent_at >= self._heartbeat_seconds:
            self._sent_at = clock
            self._bus.publish(
                Frame(PRESENCE, 0, line) for line in lines or self._peer_sync.encode_messages(PeerMessageKind.HEARTBEAT)
            )

    def _take_pending(self) -> list[str]:
        lines = [
            line
            for kind, items in self._pending.items()
            if items
            for line in self._peer_sync.encode_messages(kind, items.values())
        ]
        for items in self._pending.values():
            items.clear()
        return lines

    def _full_sync(self, clock: float) -> list[str]:
        if not self._must_send_sync or clock - self._synced_at < SYNC_SECONDS:
            return []
        self._must_send_sync, self._synced_at = False, clock
        people = [self._peer_sync.user_state(user_id, report, 0) for user_id, report in self._activities.items()]
        cards = [(user_id, self.registry.status_of(user_id)) for user_id in self._activities]
        return [
            *self._peer_sync.encode_messages(PeerMessageKind.SYNC_BEGIN),
            *self._peer_sync.encode_messages(
                PeerMessageKind.STATUSES, (encode_status(*card) for card in cards if card[1].at)
            ),
            *self._peer_sync.encode_messages(PeerMessageKind.USER_STATES, people),
            *self._peer_sync.encode_messages(PeerMessageKind.SYNC_END),
        ]

    def _sync_requests(self, clock: float) -> Sequence[str]:
        asked = self._peer_sync.peers_to_sync()
        if not (self._must_ask_all or asked) or clock - self._asked_at < SYNC_SECONDS:
            return []
        asked, self._must_ask_all, self._asked_at = [] if self._must_ask_all else asked, False, clock
        return self._peer_sync.encode_messages(PeerMessageKind.SYNC_REQUEST, asked)
