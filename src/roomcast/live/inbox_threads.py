"""The unread threads of one open inbox: those that its client knows, and those to count again."""

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from roomcast.receipts.threads import ThreadUnread


class CountScope(NamedTuple):
    """The threads to count: these, and all in these rooms."""

    root_ids: Collection[UUID]
    room_ids: Collection[UUID]

    def includes(self, thread: ThreadUnread) -> bool:
        return thread.root_id in self.root_ids or thread.room_id in self.room_ids


class UnreadThreads:
    """Threads that the user follows and that have unread replies."""

    def __init__(self) -> None:
        self._known: dict[UUID, ThreadUnread] = {}
        self._dirty: set[UUID] = set()
        self._dirty_rooms: set[UUID] = set()

    @property
    def total(self) -> int:
        return len(self._known)

    def mark(self, root_id: UUID) -> None:
        """Count this thread again."""
        self._dirty.add(root_id)

    def mark_room(self, room_id: UUID) -> None:
        """Count all threads of this room again."""
        self._dirty_rooms.add(room_id)

    def take_marked(self) -> CountScope:
        """What was marked. From now on it counts as not marked."""
        scope = CountScope(self._dirty, self._dirty_rooms)
        self._dirty, self._dirty_rooms = set(), set()
        return scope

    def update(self, found: Collection[ThreadUnread], scope: CountScope | None) -> list[UUID]:
        """Take over what was counted; `scope` None means all threads. Returns the threads whose count has changed."""
        before = {id_: known for id_, known in self._known.items() if scope is None or scope.includes(known)}
        after = {thread.root_id: thread for thread in found}
        self._known = {id_: known for id_, known in self._known.items() if id_ not in before} | after
        return sorted(id_ for id_ in before.keys() | after.keys() if before.get(id_) != after.get(id_))
