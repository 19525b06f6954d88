"""Which users are online, from the reports of all processes. Kept in memory only.

Each process reports on the users that are connected to it. A user's presence follows from the most active of these
reports and from the user's own status.
"""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from roomcast.core.clock import now

MAX_ABSENT_USERS = 10_000
"""Users without a connection whose status and last activity are remembered, the most recent ones."""

LAST_ACTIVE_PRECISION_SECONDS = 30
"""`last_active_at` is rounded down to this, so that other users cannot track somebody's activity exactly."""


class PresenceState(StrEnum):
    ACTIVE = "ACTIVE"
    IDLE = "IDLE"
    OFFLINE = "OFFLINE"


@dataclass(frozen=True, slots=True)
class Presence:
    """What all users may see of one user. `last_active_at` is None if it is not known."""

    state: PresenceState
    last_active_at: datetime | None = None
    status_text: str | None = None
    status_emoji: str | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """One process's report on a connected user: active, or idle since `idle_since` (Unix seconds)."""

    idle_since: int | None = None

    @property
    def is_active(self) -> bool:
        return self.idle_since is None


@dataclass(frozen=True, slots=True)
class Status:
    """What a user has set about themselves.

    `at`: when it was set, in Unix milliseconds. In every process the later of two statuses wins. `hidden_by`: the
    session that asked to be shown as OFFLINE.
    """

    at: int = 0
    hidden_by: UUID | None = None
    text: str | None = None
    emoji: str | None = None


@dataclass(slots=True)
class UserPresence:
    """`activities`: the reports, by process. `active_at`: the last visible activity, in Unix seconds."""

    activities: dict[str, Activity] = field(default_factory=dict)
    status: Status = Status()
    active_at: int | None = None

    @property
    def is_visible(self) -> bool:
        return bool(self.activities) and self.status.hidden_by is None

    def last_active_at(self) -> int | None:
        """As other users may see it now, in Unix seconds."""
        if not self.is_visible:
            return self.active_at
        idle = [activity.idle_since for activity in self.activities.values()]
        return unix_seconds() if None in idle else max(since for since in idle if since is not None)

    def state(self) -> PresenceState:
        if not self.is_visible:
            return PresenceState.OFFLINE
        is_active = any(activity.is_active for activity in self.activities.values())
        return PresenceState.ACTIVE if is_active else PresenceState.IDLE


class PresenceRegistry:
    """`changed`: users whose presence may have changed. The reader of this set empties it."""

    def __init__(self) -> None:
        self._users: dict[UUID, UserPresence] = {}
        self._absent: OrderedDict[UUID, None] = OrderedDict()
        self._visible: dict[UUID, None] = {}
        self.changed: set[UUID] = set()

    # ------------------------------------------------------------------ queries

    def presence_of(self, user_id: UUID) -> Presence:
        user = self._users.get(user_id)
        if user is None:
            return Presence(PresenceState.OFFLINE)
        moment, shown_at = user.last_active_at(), None
        if moment is not None:
            shown_at = datetime.fromtimestamp(moment - moment % LAST_ACTIVE_PRECISION_SECONDS, UTC)
        return Presence(user.state(), shown_at, user.status.text, user.status.emoji)

    def is_visible(self, user_id: UUID) -> bool:
        """Whether other users see this user as ACTIVE or IDLE."""
        return user_id in self._visible

    @property
    def visible_user_ids(self) -> Collection[UUID]:
        return self._visible.keys()

    def status_of(self, user_id: UUID) -> Status:
        user = self._users.get(user_id)
        return user.status if user is not None else Status()

    # ------------------------------------------------------------------ changes

    def set_activity(self, process_id: str, user_id: UUID, activity: Activity) -> None:
        """The process reports this of a user who is connected to it."""
        user = self._user(user_id)
        user.activities[process_id] = activity
        self._on_user_changed(user_id, user)

    def remove_activity(self, process_id: str, user_id: UUID, active_at: int) -> None:
        """The user is not connected to that process any more. `active_at`: their last activity there."""
        user = self._users.get(user_id)
        if user is None or user.activities.pop(process_id, None) is None:
            return
        if user.status.hidden_by is None:
            user.active_at = max(user.active_at or 0, active_at)
        self._on_user_changed(user_id, user)

    def set_status(self, user_id: UUID, status: Status) -> None:
        """Set the user's status unless a later one is known."""
        user = self._user(user_id)
        if status.at > user.status.at:
            user.active_at = user.last_active_at()  # before the change: a user who hides keeps the visible value
            user.status = status
        self._on_user_changed(user_id, user)

    def _user(self, user_id: UUID) -> UserPresence:
        return self._users.setdefault(user_id, UserPresence())

    def _on_user_changed(self, user_id: UUID, user: UserPresence) -> None:
        self.changed.add(user_id)
        if not user.is_visible:
            self._visible.pop(user_id, None)
        else:
            self._visible.setdefault(user_id)
        if user.activities:
            self._absent.pop(user_id, None)
            return
        self._absent.setdefault(user_id)
        while len(self._absent) > MAX_ABSENT_USERS:
            del self._users[self._absent.popitem(last=False)[0]]


def unix_seconds() -> int:
    """The current time in Unix seconds."""
    return int(now().timestamp())
