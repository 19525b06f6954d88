"""Presence and typing of this process: it reacts to sockets, mutations, other processes and time.

Everything is in memory and best effort: nothing is stored and nothing takes a seq. Changes are collected and sent at
each tick, to the other processes and to the feeds of the rooms that are watched here.
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
from roomcast.live.presence_feeds import RoomPresenceFeed, RoomTypingFeed, WatchedMembers, end_typing
from roomcast.live.topics import PRESENCE_TOPIC, typing_topic
from roomcast.presence.devices import Devices
from roomcast.presence.peer_sync import PeerMessage, PeerMessageKind, PeerSync, decode_status, encode_status
from roomcast.presence.registry import Activity, PresenceRegistry, unix_seconds
from roomcast.presence.status_updates import StatusUpdate, apply_status_update
from roomcast.presence.typing import TypingUsers
from roomcast.realtime.bus.bus import Bus, Frame
from roomcast.realtime.snapshot_feed import SnapshotFeed
from roomcast.realtime.watchers import WatcherRegistry

TICK_SECONDS = 0.25
"""The interval between two ticks: a room sends at most four presence and four typing payloads a second."""

MAX_HEARTBEAT_SECONDS = 5.0
"""A process sends at least one message in this time, or in a third of the grace period if that is shorter."""

SYNC_SECONDS = 1.0
"""A process sends, and asks for, at most one full sync in this time."""

COALESCED_KINDS = (
    PeerMessageKind.STATUSES,
    PeerMessageKind.USER_STATES,
    PeerMessageKind.DEVICES_IDLE,
    PeerMessageKind.DEVICES_LEFT,
)
"""What is sent to the other processes at each tick, in this order. Statuses come first: otherwise a user who hides
would be visible for a moment."""

logger = logging.getLogger("roomcast.signals")


class PresenceService:
    """`grace_seconds`: how long users count as connected after their last socket has closed, or after the process that
    they were connected to has gone silent. `clock`: tests replace it to let time pass."""

    def __init__(self, db: Database, bus: Bus, watchers: WatcherRegistry, grace_seconds: float) -> None:
        self.clock = time.monotonic
        self.registry, self.typing_users = PresenceRegistry(), TypingUsers()
        self._db, self._bus, self._watchers = db, bus, watchers
        self._devices = Devices(grace_seconds)
        self._peer_sync = PeerSync(self.registry, uuid.uuid4().hex[:12], grace_seconds)
        self._heartbeat_seconds = min(MAX_HEARTBEAT_SECONDS, grace_seconds / 3)
        self._watched_members = WatchedMembers(self.registry)
        self._presence_feeds: dict[UUID, RoomPresenceFeed] = {}
        self._typing_feeds: dict[UUID, RoomTypingFeed] = {}
        self._activities: dict[UUID, Activity] = {}
        """What this process has last reported of the users that are connected to it."""
        self._pending: dict[PeerMessageKind, dict[Any, Any]] = {kind: {} for kind in COALESCED_KINDS}
        """Items for the other processes. A newer item of the same user or session replaces an older one."""
        self._must_send_sync = self._must_ask_all = False
        self._synced_at = self._asked_at = self._sent_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._bus.join(PRESENCE_TOPIC)
        self._task = asyncio.create_task(self._run(), name="signals")

    async def stop(self) -> None:
        """Stop without a message to the other processes: clients that reconnect to them in time stay visible."""
        feeds: list[RoomPresenceFeed | RoomTypingFeed] = [*self._presence_feeds.values(), *self._typing_feeds.values()]
        for feed in feeds:
            feed.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                self.tick()
            except Exception:  # the next tick goes on
                logger.exception("a tick of presence and typing failed")

    # ------------------------------------------------------------------ sockets

    def on_connect(self, actor: Actor) -> None:
        """A socket acts for the actor from now on."""
        self._devices.connect(actor.user_id, actor.session_id)
        self._update_activity(actor.user_id)

    def on_disconnect(self, actor: Actor, *, for_good: bool) -> None:
        """The socket does not act for the actor any more. `for_good`: the session has ended, so no grace period."""
        if not self._devices.disconnect(actor.user_id, actor.session_id, self.clock()):
            return
        self.typing_users.stop_session(actor.session_id)
        self._pending[PeerMessageKind.DEVICES_LEFT][actor.session_id] = actor.session_id.hex
        if for_good:
            self._update_activity(actor.user_id, self._devices.remove(actor.user_id, actor.session_id))

    def _update_activity(self, user_id: UUID, active_at: int | None = None) -> None:
        """Report the user's activity in this process if it has changed."""
        after, before = self._devices.activity_of(user_id), self._activities.get(user_id)
        if after == before:
            return
        active_at = active_at or unix_seconds()
        if after is None:
            del self._activities[user_id]
            self.registry.remove_activity(self._peer_sync.process_id, user_id, active_at)
        else:
            self._activities[user_id] = after
            self.registry.set_activity(self._peer_sync.process_id, user_id, after)
        self._pending[PeerMessageKind.USER_STATES][user_id] = self._peer_sync.user_state(user_id, after, active_at)
        if before is None and self.registry.status_of(user_id).at:
            self._queue_status(user_id)

    # ------------------------------------------------------------------ mutations

    def set_presence(self, actor: Actor, update: StatusUpdate) -> None:
        """Apply the update of the actor's device. Raises ValidationFailed."""
        user_id, before = actor.user_id, self.registry.status_of(actor.user_id)
        status = apply_status_update(before, update, actor.session_id, time.time_ns() // 1_000_000)
        if status is not before:
            self.registry.set_status(user_id, status)
            self._queue_status(user_id)
        if update.is_idle is not None:
            self._set_idle(user_id, actor.session_id, idle=update.is_idle)
            # The device's sockets may be connected to another process.
            item = [user_id.hex, actor.session_id.hex, update.is_idle]
            self._pending[PeerMessageKind.DEVICES_IDLE][actor.session_id] = item

    def _set_idle(self, user_id: UUID, session_id: UUID, *, idle: bool) -> None:
        self._devices.set_idle(user_id, session_id, idle=idle)
        self._update_activity(user_id)

    def _queue_status(self, user_id: UUID) -> None:
        self._pending[PeerMessageKind.STATUSES][user_id] = encode_status(user_id, self.registry.status_of(user_id))

    def set_typing(self, actor: Actor, room_id: UUID, *, typing: bool) -> None:
        """The actor types in the room for the next TYPING_EXPIRY_SECONDS, or has stopped."""
        self._set_typing(room_id, actor.user_id, actor.session_id, typing=typing)
        body = [self._peer_sync.process_id, actor.user_id.hex, actor.session_id.hex, typing]
        self._bus.publish([Frame(typing_topic(room_id), 0, orjson.dumps(body).decode())])

    def _set_typing(self, room_id: UUID, user_id: UUID, session_id: UUID, *, typing: bool) -> None:
        if typing:
            self.typing_users.start(room_id, user_id, session_id, self.clock())
        else:
            self.typing_users.stop(room_id, user_id)

    def on_committed(self, events: Iterable[Event]) -> None:
        """This process has committed these events. The author of a message stops typing."""
        for event in events:
            if event.room_id in self.typing_users.room_ids:
                end_typing(self.typing_users, event)

    # ------------------------------------------------------------------ feeds

    def presence_in(self, room_id: UUID) -> SnapshotFeed:
        """The visible members of the room. The caller follows the feed at once; it closes when nobody follows it."""
        if room_id not in self._presence_feeds:
            on_unwatched = partial(self._close_feed, self._presence_feeds, room_id)
            feed = RoomPresenceFeed(room_id, self._watched_members, self._db, self._watchers, on_unwatched)
            self._presence_feeds[room_id] = feed
            feed.open()
        return self._presence_feeds[room_id].feed

    def typing_in(self, room_id: UUID) -> SnapshotFeed:
        """The typing users of the room. The same rules as for `presence_in` apply."""
        if room_id not in self._typing_feeds:
            on_peer_typing = partial(self._on_peer_typing, room_id)
            on_unwatched = partial(self._close_feed, self._typing_feeds, room_id)
            feed = RoomTypingFeed(room_id, self.typing_users, self._watchers, on_peer_typing, on_unwatched)
            self._typing_feeds[room_id] = feed
            feed.open()
        return self._typing_feeds[room_id].feed

    def _close_feed(self, feeds: dict[UUID, Any], room_id: UUID) -> None:
        feeds.pop(room_id).close()

    # ------------------------------------------------------------------ other processes

    def on_frame(self, frame: Frame) -> None:
        if frame.topic != PRESENCE_TOPIC:
            return
        try:
            message = self._peer_sync.receive(frame.body, self.clock())
            if message is not None:
                self._on_peer_message(message)
        except (ValueError, KeyError, TypeError):
            logger.warning("a presence message on the bus cannot be read: another release or another program sent it")

    def on_resync(self, topics: Collection[str]) -> None:
        """Messages may have been lost in both directions: send a full sync, and ask all processes for theirs."""
        if PRESENCE_TOPIC in topics:
            self._must_send_sync = self._must_ask_all = True
            self._peer_sync.reset_timeouts(self.clock())

    def _on_peer_message(self, message: PeerMessage) -> None:
        if message.kind is PeerMessageKind.SYNC_REQUEST:
            is_for_all = not message.items
            self._must_send_sync |= is_for_all or self._peer_sync.process_id in message.items
            return
        for item in message.items:
            match message.kind:
                case PeerMessageKind.USER_STATES:
                    # `PeerSync.receive` has applied the state. If the sender knows an older status than this process,
                    # send it.
                    user, _state, _since, status_at = item
                    if self.registry.status_of(user_id := UUID(user)).at > status_at:
                        self._queue_status(user_id)
                case PeerMessageKind.STATUSES:
                    self.registry.set_status(*decode_status(*item))
                case PeerMessageKind.DEVICES_IDLE:
                    user, session, idle = item
                    self._set_idle(UUID(user), UUID(session), idle=idle)
                case PeerMessageKind.DEVICES_LEFT:
                    self.typing_users.stop_session(UUID(item))

    def _on_peer_typing(self, room_id: UUID, body: str) -> None:
        process_id, user_id, session_id, typing = orjson.loads(body)
        if process_id != self._peer_sync.process_id:
            self._set_typing(room_id, UUID(user_id), UUID(session_id), typing=typing)

    # ------------------------------------------------------------------ time

    def tick(self) -> None:
        """Apply what has expired, then send what has changed since the last tick."""
        clock = self.clock()
        for user_id, active_at in self._devices.expire(clock).items():
            self._update_activity(user_id, active_at)
        if self._bus.connected:
            self._peer_sync.remove_silent_peers(clock)
        else:  # the silence is that of the bus: no process counts as dead for it
            self._peer_sync.reset_timeouts(clock)
        messages = self._full_sync(clock)
        for kind, items in self._pending.items():
            if items:
                messages += self._peer_sync.encode_messages(kind, items.values())
                items.clear()
        messages += self._sync_requests(clock)
        if not messages and clock - self._sent_at >= self._heartbeat_seconds:
            messages = [*self._peer_sync.encode_messages(PeerMessageKind.HEARTBEAT)]
        if messages:
            self._sent_at = clock
            self._bus.publish(Frame(PRESENCE_TOPIC, 0, message) for message in messages)
        self._watched_members.publish()
        self.typing_users.expire(clock)
        changed, self.typing_users.changed = self.typing_users.changed, set()
        for room_id in (changed | self.typing_users.room_ids) & self._typing_feeds.keys():
            self._typing_feeds[room_id].publish(clock)

    def _full_sync(self, clock: float) -> list[str]:
        if not self._must_send_sync or clock - self._synced_at < SYNC_SECONDS:
            return []
        self._must_send_sync, self._synced_at = False, clock
        states = [self._peer_sync.user_state(user_id, activity, 0) for user_id, activity in self._activities.items()]
        statuses = [(user_id, self.registry.status_of(user_id)) for user_id in self._activities]
        encode = self._peer_sync.encode_messages
        return [
            *encode(PeerMessageKind.SYNC_BEGIN),
            *encode(PeerMessageKind.STATUSES, (encode_status(*status) for status in statuses if status[1].at)),
            *encode(PeerMessageKind.USER_STATES, states),
            *encode(PeerMessageKind.SYNC_END),
        ]

    def _sync_requests(self, clock: float) -> Sequence[str]:
        process_ids = self._peer_sync.peers_to_sync()
        if not (self._must_ask_all or process_ids) or clock - self._asked_at < SYNC_SECONDS:
            return []
        if self._must_ask_all:
            process_ids = []
        self._must_ask_all, self._asked_at = False, clock
        return self._peer_sync.encode_messages(PeerMessageKind.SYNC_REQUEST, process_ids)
