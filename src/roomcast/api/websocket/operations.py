"""The operations of one connection, from `subscribe` to their end, and the cursors that the connection resumes from."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from roomcast.api.execution.streams import OpenStream
from roomcast.api.websocket.timeouts import is_token_expired
from roomcast.core.actor import Actor


class ActiveOperation:
    """One operation.

    `actor`: the viewer who sent it, even if the connection changes its viewer later; None is anonymous. `number` counts
    the operations of the connection. `task` answers the operation or opens its stream; None once that is done. `stream`
    is set while a stream is attached. `session_ended`: the actor's session is over.
    """

    __slots__ = (
        "actor",
        "announced_seq",
        "announces_position",
        "id",
        "is_started",
        "is_stopped",
        "is_subscription",
        "number",
        "resume_key",
        "session_ended",
        "stream",
        "task",
    )

    def __init__(self, id_: str, actor: Actor | None, number: int) -> None:
        self.id, self.actor, self.number = id_, actor, number
        self.task: asyncio.Task[None] | None = None
        self.stream: OpenStream | None = None
        self.is_subscription = self.is_started = self.is_stopped = self.session_ended = False
        self.resume_key: tuple[str, str] | None = None
        """The room and field for which it looked up a cursor in the resume map."""
        self.announces_position = False
        """Whether pings tell the client this stream's position."""
        self.announced_seq = -1

    def stop(self) -> None:
        """Cancel the task and stop the stream: the client has ended the operation, or is gone."""
        self.is_stopped = True
        if self.task is not None:
            self.task.cancel()
        if self.stream is not None:
            self.stream.stop()
            self.stream = None  # breaks the cycle operation → stream → callbacks → operation


class ResumeMap:
    """The cursors that a client sent in `connection_init`, by operation id, `<room>:<field>` or `<room>`.

    A cursor is used up when a stream has *started* from it, not when it is looked up: an attempt may be cancelled, time
    out or be retried. Operations that were sent before that start still get it, so that two streams of one room and
    field begin at the same position, whichever starts first.
    """

    __slots__ = ("_cursors", "_used_at")

    def __init__(self, cursors: Any = None) -> None:
        entries = cursors if isinstance(cursors, Mapping) else {}
        self._cursors = {key: value for key, value in entries.items() if isinstance(value, str)}
        self._used_at: dict[str, int] = {}
        """For each name of a cursor: the number of the newest operation when it was used."""

    def cursor(self, operation: ActiveOperation, room_id: str, field: str) -> str | None:
        """The cursor that this operation resumes from; None where there is none, or where an earlier operation has used
        it up."""
        operation.resume_key = room_id, field
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
        """The names under which a use is recorded, each with the keys of the client's map that it covers."""
        if operation.resume_key is None:
            return []
        room_id, field = operation.resume_key
        pair = f"{room_id}:{field}"
        return [(operation.id, (operation.id,)), (pair, (pair, room_id))]


NO_CURSORS = ResumeMap()
"""Of connections that resume nothing; it stays empty."""


class ActiveOperations:
    """All operations of one connection. Iteration goes over a copy, so that operations may end meanwhile."""

    __slots__ = ("_by_id", "_newest", "ending", "resume", "streams")

    def __init__(self) -> None:
        self._by_id: dict[str, ActiveOperation] = {}
        self._newest = 0
        self.streams: list[ActiveOperation] = []
        """The operations with an attached stream."""
        self.ending: list[asyncio.Task[None]] = []
        """Tasks of streams that send their last event because their session has ended."""
        self.resume = NO_CURSORS

    def __iter__(self) -> Iterator[ActiveOperation]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def total(self) -> int:
        """The operations since the connection was opened."""
        return self._newest

    def __contains__(self, operation: ActiveOperation) -> bool:
        return self._by_id.get(operation.id) is operation

    def get(self, id_: str) -> ActiveOperation | None:
        return self._by_id.get(id_)

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        return [operation.task for operation in self if operation.task is not None]

    def begin(self, id_: str, actor: Actor | None) -> ActiveOperation:
        """Add an operation; its id is taken from here on."""
        self._newest += 1
        operation = self._by_id[id_] = ActiveOperation(id_, actor, self._newest)
        return operation

    def stop(self, operation: ActiveOperation) -> None:
        self.forget(operation)
        operation.stop()

    def forget(self, operation: ActiveOperation) -> None:
        """Free its id. The task of a stopped operation may still be finishing when its id is used again, so another
        operation may be found under that id."""
        if operation in self:
            del self._by_id[operation.id]
        if operation in self.streams:
            self.streams.remove(operation)

    def use_cursor(self, operation: ActiveOperation) -> None:
        """Mark the cursor from `connection_init` as used: the operation has started, or the cursor has expired."""
        self.resume.use(operation, self._newest)

    def has_expired_stream(self, grace: float) -> bool:
        """Whether a stream has outlived its own access token by `grace` seconds."""
        return any(operation.actor and is_token_expired(operation.actor, grace) for operation in self.streams)

    # ------------------------------------------------------------------ sessions

    @property
    def sessions(self) -> set[UUID]:
        """The sessions of all operations."""
        return {operation.actor.session_id for operation in self if operation.actor is not None}

    def of_session(self, session_id: UUID) -> list[ActiveOperation]:
        return [operation for operation in self if operation.actor and operation.actor.session_id == session_id]

    def change_actor(self, actor: Actor) -> list[ActiveOperation]:
        """The connection gets a new viewer. Returns the subscriptions of other users, which have to end.

        Operations of the same session get the new rights and expiry. Those of another session of the same user stay
        with that session.
        """
        for operation in self.of_session(actor.session_id):
            operation.actor = actor
        return [
            operation
            for operation in self
            if operation.is_subscription and operation.actor and operation.actor.user_id != actor.user_id
        ]
