"""Rooms that somebody here watches for who is there and who types: what is shown of them, and when it has changed.

However many come and go at once, a room says so in one payload now and then, and about no more people than it shows.
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
from roomcast.messages.events import MessageCreated
from roomcast.presence import queries
from roomcast.presence.people import People, Presence, PresenceState
from roomcast.presence.policy import MAX_SHOWN, TYPING_EXPIRY_SECONDS, TYPING_REFRESH_SECONDS
from roomcast.presence.typing import TypingUsers
from roomcast.realtime.bus.bus import Frame
from roomcast.realtime.retry import retry_until_success
from roomcast.realtime.snapshot_feed import SnapshotFeed
from roomcast.realtime.watchers import WatcherRegistry
from roomcast.rooms.events import MemberChange, MemberChanged
from roomcast.rooms.models import RoomRole

GONE = frozenset({MemberChange.LEFT, MemberChange.REMOVED})
SILENCED = GONE | {MemberChange.MUTED}

REPEAT_SECONDS = TYPING_EXPIRY_SECONDS - TYPING_REFRESH_SECONDS
"""Who still types is said again before what was said last runs out."""


@dataclass(frozen=True, slots=True)
class PresenceUpdate:
    """These people of a room, as they are when it is executed; `snapshot`: and nobody else."""

    room_id: UUID
    user_ids: Sequence[UUID]
    snapshot: bool


@dataclass(frozen=True, slots=True)
class TypingUpdate:
    room_id: UUID
    user_ids: Sequence[UUID]


class WatchedMembers:
    """Which watched rooms a person is a member of; `touched`: the rooms with something to tell."""

    def __init__(self, people: People) -> None:
        self.people = people
        self.rooms_of: defaultdict[UUID, set[RoomPresenceFeed]] = defaultdict(set)
        self.touched: set[RoomPresenceFeed] = set()

    def tell(self) -> None:
        """Let the rooms say what has changed of their people."""
        changed, self.people.changed = self.people.changed, set()
        for user_id in changed & self.rooms_of.keys():
            for room in self.rooms_of[user_id]:
                room.touch(user_id)
        touched, self.touched = self.touched, set()
        for room in touched:
            room.tell()


class RoomPresenceFeed:
    """The people of one room who are not OFFLINE, at most MAX_SHOWN: where one of those goes, another comes in."""

    def __init__(
        self, room_id: UUID, attendance: WatchedMembers, db: Database, watch: WatcherRegistry, over: Callable[[], None]
    ) -> None:
        self.state = SnapshotFeed(f"presence:{room_id}", self._whole, over)
        self._room_id, self._db, self._watch = room_id, db, watch
        self._attendance, self._people = attendance, attendance.people
        self._members: set[UUID] = set()
        self._position: int | None = None
        self._here: dict[UUID, None] = {}
        self._shown: dict[UUID, Presence] = {}
        self._touched: set[UUID] = set()
        self._owes_snapshot = self._is_stale = False
        self._loaded = asyncio.Event()
        self._topic = f"room:{room_id}"
        self._loading: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._watch.follow(self, self._topic)
        self._load_soon()

    def close(self) -> None:
        self._watch.unfollow(self, [self._topic])
        if self._loading is not None:
            self._loading.cancel()
        for user_id in list(self._members):
            self._remove(user_id)
        self._attendance.touched.discard(self)

    async def _whole(self) -> PresenceUpdate:
        await self._loaded.wait()
        return self._snapshot()

    # ------------------------------------------------------------------ who is a member

    def on_message(self, frame: Frame) -> None:
        if kind_of_packed(frame.body) != MemberChanged.kind:
            return
        self._is_stale = True
        event = unpack(frame.body)
        if isinstance(event, MemberChanged) and event.change in GONE:
            self._remove(event.user_id)
        elif isinstance(event, MemberChanged) and event.change is MemberChange.JOINED:
            self._add(event.user_id)

    def on_missed(self, topic: str) -> None:
        self.on_resync()

    def on_resync(self) -> None:
        self._is_stale = True
        self._load_soon()

    def position_of(self, topic: str) -> int | None:
        return self._position

    def _load_soon(self) -> None:
        if self._loading is None:
            self._loading = asyncio.create_task(self._load(), name=f"members {self._room_id}")

    async def _load(self) -> None:
        try:
            await self._reload()
        finally:
            self._loading = None

    async def _reload(self) -> None:
        self._is_stale = True
        while self._is_stale:  # somebody came or went while they were read
            self._is_stale = False
            found, self._position = await retry_until_success(self._read)
        for user_id in self._members - found:
            self._remove(user_id)
        for user_id in found - self._members:
            self._add(user_id)
        if not self._loaded.is_set():
            self._look()
            self._loaded.set()

    async def _read(self) -> tuple[set[UUID], int]:
        """The members, and the end of the room's log at that moment."""
        async with self._db.read() as session:
            tails = await event_log.tails(session, [self._room_id])
            return await queries.member_ids(session, self._room_id), tails.get(self._room_id, 0)

    def _add(self, user_id: UUID) -> None:
        self._members.add(user_id)
        self._attendance.rooms_of[user_id].add(self)
        self.touch(user_id)

    def _remove(self, user_id: UUID) -> None:
        self._members.discard(user_id)
        if rooms := self._attendance.rooms_of.get(user_id):
            rooms.discard(self)
            if not rooms:
                del self._attendance.rooms_of[user_id]
        self._here.pop(user_id, None)
        if self._shown.pop(user_id, None):  # no change of a person says that they are no member any more
            self._owes_snapshot = True
            self._attendance.touched.add(self)

    # ------------------------------------------------------------------ what is shown

    def touch(self, user_id: UUID) -> None:
        """Something else may be shown of this member."""
        self._touched.add(user_id)
        self._attendance.touched.add(self)

    def tell(self) -> None:
        """Say what has changed since the last time, if anything."""
        if not self._loaded.is_set():
            return
        moved = self._look()
        if self._owes_snapshot:
            self._owes_snapshot = False
            self.state.change(self._snapshot())
        elif moved:
            self.state.change(PresenceUpdate(self._room_id, moved, snapshot=False))

    def _snapshot(self) -> PresenceUpdate:
        return PresenceUpdate(self._room_id, tuple(self._shown), snapshot=True)

    def _look(self) -> Sequence[UUID]:
        """Look at those who were touched; who is to be told of."""
        touched, self._touched = self._touched & self._members, set()
        moved = [user_id for user_id in touched if self._has_moved(user_id)]
        places = min(MAX_SHOWN, len(self._here)) - len(self._shown)
        new = list(islice((user_id for user_id in self._here if user_id not in self._shown), places))
        self._shown.update((user_id, self._seen(user_id)) for user_id in new)
        return [*moved, *new]

    def _has_moved(self, user_id: UUID) -> bool:
        if not self._people.is_shown(user_id):
            self._here.pop(user_id, None)
            return self._shown.pop(user_id, None) is not None
        self._here.setdefault(user_id)
        before, after = self._shown.get(user_id), self._seen(user_id)
        if before is None:
            return False  # there may be a place for them
        self._shown[user_id] = after
        return before != after

    def _seen(self, user_id: UUID) -> Presence:
        """Who is active is so at every moment, which is no news."""
        found = self._people.presence(user_id)
        return replace(found, last_active_at=None) if found.state is PresenceState.ACTIVE else found


class RoomTypingFeed:
    """Who types in one room. `hear` gets what other processes say of it, `happened` what ends somebody's typing."""

    def __init__(
        self,
        room_id: UUID,
        typists: TypingUsers,
        watch: WatcherRegistry,
        hear: Callable[[str], None],
        over: Callable[[], None],
    ) -> None:
        self.state = SnapshotFeed(f"typing:{room_id}", self._whole, over)
        self._room_id, self._typists, self._watch, self._hear = room_id, typists, watch, hear
        self._said: Sequence[UUID] = ()
        self._said_at = 0.0
        self._topics = [topic_of_typing(room_id), f"room:{room_id}"]

    def open(self) -> None:
        self._said = self._typists.of(self._room_id)
        for topic in self._topics:
            self._watch.follow(self, topic)

    def close(self) -> None:
        self._watch.unfollow(self, self._topics)

    def on_message(self, frame: Frame) -> None:
        if frame.topic == self._topics[0]:
            self._hear(frame.body)
        elif self._typists.of(self._room_id) and kind_of_packed(frame.body) in ENDS_TYPING:
            end_typing(self._typists, unpack(frame.body))

    def on_missed(self, topic: str) -> None:
        """It is said again soon, or runs out."""

    def on_resync(self) -> None:
        """What was missed is said again soon, or runs out."""

    def position_of(self, topic: str) -> int | None:
        return None

    def tell(self, clock: float) -> None:
        """Say who types, if these are others than before, or if what was said runs out."""
        typists = self._typists.of(self._room_id)
        if typists != self._said or (typists and self._runs_out(clock)):
            self._said, self._said_at = typists, clock
            self.state.change(TypingUpdate(self._room_id, typists))

    def _runs_out(self, clock: float) -> bool:
        """Whether what was said last holds for less long than somebody types, and soon ends."""
        outlived = self._typists.until(self._room_id) > self._said_at + TYPING_EXPIRY_SECONDS
        return outlived and clock - self._said_at >= REPEAT_SECONDS

    async def _whole(self) -> TypingUpdate:
        return TypingUpdate(self._room_id, self._said)  # what is new follows at once, and is not said twice


def topic_of_typing(room_id: UUID) -> str:
    return f"typing:{room_id}"


ENDS_TYPING = frozenset({MessageCreated.kind, MemberChanged.kind})


def end_typing(typists: TypingUsers, event: Event) -> None:
    """Who has said it types it no more, nor who may not say anything."""
    if isinstance(event, MessageCreated) and event.fresh is not None and event.fresh.author_id is not None:
        typists.end(event.room_id, event.fresh.author_id)
    elif isinstance(event, MemberChanged) and (event.change in SILENCED or event.role == RoomRole.READ_ONLY):
        typists.end(event.room_id, event.user_id)
