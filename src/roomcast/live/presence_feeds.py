"""The feeds of one room's presence and typing, for rooms that somebody watches in this process.

A feed sends at most one payload per tick however many users connect, disconnect or type, and shows a bounded number of
users.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from uuid import UUID

from roomcast.core import event_log
from roomcast.core.db import Database
from roomcast.core.events import Event, kind_of_packed, unpack
from roomcast.live.topics import room_topic, typing_topic
from roomcast.messages.events import MessageCreated
from roomcast.presence import queries
from roomcast.presence.policy import MAX_VISIBLE_USERS, TYPING_EXPIRY_SECONDS, TYPING_REFRESH_SECONDS
from roomcast.presence.registry import Presence, PresenceRegistry, PresenceState
from roomcast.presence.typing import TypingUsers
from roomcast.realtime.bus.bus import Frame
from roomcast.realtime.retry import retry_until_success
from roomcast.realtime.snapshot_feed import SnapshotFeed
from roomcast.realtime.watchers import WatcherRegistry
from roomcast.rooms.events import MemberChange, MemberChanged
from roomcast.rooms.models import RoomRole

LEAVING_CHANGES = frozenset({MemberChange.LEFT, MemberChange.REMOVED})
SILENCING_CHANGES = LEAVING_CHANGES | {MemberChange.MUTED}

TYPING_REPEAT_SECONDS = TYPING_EXPIRY_SECONDS - TYPING_REFRESH_SECONDS
"""The typing users are sent again after this time, so that clients get them before the last payload expires."""


@dataclass(frozen=True, slots=True)
class PresenceUpdate:
    """The presence of these users has changed. Their values are read when the update is rendered. `snapshot`: these are
    all visible members of the room."""

    room_id: UUID
    user_ids: Sequence[UUID]
    snapshot: bool


@dataclass(frozen=True, slots=True)
class TypingUpdate:
    room_id: UUID
    user_ids: Sequence[UUID]


class WatchedMembers:
    """`feeds_by_user`: the feeds of a user's rooms. `changed_feeds`: those with something to send."""

    def __init__(self, registry: PresenceRegistry) -> None:
        self.registry = registry
        self.feeds_by_user: defaultdict[UUID, set[RoomPresenceFeed]] = defaultdict(set)
        self.changed_feeds: set[RoomPresenceFeed] = set()

    def publish(self) -> None:
        """Pass the registry's changes on to the feeds, and let them send."""
        changed, self.registry.changed = self.registry.changed, set()
        for user_id in changed & self.feeds_by_user.keys():
            for feed in self.feeds_by_user[user_id]:
                feed.mark_changed(user_id)
        feeds, self.changed_feeds = self.changed_feeds, set()
        for feed in feeds:
            feed.publish()


class RoomPresenceFeed:
    """The visible members of one room, at most MAX_VISIBLE_USERS. When one of these disconnects, another is shown."""

    def __init__(
        self,
        room_id: UUID,
        watched_members: WatchedMembers,
        db: Database,
        watchers: WatcherRegistry,
        on_unwatched: Callable[[], None],
    ) -> None:
        self.feed = SnapshotFeed(f"presence:{room_id}", self._load_snapshot, on_unwatched)
        self._room_id, self._db, self._watchers = room_id, db, watchers
        self._watched_members, self._registry = watched_members, watched_members.registry
        self._members: set[UUID] = set()
        self._position: int | None = None
        self._visible: dict[UUID, None] = {}
        """All visible members, in the order in which they became visible."""
        self._shown: dict[UUID, Presence] = {}
        """What was last sent, of those who are shown."""
        self._changed: set[UUID] = set()
        self._must_send_snapshot = self._is_stale = False
        self._loaded = asyncio.Event()
        self._topic = room_topic(room_id)
        self._loading: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._watchers.follow(self, self._topic)
        self._start_loading()

    def close(self) -> None:
        self._watchers.unfollow(self, [self._topic])
        if self._loading is not None:
            self._loading.cancel()
        for user_id in list(self._members):
            self._remove(user_id)
        self._watched_members.changed_feeds.discard(self)

    async def _load_snapshot(self) -> PresenceUpdate:
        await self._loaded.wait()
        return self._snapshot()

    # ------------------------------------------------------------------ members

    def on_message(self, frame: Frame) -> None:
        if kind_of_packed(frame.body) != MemberChanged.kind:
            return
        self._is_stale = True
        event = unpack(frame.body)
        if isinstance(event, MemberChanged) and event.change in LEAVING_CHANGES:
            self._remove(event.user_id)
        elif isinstance(event, MemberChanged) and event.change is MemberChange.JOINED:
            self._add(event.user_id)

    def on_missed(self, topic: str) -> None:
        self.on_resync()

    def on_resync(self, *, is_replaced: bool = False) -> None:
        self._is_stale = True
        self._start_loading()

    def position_of(self, topic: str) -> int | None:
        return self._position

    def _start_loading(self) -> None:
        if self._loading is None:
            self._loading = asyncio.create_task(self._load_members(), name=f"members {self._room_id}")

    async def _load_members(self) -> None:
        try:
            self._is_stale = True
            while self._is_stale:  # a membership changed while they were read, and the result may miss it
                self._is_stale = False
                found, self._position = await retry_until_success(self._read_members)
            for user_id in self._members - found:
                self._remove(user_id)
            for user_id in found - self._members:
                self._add(user_id)
            if not self._loaded.is_set():
                self._refresh_shown()
                self._loaded.set()
        finally:
            self._loading = None

    async def _read_members(self) -> tuple[set[UUID], int]:
        """The members, and the last seq of the room's log. The log is read first: a later event is a frame to come."""
        async with self._db.read() as session:
            tails = await event_log.tails(session, [self._room_id])
            return await queries.member_ids(session, self._room_id), tails.get(self._room_id, 0)

    def _add(self, user_id: UUID) -> None:
        self._members.add(user_id)
        self._watched_members.feeds_by_user[user_id].add(self)
        self.mark_changed(user_id)

    def _remove(self, user_id: UUID) -> None:
        self._members.discard(user_id)
        if feeds := self._watched_members.feeds_by_user.get(user_id):
            feeds.discard(self)
            if not feeds:
                del self._watched_members.feeds_by_user[user_id]
        self._visible.pop(user_id, None)
        if self._shown.pop(user_id, None):
            # An update of a user cannot say that they are no member any more. Only a snapshot can.
            self._must_send_snapshot = True
            self._watched_members.changed_feeds.add(self)

    # ------------------------------------------------------------------ what is shown

    def mark_changed(self, user_id: UUID) -> None:
        """The presence of this member may have changed."""
        self._changed.add(user_id)
        self._watched_members.changed_feeds.add(self)

    def publish(self) -> None:
        """Send what has changed since the last call, if anything."""
        if not self._loaded.is_set():
            return
        user_ids = self._refresh_shown()
        if self._must_send_snapshot:
            self._must_send_snapshot = False
            self.feed.change(self._snapshot())
        elif user_ids:
            self.feed.change(PresenceUpdate(self._room_id, user_ids, snapshot=False))

    def _snapshot(self) -> PresenceUpdate:
        return PresenceUpdate(self._room_id, tuple(self._shown), snapshot=True)

    def _refresh_shown(self) -> Sequence[UUID]:
        """Update what is shown of the changed members, and fill free places. Returns the users to send."""
        changed, self._changed = self._changed & self._members, set()
        updated = [user_id for user_id in changed if self._refresh_user(user_id)]
        free = min(MAX_VISIBLE_USERS, len(self._visible)) - len(self._shown)
        added = list(islice((user_id for user_id in self._visible if user_id not in self._shown), free))
        self._shown.update((user_id, self._presence_of(user_id)) for user_id in added)
        return [*updated, *added]

    def _refresh_user(self, user_id: UUID) -> bool:
        """Update what is shown of this member. Returns whether it has to be sent."""
        if not self._registry.is_visible(user_id):
            self._visible.pop(user_id, None)
            return self._shown.pop(user_id, None) is not None
        self._visible.setdefault(user_id)
        before, after = self._shown.get(user_id), self._presence_of(user_id)
        if before is None:
            return False  # not shown so far; `_refresh_shown` adds them if there is a free place
        self._shown[user_id] = after
        return before != after

    def _presence_of(self, user_id: UUID) -> Presence:
        """Without the last activity of an active user: it changes all the time and is not worth a payload."""
        presence = self._registry.presence_of(user_id)
        return replace(presence, last_active_at=None) if presence.state is PresenceState.ACTIVE else presence


class RoomTypingFeed:
    """The typing users of one room. `on_peer_typing` gets the messages of other processes."""

    def __init__(
        self,
        room_id: UUID,
        typing_users: TypingUsers,
        watchers: WatcherRegistry,
        on_peer_typing: Callable[[str], None],
        on_unwatched: Callable[[], None],
    ) -> None:
        self.feed = SnapshotFeed(f"typing:{room_id}", self._load_snapshot, on_unwatched)
        self._room_id, self._typing_users, self._watchers = room_id, typing_users, watchers
        self._on_peer_typing = on_peer_typing
        self._shown: Sequence[UUID] = ()
        self._shown_at = 0.0
        self._topics = [typing_topic(room_id), room_topic(room_id)]

    def open(self) -> None:
        self._shown = self._typing_users.user_ids_in(self._room_id)
        for topic in self._topics:
            self._watchers.follow(self, topic)

    def close(self) -> None:
        self._watchers.unfollow(self, self._topics)

    def on_message(self, frame: Frame) -> None:
        if frame.topic == self._topics[0]:
            self._on_peer_typing(frame.body)
        elif self._typing_users.user_ids_in(self._room_id) and kind_of_packed(frame.body) in TYPING_ENDING_KINDS:
            end_typing(self._typing_users, unpack(frame.body))

    def on_missed(self, topic: str) -> None:
        """Nothing to do: what was missed is repeated soon, or expires."""

    def on_resync(self, *, is_replaced: bool = False) -> None:
        """Nothing to do: what was missed is repeated soon, or expires."""

    def position_of(self, topic: str) -> int | None:
        return None

    def publish(self, clock: float) -> None:
        """Send the typing users if they have changed, or if the last payload expires before they do."""
        user_ids = self._typing_users.user_ids_in(self._room_id)
        # Somebody has refreshed: they type beyond the time that the last payload promised.
        is_refreshed = self._typing_users.expires_at(self._room_id) > self._shown_at + TYPING_EXPIRY_SECONDS
        must_repeat = user_ids and is_refreshed and clock - self._shown_at >= TYPING_REPEAT_SECONDS
        if user_ids != self._shown or must_repeat:
            self._shown, self._shown_at = user_ids, clock
            self.feed.change(TypingUpdate(self._room_id, user_ids))

    async def _load_snapshot(self) -> TypingUpdate:
        # What was last sent, not the current users: a change follows at the next tick and must not be sent twice.
        return TypingUpdate(self._room_id, self._shown)


TYPING_ENDING_KINDS = frozenset({MessageCreated.kind, MemberChanged.kind})


def end_typing(typing_users: TypingUsers, event: Event) -> None:
    """The author of a new message stops typing, and so does a member who may not send messages any more."""
    if isinstance(event, MessageCreated) and event.fresh is not None and event.fresh.author_id is not None:
        typing_users.stop(event.room_id, event.fresh.author_id)
    elif isinstance(event, MemberChanged) and (event.change in SILENCING_CHANGES or event.role == RoomRole.READ_ONLY):
        typing_users.stop(event.room_id, event.user_id)
