"""A person's inbox: all their rooms at a glance, a snapshot and then what changes, in absolute values.

Nothing of it is stored or resumed. What happens in a room only says where to look; what is shown is counted anew. So a
frame that is lost, repeated or late does no harm, and after a doubt a fresh snapshot replaces everything.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Annotated, Any, NoReturn, TypeAlias
from uuid import UUID

import orjson
import strawberry

from roomcast.api.context import Caller, Context, Info
from roomcast.api.execution.documents import Operation
from roomcast.api.execution.engine import Engine, execute, raise_outage, result_payload
from roomcast.api.execution.requests import Request
from roomcast.api.schema.inbox.types import InboxSnapshot, RoomListChange, RoomListChanged, RoomUnread, UnreadChanged
from roomcast.core.actor import Actor
from roomcast.core.db import is_outage
from roomcast.core.events import kind_of_packed, unpack
from roomcast.live.topics import user_topic
from roomcast.realtime.bus.bus import Frame
from roomcast.realtime.outbox import Outbox
from roomcast.realtime.retry import retry_until_success
from roomcast.receipts import queries
from roomcast.receipts.events import MembershipStateChanged, ReadMarkerMoved
from roomcast.receipts.queries import Fingerprint, Unread
from roomcast.rooms.events import RoomChanged

COALESCE_SECONDS = 0.25
"""An inbox speaks at most four times a second, however much happens."""

InboxEvent: TypeAlias = Annotated[InboxSnapshot | UnreadChanged | RoomListChanged, strawberry.union("InboxEvent")]

LIVE = Caller(request_id="live")

_log = logging.getLogger("roomcast.inbox")


class InboxStream:
    """What the subscription's field answers with: this viewer may have an inbox. `address`: that of the server."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __aiter__(self) -> NoReturn:
        raise TypeError("an inbox is run by roomcast's socket")


@strawberry.type
class Subscription:
    @strawberry.subscription(
        graphql_type=InboxEvent,
        description="All of the viewer's rooms at a glance: a snapshot first, then absolute changes, so nothing needs "
        "resuming.",
    )
    async def inbox_events(self, info: Info) -> InboxStream:
        _ = info.context.actor
        return InboxStream(info.context.base_url)


class Inbox:
    """One subscription to an inbox. `send` puts a payload into its frame and offers it to the socket."""

    def __init__(
        self,
        engine: Engine,
        operation: Operation,
        request: Request,
        stream: InboxStream,
        viewer: Actor,
        send: Callable[[bytes], bool],
    ) -> None:
        self._backend, self._viewer, self._send = engine.backend, viewer, send
        self._caller = replace(LIVE, origin=stream.address)
        self._executor = engine.executor(operation, request.variables, self._context())
        self.places: Fingerprint | None = None
        self._followed: set[str] = set()
        self._known: dict[UUID, Unread] = {}
        self._dirty: set[UUID] = set()
        self._updated: set[UUID] = set()
        self._in_doubt = False
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, outbox: Outbox, failed: Callable[[], None]) -> None:
        """`failed` is called when it cannot go on, which nobody expects."""
        self._task = asyncio.create_task(self._guarded(outbox, failed), name="inbox")
        self._backend.inbox_reconciler.add(self)

    def stop(self) -> None:
        self._backend.watchers.unfollow(self, self._followed)
        self._backend.inbox_reconciler.discard(self)
        if self._task is not None:
            self._task.cancel()

    @property
    def user_id(self) -> UUID:
        return self._viewer.user_id

    # ------------------------------------------------------------------ what happens

    def on_message(self, frame: Frame) -> None:
        kind = kind_of_packed(frame.body)
        if kind == ReadMarkerMoved.kind:  # one's own comes as PlaceChanged
            return
        room_id = self._room_of(frame)
        self._dirty.add(room_id)
        if kind == RoomChanged.kind or (kind == MembershipStateChanged.kind and _of_preferences(frame)):
            self._updated.add(room_id)
        self._woken.set()

    def missed(self, topic: str) -> None:
        """What was not heard may have been a new name."""
        room_id = UUID(topic.partition(":")[2])
        self._dirty.add(room_id)
        self._updated.add(room_id)
        self._woken.set()

    def on_resync(self) -> None:
        self._in_doubt = True
        self._woken.set()

    def position_of(self, topic: str) -> int | None:
        known = self._known.get(UUID(topic.partition(":")[2]))
        return known.last_seq if known is not None else None

    def _room_of(self, frame: Frame) -> UUID:
        name, _, id_ = frame.topic.partition(":")
        if name == "room":
            return UUID(id_)
        room_id = unpack(frame.body).room_id
        self._follow([room_id])
        return room_id

    def _follow(self, room_ids: Collection[UUID]) -> None:
        for topic in {f"room:{room_id}" for room_id in room_ids} - self._followed:
            self._followed.add(topic)
            self._backend.watchers.follow(self, topic)

    # ------------------------------------------------------------------ what is said of it

    async def _guarded(self, outbox: Outbox, failed: Callable[[], None]) -> None:
        try:
            await self._run(outbox)
        except Exception:
            _log.exception("an inbox failed")
            failed()

    async def _run(self, outbox: Outbox) -> None:
        own = user_topic(self._viewer.user_id)
        self._followed.add(own)
        self._backend.watchers.follow(self, own)
        await self._follow_all()
        await self._say(outbox, self._snapshot(await self._count(None)))
        while not outbox.closed:
            await self._woken.wait()
            await asyncio.sleep(COALESCE_SECONDS)
            self._woken.clear()
            for event in await self._news():
                await self._say(outbox, event)

    async def _news(self) -> Sequence[Any]:
        dirty, updated, in_doubt = self._dirty, self._updated, self._in_doubt
        self._dirty, self._updated, self._in_doubt = set(), set(), False
        if in_doubt:  # somebody may have been let into a room without hearing of it
            await self._follow_all()
        found = await self._count(None if in_doubt else dirty)
        news: list[Any] = []
        if in_doubt:  # what moved a log unheard may have been a new name; no log tells of preferences
            updated |= self._moved(found) - dirty
            if self._differing(found) - dirty:
                news.append(self._snapshot(found))
        for room_id in sorted(dirty | updated):
            news += self._changes(room_id, found, room_id in updated)
        return news

    def _differing(self, found: dict[UUID, Unread]) -> set[UUID]:
        rooms = found.keys() | self._known.keys()
        return {room_id for room_id in rooms if found.get(room_id) != self._known.get(room_id)}

    def _moved(self, found: dict[UUID, Unread]) -> set[UUID]:
        known = self._known
        return {room_id for room_id in found.keys() & known.keys() if _has_moved(known[room_id], found[room_id])}

    def _snapshot(self, found: dict[UUID, Unread]) -> InboxSnapshot:
        self._known = found
        totals = queries.total(found.values())
        return InboxSnapshot(
            rooms=[RoomUnread.of(room) for room in found.values()],
            total_unread=totals.unread,
            total_mentions=totals.mentions,
        )

    def _changes(self, room_id: UUID, found: dict[UUID, Unread], updated: bool) -> Sequence[Any]:
        before, now = self._known.get(room_id), found.get(room_id)
        if now is None:
            return [RoomListChanged.of(room_id, RoomListChange.REMOVED)] if self._known.pop(room_id, None) else []
        self._known[room_id] = now
        said: list[Any] = []
        if before is None or updated:
            change = RoomListChange.ADDED if before is None else RoomListChange.UPDATED
            said.append(RoomListChanged.of(room_id, change))
        if before != now:
            totals = queries.total(self._known.values())
            said.append(
                UnreadChanged(room=RoomUnread.of(now), total_unread=totals.unread, total_mentions=totals.mentions)
            )
        return said

    async def _count(self, among: Collection[UUID] | None) -> dict[UUID, Unread]:
        async def ask() -> dict[UUID, Unread]:
            async with self._backend.db.read() as session:
                rooms = await queries.unread_of(session, self.user_id, among)
                if among is None:
                    self.places = (await queries.fingerprints(session, [self.user_id])).get(self.user_id, ())
            return {room.room_id: room for room in rooms}

        return await retry_until_success(ask, worth=is_outage)

    async def _follow_all(self) -> None:
        self._follow(await retry_until_success(self._room_ids, worth=is_outage))

    async def _room_ids(self) -> list[UUID]:
        async with self._backend.db.read() as session:
            return await queries.room_ids_of(session, self._viewer.user_id)

    async def _say(self, outbox: Outbox, event: Any) -> None:
        payload = await retry_until_success(lambda: self._executed(event), worth=is_outage)
        while not self._send(payload):
            if outbox.closed:
                return
            await outbox.idle()

    async def _executed(self, event: Any) -> bytes:
        context = self._context()
        try:
            executor = self._executor.build_per_event_executor(event)
            executor._relevant_sub_fields = {}  # shared by the copies, it would keep some of every event
            executor.context_value = context
            result = await execute(executor)
        finally:
            await context.close()
        raise_outage(result.errors)
        return orjson.dumps(result_payload(result, LIVE.request_id))

    def _context(self) -> Context:
        return Context(self._backend, self._viewer, self._caller)


def _has_moved(before: Unread, now: Unread) -> bool:
    return now.last_seq > before.last_seq or now.preferences != before.preferences


def _of_preferences(frame: Frame) -> bool:
    event = unpack(frame.body)
    return isinstance(event, MembershipStateChanged) and event.preferences
