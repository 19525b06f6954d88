"""The devices that are connected to this process. A device is a login session, with one or more sockets."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from roomcast.presence.registry import Activity, unix_seconds


@dataclass(slots=True)
class Device:
    """`idle_since`: when the device was set idle, in Unix seconds. `disconnected_at`: when its last socket closed, by
    the caller's clock."""

    sockets: int = 0
    idle_since: int | None = None
    disconnected_at: float | None = None
    last_active_at: int = 0


class Devices:
    """A device without a socket counts as connected for `grace_seconds`: most clients reconnect at once."""

    def __init__(self, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._by_user: dict[UUID, dict[UUID, Device]] = {}
        self._disconnected: dict[tuple[UUID, UUID], Device] = {}
        """Devices in their grace period by (user, session), in the order in which they disconnected."""

    def connect(self, user_id: UUID, session_id: UUID) -> None:
        """A socket of this device was opened."""
        device = self._by_user.setdefault(user_id, {}).setdefault(session_id, Device())
        device.sockets += 1
        device.disconnected_at = None
        self._disconnected.pop((user_id, session_id), None)

    def disconnect(self, user_id: UUID, session_id: UUID, clock: float) -> bool:
        """A socket of this device was closed. Returns whether it was the last one."""
        device = self._by_user[user_id][session_id]
        device.sockets -= 1
        if device.sockets:
            return False
        device.disconnected_at, device.last_active_at = clock, device.idle_since or unix_seconds()
        self._disconnected[user_id, session_id] = device
        return True

    def set_idle(self, user_id: UUID, session_id: UUID, *, idle: bool) -> None:
        """Mark the device as idle or active. Ignored for a device that is not connected to this process."""
        device = self._by_user.get(user_id, {}).get(session_id)
        if device is not None and idle != (device.idle_since is not None):
            device.idle_since = unix_seconds() if idle else None

    def activity_of(self, user_id: UUID) -> Activity | None:
        """The activity of the user's most active device in this process, None without any device."""
        devices = self._by_user.get(user_id)
        if not devices:
            return None
        idle = [device.idle_since for device in devices.values()]
        return Activity() if None in idle else Activity(max(since for since in idle if since is not None))

    def expire(self, clock: float) -> dict[UUID, int]:
        """Remove the devices whose grace period is over. Returns the last activity there, by user."""
        expired: dict[UUID, int] = {}
        for (user_id, session_id), device in list(self._disconnected.items()):
            if device.disconnected_at is None or clock - device.disconnected_at < self._grace_seconds:
                break  # the others disconnected later
            expired[user_id] = max(expired.get(user_id, 0), self.remove(user_id, session_id))
        return expired

    def remove(self, user_id: UUID, session_id: UUID) -> int:
        """Remove a device without sockets before its grace period is over. Returns its last activity."""
        del self._disconnected[user_id, session_id]
        devices = self._by_user[user_id]
        device = devices.pop(session_id)
        if not devices:
            del self._by_user[user_id]
        return device.last_active_at

    @property
    def user_ids(self) -> Collection[UUID]:
        return self._by_user.keys()
