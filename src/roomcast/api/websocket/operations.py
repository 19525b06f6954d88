"""The operations of one connection, from `subscribe` to their end, and the cursors that the connection resumes from."""

import asyncio
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from roomcast.api.errors import coded_error
from roomcast.api.execution.documents import RequestErrors
from roomcast.core.actor import Actor
from roomcast.core.clock import now
from roomcast.core.event_log import Position
from roomcast.live.inbox import Inbox
from roomcast.realtime.hub import Hub
from roomcast.realtime.reader import Reader
from roomcast.realtime.topic import Topic


def limit_reached(message: str) -> RequestErrors:
    return RequestErrors(coded_error("SUBSCRIPTION_LIMIT", message))


def session_over() -> RequestErrors:
    return RequestErrors(coded_error("UNAUTHENTICATED", "this session has ended; sign in again"))


class Attached(NamedTuple):
    topic: Topic
    reader: Reader


class ActiveOperation:
    """One operation. `actor`: who sent it, whatever the connection does afterwards; None is anonymous.

    `number` counts the operations of its connection. `task` answers it, or opens its stream; it is None once that is
    done. `attached` is a stream that is open, `inbox` an inbox. `session_ended`: the actor's session is over.
    """

    def __init__(self, id_: str, actor: Actor | None, number: int) -> None:
        self.id, self.actor, self.number = id_, actor, number
        self.task: asyncio.Task[None] | None = None
        self.is_subscription = self.is_started = self.is_stopped = self.session_ended = False
        self.attached: Attached | None = None
        self.inbox: Inbox | None = None
        self.resumes: tuple[str, str] | None = None
        """The room and the field that it has asked the resume map for."""
        self.announces: UUID | None = None
        """The room whose positions the client is told by pings."""
        self._announced_seq = -1

    def stop(self, hub: Hub) -> None:
        """The client is not interested any more, or is gone."""
        self.is_stopped = True
        if self.task is not None:
            self.task.cancel()
        if self.attached is not None:
            hub.detach(*self.attached)
        if self.inbox is not None:
            self.inbox.stop()
        self.attached = self.inbox = None

    def news_of_position(self, epoch: UUID) -> str | None:
        """The cursor of a stream that has moved since the client was last told, as a ping may say it.

        It is never ahead of what the connection has taken of this stream.
        """
        if self.announces is None or self.attached is None:
            return None
        seq = self.attached.reader.position
        if seq == self._announced_seq:
            return None
        self._announced_seq = seq
        return Position(epoch, self.announces, seq).encode()


class ResumeMap:
    """The cursors that a client connected with, by operation id, `<room>:<field>` or `<room>`.

    A cursor is used up when a stream has *started* from it, not when it is looked up: an attempt may be cancelled, time
    out or be tried again. Operations that were sent before that start still get it, so that two streams of one room and
    field begin at the same place, whichever is ready first.
    """

    def __init__(self, found: Any = None) -> None:
        entries = found if isinstance(found, Mapping) else {}
        self._cursors = {key: value for key, value in entries.items() if isinstance(value, str)}
        self._used_at: dict[str, int] = {}
        """For each name of a cursor: the number of the newest operation when it was used."""

    def cursor(self, operation: ActiveOperation, room_id: str, field: str) -> str | None:
        """Where this operation resumes from; None where it is not said, or was said for an earlier one."""
        operation.resumes = room_id, field
        for name, keys in self._names(operation):
            found = next((self._cursors[key] for key in keys if key in self._cursors), None)
            if found is not None and operation.number <= self._used_at.get(name, operation.number):
                return found
        return None

    def use(self, operation: ActiveOperation, newest: int) -> None:
        """The operation has started, or its cursor was answered as expired. `newest` is the highest number so far."""
        for name, keys in self._names(operation):
            if any(key in self._cursors for key in keys):
                self._used_at.setdefault(name, newest)

    def _names(self, operation: ActiveOperation) -> list[tuple[str, tuple[str, ...]]]:
        if operation.resumes is None:
            return []
        room_id, field = operation.resumes
        pair = f"{room_id}:{field}"
        return [(operation.id, (operation.id,)), (pair, (pair, room_id))]


class ActiveOperations:
    """All of one connection. Iterating goes over a copy, so that they may end meanwhile."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._by_id: dict[str, ActiveOperation] = {}
        self._newest = 0
        self.streams: set[ActiveOperation] = set()
        """Open streams and inboxes."""
        self.resume = ResumeMap()

    def __iter__(self) -> Iterator[ActiveOperation]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, operation: ActiveOperation) -> bool:
        return self._by_id.get(operation.id) is operation

    def get(self, id_: str) -> ActiveOperation | None:
        return self._by_id.get(id_)

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        return [operation.task for operation in self if operation.task is not None]

    def begin(self, id_: str, actor: Actor | None) -> ActiveOperation:
        """One more; the id is taken from here on."""
        self._newest += 1
        operation = self._by_id[id_] = ActiveOperation(id_, actor, self._newest)
        return operation

    def stop(self, operation: ActiveOperation) -> None:
        self.forget(operation)
        operation.stop(self._hub)

    def forget(self, operation: ActiveOperation) -> None:
        """Its id is free. One that was stopped may still be finishing when its id is used again."""
        if operation in self:
            del self._by_id[operation.id]
        self.streams.discard(operation)

    def use_cursor(self, operation: ActiveOperation) -> None:
        """What the client connected with is used up: the operation has started, or its cursor was called expired."""
        self.resume.use(operation, self._newest)

    def cursors(self, epoch: UUID, streams: Collection[ActiveOperation]) -> dict[str, str]:
        """By operation id, those of streams that have moved since the client was last told."""
        return {stream.id: cursor for stream in streams if (cursor := stream.news_of_position(epoch))}

    def is_expired(self, grace: float) -> bool:
        """Whether a stream has outlived its own access token by so many seconds."""
        return any(operation.actor and is_spent(operation.actor, grace) for operation in self.streams)

    # ------------------------------------------------------------------ sessions

    @property
    def sessions(self) -> set[UUID]:
        """All that they act for."""
        return {operation.actor.session_id for operation in self if operation.actor is not None}

    def of_session(self, session_id: UUID) -> list[ActiveOperation]:
        return [operation for operation in self if operation.actor and operation.actor.session_id == session_id]

    def hand_over(self, actor: Actor) -> list[ActiveOperation]:
        """The connection acts for this person from here on. The subscriptions of anybody else, which have to end.

        Those of another session of the same person stay with that session.
        """
        for operation in self.of_session(actor.session_id):
            operation.actor = actor
        return [
            operation
            for operation in self
            if operation.is_subscription and operation.actor and operation.actor.user_id != actor.user_id
        ]


def is_spent(actor: Actor, grace: float) -> bool:
    """Whether this person's access token ended more than so many seconds ago."""
    return (now() - actor.token_expires_at).total_seconds() > grace
