"""Who types where, as far as this process has heard: in memory, and not for long."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from uuid import UUID

from roomcast.presence.policy import MAX_TYPISTS, TYPING_EXPIRY_SECONDS


@dataclass(frozen=True, slots=True)
class TypingUser:
    session_id: UUID
    until: float


class TypingUsers:
    """`changed`: rooms where others type than when it was last emptied."""

    def __init__(self) -> None:
        self._rooms: dict[UUID, dict[UUID, TypingUser]] = {}
        self.changed: set[UUID] = set()

    def of(self, room_id: UUID) -> Sequence[UUID]:
        """Who began first comes first, and stays."""
        return list(self._rooms.get(room_id, ()))[:MAX_TYPISTS]

    def until(self, room_id: UUID) -> float:
        """When the last of them stops, unless it is said again."""
        return max((typist.until for typist in self._rooms.get(room_id, {}).values()), default=0.0)

    @property
    def rooms(self) -> Set[UUID]:
        """Where somebody types."""
        return self._rooms.keys()

    def begin(self, room_id: UUID, user_id: UUID, session_id: UUID, clock: float) -> None:
        """They type there, or still do."""
        typists = self._rooms.setdefault(room_id, {})
        if user_id not in typists:
            self.changed.add(room_id)
        typists[user_id] = TypingUser(session_id, clock + TYPING_EXPIRY_SECONDS)

    def end(self, room_id: UUID, user_id: UUID) -> None:
        typists = self._rooms.get(room_id)
        if typists and typists.pop(user_id, None):
            self.changed.add(room_id)
            if not typists:
                del self._rooms[room_id]

    def leave(self, session_id: UUID) -> None:
        """That device types nowhere any more."""
        self._end_where(lambda typist: typist.session_id == session_id)

    def expire(self, clock: float) -> None:
        self._end_where(lambda typist: typist.until <= clock)

    def _end_where(self, over: Callable[[TypingUser], bool]) -> None:
        ended = [
            (room_id, user_id)
            for room_id, typists in self._rooms.items()
            for user_id, typist in typists.items()
            if over(typist)
        ]
        for room_id, user_id in ended:
            self.end(room_id, user_id)
