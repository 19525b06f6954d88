"""One open inbox: the unread counts of all of a user's rooms and threads, as a snapshot followed by changes.

An inbox follows the user's own topic and the topics of all their rooms. A frame only says which room to count again,
and which thread.
Every value that is sent is counted in the database and absolute, so a frame that is lost, repeated or late does no
harm, and nothing needs to be stored or resumed. After a resync the inbox counts all rooms again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias
from uuid import UUID

from roomcast.accounts.policy import SessionEndReason
from roomcast.core.db import Database, is_outage
from roomcast.core.events import kind_of_packed, unpack
from roomcast.live.inbox_reconciler import InboxReconciler
from roomcast.live.inbox_threads import CountScope, UnreadThreads
from roomcast.live.topics import room_topic, user_topic
from roomcast.messages.events import thread_of_packed
from roomcast.realtime.bus.bus import Frame
from roomcast.realtime.outbox import Outbox
from roomcast.realtime.retry import retry_until_success
from roomcast.realtime.watchers import WatcherRegistry
from roomcast.receipts import queries, threads
from roomcast.receipts.events import ReadMarkerMoved, ReadStateChanged
from roomcast.receipts.queries import Fingerprint, RoomReadState, UnreadTotals
from roomcast.receipts.threads import ThreadUnread
from roomcast.rooms.events import RoomChanged

COALESCE_SECONDS = 0.25
"""An inbox waits this long after a change and sends what has changed by then: at most four batches a second."""

logger = logging.getLogger("roomcast.inbox")


class RoomListChange(StrEnum):
    ADDED = "ADDED"
    REMOVED = "REMOVED"
    UPDATED = "UPDATED"


@dataclass(frozen=True, slots=True)
class FullUpdate:
    """All of the user's rooms, and the number of their unread threads. Replaces what the client knew."""

    rooms: Sequence[RoomReadState]
    totals: UnreadTotals
    unread_threads: int


@dataclass(frozen=True, slots=True)
class CountsUpdate:
    """The counts of one room have changed."""

    room: RoomReadState
    totals: UnreadTotals


@dataclass(frozen=True, slots=True)
class ListUpdate:
    """A room has come into the list, has left it, or looks different in it."""

    room_id: UUID
    change: RoomListChange


@dataclass(frozen=True, slots=True)
class ThreadUpdate:
    """The unread replies of one thread have changed. `unread_threads`: how many threads have unread replies now."""

    root_id: UUID
    unread_threads: int


InboxUpdate: TypeAlias = FullUpdate | CountsUpdate | ListUpdate | ThreadUpdate


Counts: TypeAlias = tuple[dict[UUID, RoomReadState], list[ThreadUnread]]
"""The read states of rooms by their ids, and unread threads."""


class InboxServices(NamedTuple):
    """What all inboxes of a process share."""

    db: Database
    watchers: WatcherRegistry
    reconciler: InboxReconciler


class Inbox:
    """One subscription to an inbox.

    `render` makes the payload of an update, None if it would show what the user may not read any more. `send` offers a
    payload to the socket and returns False while the socket takes no bytes.
    """

    def __init__(
        self,
        services: InboxServices,
        user_id: UUID,
        render: Callable[[InboxUpdate], Awaitable[bytes | None]],
        send: Callable[[bytes], bool],
    ) -> None:
        self._services, self.user_id, self._render, self._send = services, user_id, render, send
        self.fingerprint: Fingerprint | None = None
        self._followed: set[str] = set()
        self._known: dict[UUID, RoomReadState] = {}
        self._threads = UnreadThreads()
        self._dirty: set[UUID] = set()
        """Rooms to count again."""
        self._updated: set[UUID] = set()
        """Rooms that may look different in the list: another name or other preferences."""
        self._needs_recount = self._needs_snapshot = self._is_stale = False
        self._has_changes = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, outbox: Outbox, on_failure: Callable[[], None]) -> None:
        """Send the snapshot, then the changes. `on_failure` is called if an unexpected error ends the inbox."""
        self._task = asyncio.create_task(self._run(outbox, on_failure), name="inbox")
        self._services.reconciler.add(self)

    def stop(self) -> None:
        self._services.watchers.unfollow(self, self._followed)
        self._services.reconciler.discard(self)
        if self._task is not None:
            self._task.cancel()

    def end(self, _reason: SessionEndReason) -> None:
        """Do nothing: an inbox has no event that says why it ends."""

    def announced_position(self) -> None:
        """None: an inbox is not resumed."""

    # ------------------------------------------------------------------ watcher of the topics

    def on_message(self, frame: Frame) -> None:
        kind = kind_of_packed(frame.body)
        if kind == ReadMarkerMoved.kind:  # the user's own read position arrives as ReadStateChanged
            return
        if (root_id := thread_of_packed(frame.body)) is not None:
            self._threads.mark(root_id)
        if frame.topic == user_topic(self.user_id):
            room_id = unpack(frame.body).room_id
            self._follow([room_id])  # the user may have joined it just now
        else:
            room_id = _id_in(frame.topic)
        self._dirty.add(room_id)
        event = unpack(frame.body) if kind == ReadStateChanged.kind else None
        if kind == RoomChanged.kind or (isinstance(event, ReadStateChanged) and event.preferences):
            self._updated.add(room_id)
        self._has_changes.set()

    def on_missed(self, topic: str) -> None:
        # The missed event may have been a new name of the room.
        room_id = _id_in(topic)
        self._dirty.add(room_id)
        self._updated.add(room_id)
        self._threads.mark_room(room_id)
        self._has_changes.set()

    def on_resync(self, *, is_replaced: bool = False) -> None:
        self._needs_recount = True
        self._is_stale |= is_replaced
        self._has_changes.set()

    def position_of(self, topic: str) -> int | None:
        if self._is_stale:  # what was counted before says nothing of the length of the new log
            return None
        known = self._known.get(_id_in(topic))
        return known.last_seq if known is not None else None

    def _follow(self, room_ids: Collection[UUID]) -> bool:
        """Follow the topics of these rooms. Returns whether one of them is new."""
        new = {room_topic(room_id) for room_id in room_ids} - self._followed
        for topic in new:
            self._followed.add(topic)
            self._services.watchers.follow(self, topic)
        return bool(new)

    # ------------------------------------------------------------------ the task

    async def _run(self, outbox: Outbox, on_failure: Callable[[], None]) -> None:
        try:
            own_topic = user_topic(self.user_id)
            self._followed.add(own_topic)
            self._services.watchers.follow(self, own_topic)
            found, unread_threads = await self._count_all()
            self._threads.update(unread_threads, None)
            await self._send_update(outbox, self._snapshot(found))
            while not outbox.closed:
                await self._has_changes.wait()
                await asyncio.sleep(COALESCE_SECONDS)
                self._has_changes.clear()
                for update in await self._next_updates():
                    await self._send_update(outbox, update)
        except Exception:
            logger.exception("an inbox failed")
            on_failure()

    async def _next_updates(self) -> Sequence[InboxUpdate]:
        # Taken before the first wait: what is marked while the database answers belongs to the next batch.
        dirty, updated, needs_recount, was_stale = self._dirty, self._updated, self._needs_recount, self._is_stale
        needs_snapshot, scope = self._needs_snapshot, self._threads.take_marked()
        self._dirty, self._updated, self._needs_recount, self._needs_snapshot = set(), set(), False, False
        found, unread_threads = await (self._count_all() if needs_recount else self._count(dirty, scope))
        changed_threads = self._threads.update(unread_threads, None if needs_recount else scope)
        updates: list[InboxUpdate] = []
        if needs_recount:
            self._is_stale &= self._needs_recount  # another resync may have come during the count
            known, rooms = self._known, found.keys() | self._known.keys()
            # A log that moved without a frame may hold a new name. Preferences are in no log and are compared.
            moved = {
                room_id
                for room_id in found.keys() & known.keys()
                if found[room_id].last_seq != known[room_id].last_seq
                or found[room_id].preferences != known[room_id].preferences
            }
            updated |= moved - (set() if was_stale else dirty)
            if needs_snapshot or any(found.get(room_id) != known.get(room_id) for room_id in rooms - dirty):
                updates.append(self._snapshot(found))
        for room_id in sorted(dirty | updated):
            updates += self._room_updates(room_id, found, room_id in updated)
        return updates + [ThreadUpdate(root_id, self._threads.total) for root_id in changed_threads]

    def _snapshot(self, found: dict[UUID, RoomReadState]) -> FullUpdate:
        self._known = found
        return FullUpdate(list(found.values()), queries.sum_unread(found.values()), self._threads.total)

    def _room_updates(self, room_id: UUID, found: dict[UUID, RoomReadState], is_updated: bool) -> Sequence[InboxUpdate]:
        before, after = self._known.get(room_id), found.get(room_id)
        if (before is None) != (after is None):  # the user follows threads only in rooms that they are a member of
            self._threads.mark_room(room_id)
            self._has_changes.set()
        if after is None:
            return [ListUpdate(room_id, RoomListChange.REMOVED)] if self._known.pop(room_id, None) else []
        self._known[room_id] = after
        updates: list[InboxUpdate] = []
        if before is None or is_updated:
            change = RoomListChange.ADDED if before is None else RoomListChange.UPDATED
            updates.append(ListUpdate(room_id, change))
        if before != after:
            updates.append(CountsUpdate(after, queries.sum_unread(self._known.values())))
        return updates

    async def _count_all(self) -> Counts:
        """Count all rooms, each after its topic is followed: what happens in between arrives as a frame."""

        async def read() -> list[UUID]:
            async with self._services.db.read() as session:
                return await queries.room_ids_of_user(session, self.user_id)

        self._follow(await retry_until_success(read, worth=is_outage))
        found = await self._count(None, None)
        while self._follow(found[0]):  # the user joined a room between the two reads, and the frame may be lost
            found = await self._count(None, None)
        return found

    async def _count(self, room_ids: Collection[UUID] | None, scope: CountScope | None) -> Counts:
        """The counts of these rooms and of the unread threads in the scope, of all if None."""

        async def read() -> Counts:
            async with self._services.db.read() as session:
                if room_ids is None:  # before the counts, which must not be older
                    self.fingerprint = (await queries.fingerprints(session, [self.user_id])).get(self.user_id, ())
                rooms = await queries.read_states_of_user(session, self.user_id, room_ids)
                unread_threads = await threads.unread_threads(session, self.user_id, *(scope or (None, None)))
            return {room.room_id: room for room in rooms}, unread_threads

        return await retry_until_success(read, worth=is_outage)

    async def _send_update(self, outbox: Outbox, update: InboxUpdate) -> None:
        payload = await retry_until_success(lambda: self._render(update), worth=is_outage)
        if payload is None:
            # The user has lost the room since it was counted. A snapshot shows what is left.
            self._needs_recount = self._needs_snapshot = True
            self._has_changes.set()
            return
        while not self._send(payload):
            if outbox.closed:
                return
            await outbox.idle()


def _id_in(topic: str) -> UUID:
    return UUID(topic.partition(":")[2])
