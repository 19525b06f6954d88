"""A database in memory: rooms, members, sessions. Each query may fail, hang, be slow or be cancelled.

The product's SQL is replaced where a query function takes its session; all above the queries is the product's own.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar, cast
from unittest.mock import patch
from uuid import UUID

from roomcast.accounts import queries as accounts
from roomcast.accounts.models import Session, SessionState, UserRole
from roomcast.core import event_log
from roomcast.core.clock import now
from roomcast.core.epoch import Epoch
from roomcast.core.events import Event
from roomcast.core.outages import OutageLog
from roomcast.messages.events import MessageCreated
from roomcast.receipts import queries as receipts
from roomcast.receipts import threads
from roomcast.receipts.queries import RoomReadState
from roomcast.receipts.threads import ThreadUnread
from roomcast.rooms import queries as rooms
from roomcast.rooms.events import MemberChange, MemberChanged
from roomcast.rooms.models import Room
from roomcast.rooms.queries import UserAndRoom
from tests.simulation.faults import Faults
from tests.simulation.truth import Fact, InMemoryLog

Answer = TypeVar("Answer")

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
"""A fact's time is as many seconds later as its id says, so that clients recognise it."""


@dataclass(slots=True)
class InMemoryStore:
    """What is committed. `marks`: up to where a person (second) has read a room (first), and `thread_marks` the room's
    thread. `thread_changes`: how often each person has read a thread. `timeline`: as of PostgreSQL, now and when the
    epoch began. None for a database that has none."""

    logs: dict[UUID, InMemoryLog] = field(default_factory=dict)
    sessions: dict[UUID, Session] = field(default_factory=dict)
    marks: dict[tuple[UUID, UUID], int] = field(default_factory=dict)
    thread_marks: dict[tuple[UUID, UUID], int] = field(default_factory=dict)
    thread_changes: dict[UUID, int] = field(default_factory=dict)
    epoch: UUID = UUID(int=1)
    timeline: int | None = None
    epoch_timeline: int | None = None

    def fail_over(self) -> None:
        """Another timeline, where the database has timelines."""
        if self.timeline is not None:
            self.timeline += 1

    def open_session(self, user_id: UUID, session_id: UUID) -> None:
        expires = BEGINNING + timedelta(days=9999)
        self.sessions[session_id] = Session(
            id=session_id, user_id=user_id, created_at=now(), last_seen_at=now(), expires_at=expires
        )

    def unread(self, user_id: UUID) -> list[RoomReadState]:
        return [
            self._unread(room_id, user_id)
            for room_id, log_ in sorted(self.logs.items())
            if log_.exists and str(user_id) in log_.members
        ]

    def places(self, user_id: UUID) -> tuple[Any, ...]:
        """Where this person is a member, and since when, and how often they have read a thread."""
        rooms = tuple(
            (room_id, self._joined_at(room_id, user_id))
            for room_id, log_ in sorted(self.logs.items())
            if str(user_id) in log_.members
        )
        return (*rooms, self.thread_changes.get(user_id)) if rooms else ()

    def _joined_at(self, room_id: UUID, user_id: UUID) -> int:
        return max((fact.seq for fact in self.logs[room_id].facts if fact.person == str(user_id)), default=0)

    def read_thread(self, room_id: UUID, user_id: UUID) -> None:
        self.thread_marks[room_id, user_id] = self.logs[room_id].tail
        self.thread_changes[user_id] = self.thread_changes.get(user_id, 0) + 1

    def unread_threads(self, user_id: UUID) -> list[ThreadUnread]:
        """Each room has one thread, which all its members follow."""
        counts = {room.room_id: self._unread_replies(room.room_id, user_id) for room in self.unread(user_id)}
        return [ThreadUnread(thread_of(id_), id_, True, count) for id_, count in counts.items() if count]

    def _unread_replies(self, room_id: UUID, user_id: UUID) -> int:
        log_ = self.logs[room_id]
        after = max(self._joined_at(room_id, user_id), min(self.thread_marks.get((room_id, user_id), 0), log_.tail))
        return sum(is_reply(fact) and fact.seq > after for fact in log_.facts)

    def _unread(self, room_id: UUID, user_id: UUID) -> RoomReadState:
        mark, facts = self.marks.get((room_id, user_id), 0), self.logs[room_id].facts
        count = sum(fact.kind == "message" and not is_reply(fact) and fact.seq > mark for fact in facts)
        return RoomReadState(room_id, mark, min(count, 100), count > 100, 0, len(facts))


class FakeSession:
    """A transaction: what the fake queries get where the product's get an AsyncSession."""

    def __init__(self, store: InMemoryStore, faults: Faults) -> None:
        self._store, self._faults = store, faults

    async def ask(self, question: Callable[[InMemoryStore], Answer]) -> Answer:
        await self._faults.ask_database()
        self._faults.maybe_defect()
        answer = question(self._store)
        await self._faults.answer_from_database()
        return answer


class FakeDatabase:
    """`core.db.Database`, as far as sockets, inboxes and the source of the hub use it."""

    is_sqlite = False
    answer_seconds = 3.0
    outages = OutageLog()

    def __init__(self, store: InMemoryStore, faults: Faults) -> None:
        self._store, self._faults = store, faults

    @asynccontextmanager
    async def read(self) -> AsyncIterator[FakeSession]:
        await self._faults.ask_database()
        try:
            yield FakeSession(self._store, self._faults)
        finally:  # closing a session that was cancelled or has failed may fail, too
            await self._faults.answer_from_database()


class SimulatedEpoch(Epoch):
    """The product's epoch of one process; only the statement that begins a new one is replaced."""

    def __init__(self, store: InMemoryStore, faults: Faults, changed: Callable[[], None]) -> None:
        super().__init__(cast("Any", FakeDatabase(store, faults)), changed)
        self._store, self._faults = store, faults

    async def load(self) -> None:
        self.current = self._store.epoch
        self._known.add(self.current)

    async def _begin(self) -> UUID:
        await self._faults.ask_database()
        if self._store.epoch in self._known:
            self._store.epoch = UUID(int=self._store.epoch.int + 1)
            self._store.epoch_timeline = self._store.timeline
        found = self._store.epoch
        await self._faults.answer_from_database()
        return found


def is_reply(fact: Fact) -> bool:
    """Whether the message is in the thread of its room."""
    return fact.kind == "message" and fact.id % 3 == 0


def thread_of(room_id: UUID) -> UUID:
    """The first message of the only thread of this room."""
    return UUID(int=room_id.int + 1)


def event_of(fact: Fact, room_id: UUID) -> Event:
    at = BEGINNING + timedelta(seconds=fact.id)
    if fact.person is None:
        root_id = thread_of(room_id) if is_reply(fact) else None
        return MessageCreated(
            room_id=room_id, at=at, seq=fact.seq, message_id=UUID(int=fact.id), thread_root_id=root_id
        )
    change = MemberChange.REMOVED if fact.kind == "removed" else MemberChange.JOINED
    return MemberChanged(room_id=room_id, at=at, seq=fact.seq, user_id=UUID(fact.person), change=change)


def id_of(at: str) -> int:
    """The id of the fact that a client was shown with this time."""
    return round((datetime.fromisoformat(at) - BEGINNING).total_seconds())


# ------------------------------------------------------------------ the product's queries, asked of memory


async def _readable_tails(session: FakeSession, keys: Collection[UserAndRoom]) -> dict[UserAndRoom, int]:
    def question(store: InMemoryStore) -> dict[UserAndRoom, int]:
        return {
            (user_id, room_id): log_.tail
            for user_id, room_id in keys
            if (log_ := store.logs.get(room_id)) and log_.exists and str(user_id) in log_.members
        }

    return await session.ask(question)


async def _rooms_by_id(session: FakeSession, ids: Collection[UUID]) -> dict[UUID, Room]:
    return await session.ask(
        lambda store: {id_: Room(id=id_, created_at=BEGINNING) for id_ in ids if store.logs[id_].exists}
    )


async def _readers_among(session: FakeSession, room_id: UUID, user_ids: Collection[UUID]) -> set[UUID]:
    return await session.ask(lambda store: {id_ for id_ in user_ids if str(id_) in store.logs[room_id].members})


async def _after(session: FakeSession, room_id: UUID, seq: int, limit: int) -> list[Event]:
    return await session.ask(lambda store: [event_of(fact, room_id) for fact in store.logs[room_id].after(seq, limit)])


async def _tails(session: FakeSession, room_ids: Collection[UUID]) -> Mapping[UUID, int]:
    return await session.ask(lambda store: {id_: store.logs[id_].tail for id_ in room_ids if store.logs[id_].exists})


async def _epoch_and_timeline(session: FakeSession) -> tuple[UUID, int | None]:
    return await session.ask(lambda store: (store.epoch, store.epoch_timeline))


async def _timeline(session: FakeSession) -> int | None:
    return await session.ask(lambda store: store.timeline)


async def _read_states_of_user(
    session: FakeSession, user_id: UUID, among: Collection[UUID] | None = None
) -> list[RoomReadState]:
    return await session.ask(
        lambda store: [found for found in store.unread(user_id) if among is None or found.room_id in among]
    )


async def _fingerprints(session: FakeSession, user_ids: Collection[UUID]) -> dict[UUID, tuple[Any, ...]]:
    return await session.ask(lambda store: {id_: found for id_ in user_ids if (found := store.places(id_))})


async def _room_ids_of_user(session: FakeSession, user_id: UUID) -> list[UUID]:
    return await session.ask(lambda store: [found.room_id for found in store.unread(user_id)])


async def _unread_threads(
    session: FakeSession,
    user_id: UUID,
    root_ids: Collection[UUID] | None = None,
    room_ids: Collection[UUID] | None = None,
) -> list[ThreadUnread]:
    def is_asked_for(thread: ThreadUnread) -> bool:
        everything = root_ids is None and room_ids is None
        return everything or thread.root_id in (root_ids or ()) or thread.room_id in (room_ids or ())

    return await session.ask(lambda store: list(filter(is_asked_for, store.unread_threads(user_id))))


class FoundSession(NamedTuple):
    """A row of `accounts.queries.session_states`."""

    id: UUID
    user_id: UUID
    role: str
    banned_at: datetime | None
    expires_at: datetime
    revoked_at: datetime | None


async def _session_states(session: FakeSession, ids: Collection[UUID]) -> dict[UUID, SessionState]:
    def question(store: InMemoryStore) -> dict[UUID, SessionState]:
        found = [store.sessions[id_] for id_ in ids if id_ in store.sessions]
        return {
            one.id: FoundSession(one.id, one.user_id, UserRole.MEMBER, None, one.expires_at, one.revoked_at)
            for one in found
        }

    return await session.ask(question)


async def _sessions_ended_since(session: FakeSession, moment: datetime) -> Sequence[tuple[UUID, datetime | None]]:
    return await session.ask(
        lambda store: [(one.id, None) for one in store.sessions.values() if one.revoked_at and one.revoked_at > moment]
    )


QUERIES: Mapping[Any, Mapping[str, Any]] = {
    rooms: {"readable_tails": _readable_tails, "rooms_by_id": _rooms_by_id, "users_who_can_read": _readers_among},
    event_log: {
        "events_after": _after,
        "tails": _tails,
        "epoch_and_timeline": _epoch_and_timeline,
        "timeline": _timeline,
    },
    receipts: {
        "read_states_of_user": _read_states_of_user,
        "room_ids_of_user": _room_ids_of_user,
        "fingerprints": _fingerprints,
    },
    threads: {"unread_threads": _unread_threads},
    accounts: {"session_states": _session_states, "sessions_ended_since": _sessions_ended_since},
}


@contextmanager
def fake_queries() -> Iterator[None]:
    with ExitStack() as stack:
        for module, queries in QUERIES.items():
            stack.enter_context(patch.multiple(module, **queries))
        yield
