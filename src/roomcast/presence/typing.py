"""Which users type in which rooms, as far as this process knows. Kept in memory for some seconds."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from uuid import UUID

from roomcast.presence.policy import MAX_TYPING_USERS, TYPING_EXPIRY_SECONDS


@dataclass(frozen=True, slots=True)
class TypingUser:
    session_id: UUID
    expires_at: float


class TypingUsers:
    """`changed`: rooms whose typing users may have changed. The reader of this set empties it."""

    def __init__(self) -> None:
        self._rooms: dict[UUID, dict[UUID, TypingUser]] = {}
        self.changed: set[UUID] = set()

    def user_ids_in(self, room_id: UUID) -> Sequence[UUID]:
        """At most MAX_TYPING_USERS, in the order in which they started."""
        return list(self._rooms.get(room_id, ()))[:MAX_TYPING_USERS]

    def expires_at(self, room_id: UUID) -> float:
        """When the last typing user of the room expires, unless they refresh it; 0 without any."""
        return max((user.expires_at for user in self._rooms.get(room_id, {}).values()), default=0.0)

    @property
    def room_ids(self) -> Set[UUID]:
        """The rooms with at least one typing user."""
        return self._rooms.keys()

    def start(self, room_id: UUID, user_id: UUID, session_id: UUID, clock: float) -> None:
        """The user types in the room; also a refresh."""
        users = self._rooms.setdefault(room_id, {})
        if user_id not in users:
            self.changed.add(room_id)
        users[user_id] = TypingUser(session_id, clock + TYPING_EXPIRY_SECONDS)

    def stop(self, room_id: UUID, user_id: UUID) -> None:
        users = self._rooms.get(room_id)
        if users and users.pop(user_id, None):
            self.changed.add(room_id)
            if not users:
                del self._rooms[room_id]

    def stop_session(self, session_id: UUID) -> None:
        """The device types in no room any more."""
        self._stop_where(lambda user: user.session_id == session_id)

    def expire(self, clock: float) -> None:
        self._stop_where(lambda user: user.expires_at <= clock)

    def _stop_where(self, is_over: Callable[[TypingUser], bool]) -> None:
        ended = [
            (room_id, user_id)
            for room_id, users in self._rooms.items()
            for user_id, user in users.items()
            if is_over(user)
        ]
        for room_id, user_id in ended:
            self.stop(room_id, user_id)
